"""Do two builds of the verifier say the same? `python -m tests.compare_verdicts BEFORE AFTER`: two checkouts.

Every shipped example and every test asset, whole and spoilt file by file, goes through both builds: as text, as JSON
and as a page, JUnit and SARIF. Whatever differs but times is printed, and the exit code is 1.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from tests.conftest import ROOT

ASSETS = ROOT / "tests" / "verifier" / "assets"
START = "import sys; sys.path.insert(0, {!r}); sys.argv[0] = 'huref-verify'; from verifier.cli import main; main()"
TIMES = (
    re.compile(r'"seconds": [0-9.]+'),
    re.compile(r"^[0-9.]+ seconds$", re.MULTILINE),
    re.compile(r'time="[0-9.]+"'),
    re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"),
)
KINDS = (("profiles", "published"), ("comparisons", "published_comparisons"), ("activations", "published_activations"))


def build(checkout: Path, target: Path) -> Path:
    """A copy of a checkout's verifier that trusts the toy circuits of the tests too; the folder to import it from."""
    shutil.copytree(checkout / "verifier", target / "verifier", ignore=shutil.ignore_patterns("__pycache__"))
    trust_file = target / "verifier" / "trust.json"
    trust = json.loads(trust_file.read_bytes())
    for kind, folder in KINDS:
        place = target / "verifier" / folder
        shutil.copytree(checkout / "artifacts" / kind, place)
        for toy in (ASSETS / kind).iterdir():
            shutil.copytree(toy, place / toy.name)
            document = next(toy / name for name in ("profile.json", "circuit.json") if (toy / name).exists())
            trust[kind][toy.name] = sha256(document.read_bytes()).hexdigest()
    trust_file.write_text(json.dumps(trust))
    return target


def spoilt(whole: Path, scratch: Path) -> Iterator[Path]:
    """Copies of a folder, each with one file changed in the middle, cut short, or taken away."""
    for file in sorted(path.name for path in whole.iterdir()):
        for how in ("turned", "cut", "gone"):
            copy = scratch / f"{whole.name}-{file}-{how}"
            shutil.copytree(whole, copy)
            data = bytearray((copy / file).read_bytes())
            data[len(data) // 2] ^= 1
            if how == "gone":
                (copy / file).unlink()
            else:
                (copy / file).write_bytes(data if how == "turned" else data[: len(data) // 2])
            yield copy


def cases(scratch: Path) -> Iterator[list[str]]:
    """The arguments of each run, without `--allow-dev-srs`."""
    bundles, compared = ROOT / "artifacts" / "bundles", ROOT / "artifacts" / "compared"
    toy, other = ASSETS / "bundle", ASSETS / "bundle_b"
    opened = ["--weights", str(ASSETS / "model"), "--opening", str(ASSETS / "secret.json")]
    whole = [path for path in sorted(bundles.iterdir()) if not path.name.startswith(".")]
    yield from ([str(path)] for path in (*whole, toy, other))
    yield [str(toy), *opened]
    yield [str(toy), "--weights", str(ASSETS / "model_b"), "--opening", str(ASSETS / "secret.json")]
    yield [str(toy), "--identity", "0" * 64]
    yield from ([str(path)] for path in spoilt(toy, scratch))
    for pair in ("base-offspring", "base-independent", "base-offspring-at-least"):
        _, right = pair.removesuffix("-at-least").split("-")
        yield [str(compared / f"{pair}.huref"), str(bundles / "base"), str(bundles / right)]
    for name in ("comparison", "comparison_at_least"):
        yield [str(ASSETS / name), str(toy), str(other)]
        yield [str(ASSETS / name), str(other), str(toy)]
        yield from ([str(path), str(toy), str(other)] for path in spoilt(ASSETS / name, scratch))
    yield [str(ASSETS / "comparison"), str(toy), str(other), "--challenge", "1" * 64]
    yield [str(ROOT / "artifacts" / "feedforward" / "base"), str(bundles / "base")]
    yield [str(ASSETS / "feedforward"), str(toy)]
    yield [str(ASSETS / "feedforward"), str(toy), *opened]
    yield [str(ASSETS / "feedforward"), str(other)]
    yield from ([str(path), str(toy)] for path in spoilt(ASSETS / "feedforward", scratch))
    for left, right in (("base", "offspring"), ("base", "independent")):
        yield ["compare", str(bundles / left), str(bundles / right)]
    yield ["profiles"]
    yield [str(bundles), "--recursive", "--jobs", "1"]
    yield ["--help"]
    yield ["compare", "--help"]


def say(place: Path, arguments: list[str], out: Path) -> list[str]:
    """Everything that a build says of a case: exit code and outputs, times taken out."""
    words, found = arguments[:1], []
    about_trust = words[0] not in ("profiles", "--help") and "--help" not in arguments
    pages = ["--report", str(out / "page.html")] if about_trust else []
    if about_trust and (len(arguments) == 1 or "--recursive" in arguments):
        pages += ["--junit", str(out / "junit.xml"), "--sarif", str(out / "sarif.json")]
    for more in (["--json"], []) if "--help" not in arguments else ([],):
        for trusting in (["--allow-dev-srs"], []) if about_trust else ([],):
            command = [*arguments, *more, *trusting, *pages]
            done = subprocess.run(
                [sys.executable, "-I", "-c", START.format(str(place)), *command],
                capture_output=True, text=True, check=False, cwd=ROOT,
            )  # fmt: skip
            found += [f"$ {' '.join(command)}".replace(str(out), "OUT"), str(done.returncode), done.stdout, done.stderr]
            found += [file.read_text() for file in sorted(out.iterdir())]
    return [re.sub("|".join(time.pattern for time in TIMES), "TIME", text, flags=re.MULTILINE) for text in found]


def main() -> None:
    """Compare."""
    before, after = (Path(argument).resolve() for argument in sys.argv[1:3])
    differences = runs = 0
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(max_workers=2) as pool:
        folder = Path(scratch)
        places = [build(checkout, folder / name) for checkout, name in ((before, "before"), (after, "after"))]

        def both(numbered: tuple[int, list[str]]) -> tuple[list[str], list[str]]:
            number, case = numbered
            answers = []
            for place in places:
                out = folder / f"out-{place.name}-{number}"
                out.mkdir()
                answers.append(say(place, case, out))
            return answers[0], answers[1]

        (folder / "spoilt").mkdir()
        for left, right in pool.map(both, enumerate(cases(folder / "spoilt"))):
            runs += sum(line.startswith("$ ") for line in left)
            if left != right:
                differences += 1
                for a, b in zip(left, right, strict=False):
                    if a != b:
                        print(f"{left[0]}\n- {a[:2000]}\n+ {b[:2000]}")
    print(f"{runs} runs of each build, {differences} cases differ")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
