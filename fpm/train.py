"""`python -m fpm.train encoder|generator`: trains from scratch and writes the published files and a run record.

The run record (fpm/runs/<what>.json) holds the configuration, the loss curve, the seconds, versions and the digests of
the files; a small plot of the curve lies beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import matplotlib
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from circuits.digests import sha256_file
from fpm.export import save_encoder, save_generator
from fpm.train_encoder import EncoderTraining, train_encoder
from fpm.train_generator import GeneratorTraining, train_generator

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "artifacts" / "profiles" / "fpm"  # shared by the published profiles
ENCODER = (PUBLISHED / "encoder.onnx", PUBLISHED / "head.npz")
PROFILE = PUBLISHED.parent / "tiny-dev"
RUNS = Path(__file__).resolve().parent / "runs"


def digests(files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file by its name, for a record that says what was measured."""
    return {file.name: sha256_file(file) for file in files}


def write_record(name: str, record: dict[str, object], files: list[Path], runs: Path = RUNS) -> Path:
    """Writes the run record and its plot.

    Args:
        name: "encoder" or "generator".
        record: config, curve, seconds and whatever else the trainer measured.
        files: the published files; their SHA-256 go into the record.
        runs: folder of the records.

    Returns:
        path of the JSON file.
    """
    runs.mkdir(parents=True, exist_ok=True)
    versions = {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}
    path = runs / f"{name}.json"
    path.write_text(
        json.dumps(record | {"files": digests(files), "versions": versions}, indent=1, default=float) + "\n"
    )
    draw_curve(cast("list[dict[str, float]]", record["curve"]), runs / f"{name}.png")
    return path


def draw_curve(curve: list[dict[str, float]], path: Path) -> None:
    """A small plot of everything that was measured along the way, each with an axis of its own.

    Args:
        curve: entries with `step`; what the last one holds is drawn.
        path: PNG.
    """
    names = [name for name in curve[-1] if name not in ("step", "seconds")] if curve else []
    columns = max(1, len(names))
    figure, axes = plt.subplots(1, columns, figsize=(2.6 * columns, 2.4), dpi=80, squeeze=False)
    for axis, name in zip(axes[0], names, strict=False):
        points = [(entry["step"], entry[name]) for entry in curve if name in entry]
        axis.plot(*zip(*points, strict=True), linewidth=1)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Command line; prints the path of the run record."""
    parser = argparse.ArgumentParser(
        prog="python -m fpm.train", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("what", choices=["encoder", "generator"])
    parser.add_argument("--out", type=Path, default=PUBLISHED, help="folder of the published files")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the run records")
    parser.add_argument("--work", type=Path, help="folder for drawings and checkpoints (default: a temporary one)")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="the published files were made with one: sums depend on how many there are",
    )
    parser.add_argument(
        "--no-compile", action="store_true", help="train without torch.compile (slower, needs no C++ compiler)"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.what == "encoder":
        encoder, weight, bias, record = train_encoder(EncoderTraining())
        save_encoder(encoder, weight, bias, options.out)
        files = [options.out / "encoder.onnx", options.out / "head.npz"]
    else:
        with tempfile.TemporaryDirectory() as temporary:
            work = options.work or Path(temporary)
            work.mkdir(parents=True, exist_ok=True)
            generator, record = train_generator(replace(GeneratorTraining(), compiled=not options.no_compile), work)
        save_generator(generator, options.out)
        files = [options.out / "generator.onnx"]
    print(write_record(options.what, record, files, options.runs))


if __name__ == "__main__":
    main()
