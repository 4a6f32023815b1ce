"""Checkpoints of true shapes: what reading, quantizing and committing them costs; one JSON object a model.

    python -m tests.benchmarks.large_models                 GPT-2 124M and TinyLlama 1.1B, all rows
    python -m tests.benchmarks.large_models --large         also Llama-2-7B (proven whole), Llama-3-8B, Llama-2-70B
    ... --shards 6                                          only six shards a model; what is left is multiplied up
    ... --prove llama-2-7b,gpt2                             which are proven with `huref prove` and verified
    ... --whole-only                                        nothing but that

Weights are random, of the true type, sharded; only the tensors that are read are written. A size class decides how
long vectors are, not how rows are committed: bases for all of them come from one development SRS.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from circuits import srs
from circuits.profiles import Profile, load_profile, published
from circuits.size_classes import smallest_class_for
from prover.commitments.rows import Committer, SaltedMatrix, Shard, cut
from prover.commitments.workers import Processes
from prover.terms.terms import TermRules, load_fingerprint_input
from tests.benchmarks.shipped_model import VERIFY_RUNS, measured, measured_output, steps_in
from tests.make_big_checkpoint import MODELS, BigModel, write

SMALL = ("gpt2", "tinyllama-1.1b")
WHOLE = ("llama-2-7b",)  # with --large
SHARDS_OF_PROVEN = 6  # of a model that is proven whole: its rows need not all be committed twice


def processor_seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def everywhere() -> float:
    """Of this process, where a native kernel runs, and of its children, where ezkl does."""
    return processor_seconds(resource.RUSAGE_SELF) + processor_seconds(resource.RUSAGE_CHILDREN)


def committer_for(model: BigModel, profile: Profile, folder: Path) -> Committer:
    """Commits rows as the model's size class does, whether or not a profile of it is published."""
    size = smallest_class_for(max(model.hidden, model.ffn, 6 * profile.g**2))
    path = folder / "srs" / f"k{size.k}.srs"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        srs.generate_development(path, size.k)
    trial = replace(profile, folder=folder, document={**profile.document, "size_class": {"name": size.name}})
    for part in ("link", "encoder"):
        if not (folder / part).exists():
            (folder / part).symlink_to(profile.folder.absolute() / part)
    committer = Committer(trial, folder)
    # the unusable rows are those of the circuit whose key is used, not of this class's
    committer._tail = 2**profile.size.k - profile.circuit("link").usable_rows
    return committer


def spread(shards: list[Shard], count: int | None) -> list[Shard]:
    """`count` of them, evenly; all for None."""
    if count is None or count >= len(shards):
        return shards
    return [shards[i * len(shards) // count] for i in range(count)]


def rows(name: str, checkpoint: Path, jobs: int, count: int | None, folder: Path) -> dict[str, Any]:
    """Run in a process of its own, so that its peak memory is its own."""
    profile, model = load_profile(), MODELS[name]
    start, before = time.monotonic(), processor_seconds(resource.RUSAGE_SELF)
    source = load_fingerprint_input(checkpoint, TermRules.of_profile(profile.document))
    read_s, read_cpu = time.monotonic() - start, processor_seconds(resource.RUSAGE_SELF) - before
    weights = sum(matrix.size for matrix in source.matrices.by_name.values())
    before = processor_seconds(resource.RUSAGE_SELF)
    size = smallest_class_for(max(model.hidden, model.ffn, 6 * profile.g**2))
    salted = {n: SaltedMatrix.of(n, m, bytes(32), size.k) for n, m in source.matrices.by_name.items()}
    salt_cpu = processor_seconds(resource.RUSAGE_SELF) - before
    shards = cut(salted)
    chosen = spread(shards, count)
    committer = committer_for(model, profile, folder)
    committer.row_work(model.hidden)
    before, start = everywhere(), time.monotonic()
    done = sum(shard.rows for shard, _ in committer.shards(chosen, Processes(jobs)))
    commit_s, commit_cpu = time.monotonic() - start, everywhere() - before
    total = sum(shard.rows for shard in shards)
    return {
        "model": name,
        "size_class": size.name,
        "weights": weights,
        "rows": total,
        "checkpoint_MB": round(sum(f.stat().st_size for f in checkpoint.iterdir()) / 1e6),
        "quantization_cosine": round(source.cosine, 5),
        "read_s": round(read_s, 1),
        "read_us_per_weight_and_core": round(1e6 * read_cpu / weights, 3),
        "salts_us_per_weight_and_core": round(1e6 * salt_cpu / weights, 3),
        "jobs": jobs,
        "rows_committed": done,
        "commit_s_all_rows": round(commit_s * total / done, 1),
        "commit_us_per_weight": round(1e6 * commit_s / (done * model.hidden), 3),
        "commit_us_per_weight_and_core": round(1e6 * commit_cpu / (done * model.hidden), 3),
        "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "commitments_bytes": 64 * (total + 13),
    }


def whole(name: str, checkpoint: Path, jobs: int, scratch: Path) -> dict[str, Any]:
    """`huref prove` as a user runs it, with keys built before, and `huref-verify`."""
    python, bundle, model = sys.executable, scratch / "out" / "bundle", MODELS[name]
    longest = max(model.hidden, model.ffn, 6 * load_profile().g ** 2)
    profile = next(p for p in published() if load_profile(p).size.data_length >= longest)
    keys = measured([python, "-m", "prover.cli", "circuits", "build", "--profile", profile])
    prove = [python, "-m", "prover.cli", "prove", str(checkpoint), "-o", str(bundle), "--jobs", str(jobs), "--json"]
    out, err, proved = measured_output([*prove, "--secret", str(scratch / "private" / "s.json")])
    verify = [python, "-m", "verifier", str(bundle), "--allow-dev-srs", "--json"]
    runs = sorted((measured(verify) for _ in range(VERIFY_RUNS)), key=lambda one: float(one["seconds"]))
    sizes = {file.name: file.stat().st_size for file in sorted(bundle.iterdir())}
    rows = model.committed_rows
    return {
        "model": name,
        "profile": json.loads(out)["profile"],
        "whole_weights": model.committed_weights,
        "whole_rows": rows,
        "build_keys": keys,
        "prove": {**proved, "steps": steps_in(err)},
        "verify": runs[VERIFY_RUNS // 2],
        "bundle_bytes": sizes,
        "bundle_bytes_beside_rows": sum(sizes.values()) - 64 * rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", action="store_true", help="all sizes; the 70B one needs 5 GB of disk")
    parser.add_argument("--models", help="comma-separated: " + ", ".join(MODELS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--shards", type=int, help="commit only this many shards of each")
    parser.add_argument("--prove", help="models to prove whole, comma-separated; with --large: " + ",".join(WHOLE))
    parser.add_argument("--whole-only", action="store_true", help="only those, and only that")
    parser.add_argument("--checkpoints", type=Path, help="keep checkpoints here, and use those that are there")
    parser.add_argument("--rows-of", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.rows_of:
        name, checkpoint, folder = asked.rows_of
        print(json.dumps(rows(name, Path(checkpoint), asked.jobs, asked.shards, Path(folder))))
        return
    proven = asked.prove.split(",") if asked.prove else list(WHOLE) if asked.large else []
    names = asked.models.split(",") if asked.models else list(MODELS if asked.large else SMALL)
    for name in proven if asked.whole_only else names:
        with tempfile.TemporaryDirectory(prefix="huref-bench-") as scratch_name:
            scratch = Path(scratch_name)
            checkpoint = (asked.checkpoints or scratch) / name
            if not (checkpoint / "model.safetensors.index.json").exists():
                write(checkpoint, MODELS[name])
            line: dict[str, Any] = {}
            if not asked.whole_only:
                command = [sys.executable, "-m", "tests.benchmarks.large_models", "--jobs", str(asked.jobs)]
                shards = asked.shards or (SHARDS_OF_PROVEN if name in proven else None)
                command += ["--shards", str(shards)] if shards else []
                (scratch / "bases").mkdir()
                command += ["--rows-of", name, str(checkpoint), str(scratch / "bases")]
                out, _, figures = measured_output(command)
                line = {**json.loads(out), "peak_MB_of_all": figures["peak_MB"]}
            if name in proven:
                line |= whole(name, checkpoint, asked.jobs, scratch)
            print(json.dumps(line), flush=True)
            if asked.checkpoints is None:
                shutil.rmtree(checkpoint)


if __name__ == "__main__":
    main()
