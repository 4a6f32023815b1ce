"""`python -m fpm.study`: several encoders on the (proof seconds, accuracy) plane.

Each is trained as the published one is, measured on the same 1,000 held-out synthetic models, and proven in the real
circuit with the published settings. Finished parts are kept in a work folder: a run that was stopped goes on.
Writes fpm/runs/study.json and docs/fpm-study.png.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import platformdirs
import torch

from circuits import ezkl_worker, keys, proofs
from circuits.digests import write_atomically
from circuits.encoder_circuit import encoder_circuit_graph
from circuits.size_classes import FIELD_MODULUS, SALT_LENGTH, size_class
from fpm.encoder import PUBLISHED_ARCHITECTURE, Architecture, Encoder
from fpm.encoder_figures import NOISES, TEST_SEED, Figures, Fingerprinter, at_099, independents, offspring_rows
from fpm.export import encoder_graph
from fpm.plots import study_plot
from fpm.synthetic import offspring
from fpm.train import PROFILE, ROOT, RUNS
from fpm.train_encoder import EncoderTraining, train_encoder

ARCHITECTURES = {
    "linear 8, patches of 4": Architecture(4, 8),
    "linear 16, patches of 4": Architecture(4, 16),
    "linear 24, patches of 4": Architecture(4, 24),
    "linear 32, patches of 4": Architecture(4, 32),
    "linear 8, patches of 2": Architecture(2, 8),
    "linear 2, single entries": Architecture(1, 2),
    "ReLU 16, dense 128": Architecture(4, 16, relu=True, second="dense", out=128),
    "ReLU 32, dense 256": Architecture(4, 32, relu=True, second="dense", out=256),
    "ReLU 64, [64, 32] a patch": Architecture(4, 64, relu=True, second="patch", out=32),
}
SHIFT, GRID, LIMIT_S = 50, 16, 900.0
SIZE = size_class("tiny")


def parser_with_work(module: str, description: str | None = None) -> argparse.ArgumentParser:
    """A command line with `--work`: the folder that the modules of `fpm.figures` share."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    default = Path(platformdirs.user_cache_dir("huref-zk")) / "fpm-study"
    parser.add_argument(
        "--work", type=Path, default=default, help="folder that keeps finished parts and synthetic terms"
    )
    return parser


def finished(work: Path, name: str, decided_by: Mapping[str, Any]) -> Path:
    """Where a finished part is kept: what was decided otherwise is another part."""
    told = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:12]
    return work / f"{name}.{told}.json"


def accuracy(name: str, work: Path, models: int, steps: int) -> Figures:
    """Trains (or reads) one encoder and measures it on held-out models."""
    config = replace(EncoderTraining(), architecture=ARCHITECTURES[name], steps=steps)
    done = finished(work, f"{name}.accuracy", asdict(config) | {"models": models})
    if done.exists():
        return dict(json.loads(done.read_text()))
    encoder, weight, bias, record = train_encoder(config, work / "training.npz")
    base, children = test_terms(work, models)
    finger = Fingerprinter(encoder, weight, bias)
    figures = {
        "architecture": asdict(config.architecture),
        "features": config.architecture.features,
        "products": config.architecture.products,
        "independents": independents(finger(base)),
        "at_0.99": at_099(finger, base, children),
        "offspring": offspring_rows(finger, base, children),
        "training_seconds": record["seconds"],
    }
    write_atomically(done, json.dumps(figures, indent=1, default=float).encode())
    return figures


def test_terms(work: Path, models: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The held-out models' terms and those of their offspring at every noise, kept in `work`."""
    path = work / f"test-{models}.npz"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        base, children = offspring(models, TEST_SEED, NOISES)
        np.savez(path, base=base, children=children)
    with np.load(path, allow_pickle=False) as stored:
        return stored["base"], stored["children"]


def cost(name: str, columns: int, work: Path, proofs_made: int) -> Figures:
    """Seconds of real proofs under the published settings, with ezkl's `num_inner_cols` at `columns`."""
    size = replace(SIZE, encoder_inner_columns=columns)
    done = finished(work, f"{name}.cost", asdict(size) | asdict(ARCHITECTURES[name]) | {"proofs": proofs_made})
    if done.exists():
        return dict(json.loads(done.read_text()))
    encoder = Encoder(ARCHITECTURES[name])
    encoder.round_weights()
    srs = PROFILE / "srs" / f"k{size.k}.srs"
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        files = {part: scratch / part for part in ("circuit.onnx", "settings.json", "circuit.ezkl", "vk.key", "pk.key")}
        onnx.save(encoder_circuit_graph(size, GRID, SHIFT, encoder_graph(encoder)), str(files["circuit.onnx"]))
        arguments = keys.run_args("encoder", size)
        ezkl_worker.call(
            "settings",
            time_limit_s=LIMIT_S,
            onnx=files["circuit.onnx"],
            out=files["settings.json"],
            run_args=arguments,
        )
        keys.check_settings(files["settings.json"], "encoder", size)
        ezkl_worker.call(
            "compile",
            time_limit_s=LIMIT_S,
            onnx=files["circuit.onnx"],
            settings=files["settings.json"],
            out=files["circuit.ezkl"],
        )
        ezkl_worker.call(
            "setup",
            time_limit_s=LIMIT_S,
            compiled=files["circuit.ezkl"],
            srs=srs,
            vk=files["vk.key"],
            pk=files["pk.key"],
        )
        rng = np.random.default_rng(1)
        vector = [int(x * 2**SHIFT) % FIELD_MODULUS for x in rng.standard_normal(6 * GRID * GRID)]
        vector += [0] * (size.data_length - len(vector))
        vector += [int(x) for x in rng.integers(0, 2**62, SALT_LENGTH)]
        seconds, processor = [], []
        for _ in range(proofs_made):
            started, before = time.perf_counter(), _children_seconds()
            proof = proofs.prove(
                [vector],
                compiled=files["circuit.ezkl"],
                pk=files["pk.key"],
                vk=files["vk.key"],
                settings=files["settings.json"],
                srs=srs,
                time_limit_s=LIMIT_S,
            )
            seconds.append(time.perf_counter() - started)
            processor.append(_children_seconds() - before)
        figures = {
            "columns": columns,
            "proof_seconds": seconds,
            "processor_seconds": processor,
            "proof_bytes": len(proof["proof"]) // 2,
            "proving_key_mib": files["pk.key"].stat().st_size / 2**20,
            "rows": json.loads(files["settings.json"].read_text())["num_rows"],
        }
    write_atomically(done, json.dumps(figures, indent=1).encode())
    return figures


def _children_seconds() -> float:
    """Processor seconds of ended child processes: other programs' load does not count."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(arguments: list[str] | None = None) -> None:
    """Command line; prints one line for each encoder and the paths written."""
    parser = parser_with_work("fpm.study", (__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=1000, help="held-out synthetic models")
    parser.add_argument("--steps", type=int, default=EncoderTraining().steps, help="training steps of each")
    parser.add_argument("--proofs", type=int, default=2, help="proofs of each; the fastest counts")
    parser.add_argument("--columns", type=int, nargs="+", default=[2], help="num_inner_cols to try")
    parser.add_argument("--only", nargs="*", default=list(ARCHITECTURES), choices=list(ARCHITECTURES))
    parser.add_argument("--part", choices=["accuracy", "cost", "all"], default="all")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # as `fpm.train encoder` does
    options.work.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Figures] = {}
    for name in options.only:
        rows[name] = {}
        if options.part != "cost":
            rows[name] |= accuracy(name, options.work, options.models, options.steps)
        print(name, json.dumps(rows[name].get("independents", {}), default=float), flush=True)
    for name in options.only if options.part != "accuracy" else []:
        rows[name]["cost"] = [cost(name, columns, options.work, options.proofs) for columns in options.columns]
        print(name, json.dumps(rows[name]["cost"]), flush=True)
    if options.part == "all" and options.only == list(ARCHITECTURES):
        published = next(name for name, form in ARCHITECTURES.items() if form == PUBLISHED_ARCHITECTURE)
        record = {
            "published": published,
            "published_columns": SIZE.encoder_inner_columns,
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            "encoders": rows,
        }
        path = RUNS / "study.json"
        path.write_text(json.dumps(record, indent=1, default=float) + "\n")
        study_plot(record, ROOT / "docs" / "fpm-study.png")
        print(path)


if __name__ == "__main__":
    main()
