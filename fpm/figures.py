"""`python -m fpm.figures`: every figure of docs/fpm.md by one command, from the published files and from nothing else.

Runs the modules that measure, each of which writes its run record (fpm/runs) and its plots (docs), then puts the
tables into docs/fpm.md and prints records and tables. What takes longest is kept in the work folder: encoders trained
and proven for the comparison, synthetic terms. A run that was stopped goes on from there.
"""

from __future__ import annotations

from fpm import evaluate, late_null, null, study, trade_off, whitening
from fpm.tables import filled, records, tables
from fpm.train import ROOT, RUNS

PAGE = ROOT / "docs" / "fpm.md"


def main(arguments: list[str] | None = None) -> None:
    """Command line; prints everything that was measured and the tables of the page."""
    parser = study.parser_with_work("fpm.figures")
    parser.add_argument("--threads", type=int, default=2, help="of fpm.evaluate; the others use one")
    options = parser.parse_args(arguments)
    work = ["--work", str(options.work)]
    study.main(work)
    whitening.main(work)
    trade_off.main(work)
    null.main([])
    late_null.main([])
    evaluate.main([*work, "--threads", str(options.threads), "--output", str(RUNS / "evaluate.json")])
    made = tables(records(RUNS))
    PAGE.write_text(filled(PAGE.read_text(), made))
    for name, lines in made.items():
        print(f"\n{name}\n\n{lines}")
    print(f"\n{PAGE}")


if __name__ == "__main__":
    main()
