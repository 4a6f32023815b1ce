"""`huref evaluate`: an entry point of the group `huref.commands` (pyproject.toml). Torch loads when it runs."""

from __future__ import annotations

from pathlib import Path

import click
import platformdirs

from circuits.command_group import RefusingCommand, ResumingCommand
from circuits.errors import UsageError

CACHE = Path(platformdirs.user_cache_dir("huref-zk"))


class _Command(RefusingCommand, ResumingCommand):
    """A single command that refuses as the groups do."""


@click.command(cls=_Command)
@click.option(
    "--out", default=Path("evidence"), show_default=True, type=click.Path(path_type=Path), help="Gets the JSON."
)
@click.option(
    "--docs", type=click.Path(path_type=Path), help="Gets plots, and tables in its evidence.md [default: OUT]."
)
@click.option(
    "--work", type=click.Path(path_type=Path), help="Keeps checkpoints and texts [default: the cache folder]."
)
@click.option("--size", default="full", show_default=True, type=click.Choice(["full", "tiny"]), help="Tiny: for tests.")
@click.option("--report-only", is_flag=True, help="Only plots and tables, from the JSON in OUT.")
def evaluate(out: Path, docs: Path | None, work: Path | None, size: str, report_only: bool) -> None:
    """Measure how well fingerprints find a base model, and what breaks them: rebuilds docs/evidence.md.

    Trains a zoo of small models, attacks it, scores every pair by every method. What is finished is kept: a killed run
    goes on. The full size takes about 12 minutes of one core; OMP_NUM_THREADS=1 keeps it at one.
    """
    try:
        import torch

        from fpm.evidence import run
        from fpm.evidence.corpora import Library
        from fpm.evidence.models import SIZES
        from fpm.evidence.recipes import short_zoo, zoo
        from fpm.evidence.workshop import Workshop
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"huref evaluate needs {missing.name}, which is not installed: it needs the fpm and prover extras",
            step="evaluate",
            hint="pip install 'huref-zk[fpm,prover]'",
        ) from None
    if report_only:
        run.publish(out, docs)
        return
    torch.set_num_threads(1)
    tiny = size == "tiny"
    folder = work or CACHE
    shop = Workshop(SIZES[size], Library(folder / "zoo-text", limit=12 if tiny else None), folder / f"zoo-{size}")
    shop.folder.mkdir(parents=True, exist_ok=True)
    if tiny:
        run.rebuild(shop, short_zoo(), out, docs, projections=1, tokens=(128,))
    else:
        run.rebuild(shop, zoo(), out, docs)
