"""Many checkpoints and pairs at once, for docs/evidence.md: `python -m prover.similarity.pairs JOB.json`.

The laboratory lies in `fpm/`, which imports nothing of the prover: it runs this as a command, so that what it measures
is what `huref ics` and `huref profile` compute. JOB: `{"pairs": [[folder, folder], ...]}`; optional: `profile`, its
name, `k_max` and `seed`, to use fewer tokens than it does, and another projection, and `blocks` (true), to add
`blocks`: the best blocks of each pair (`prover/similarity/blocks.py`).

First a JSON line for each folder: `terms` (six, each at norm 1), `tokens`, `processor_seconds`; or `refused`, with the
reason. Then one for each pair that could be read: `projected`, `p_value`, `verdict`, `unreliable`, `profile`, and
`null_mean`, `null_std`: of the cosines that unrelated models with such terms have.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from circuits.errors import HurefError
from circuits.profiles import DEFAULT_PROFILE, load_profile
from prover.checkpoint.families import FAMILIES, FAMILY_NAMES
from prover.checkpoint.folded_matrix import Float64Array
from prover.checkpoint.tensors import Checkpoint, open_checkpoint
from prover.checkpoint.tokens import select_in_common
from prover.formats.bounded_files import read_json
from prover.similarity.attention_profile import compare_profiles, deviations
from prover.similarity.blocks import best_blocks
from prover.similarity.metrics import common_strings, ics_projected, shared_vocabulary
from prover.similarity.verdict import judge
from prover.terms.terms import FingerprintInput, TermRules, load_fingerprint_input, standardised

MAX_JOB_BYTES = 16 << 20


@dataclass(frozen=True)
class _Read:
    checkpoint: Checkpoint
    terms: FingerprintInput
    profile: dict[str, Float64Array]


def score(pairs: list[tuple[str, str]], rules: TermRules, blocks: bool = False) -> Iterator[dict[str, Any]]:
    """The lines, as documents."""
    found: dict[str, _Read] = {}
    for folder in dict.fromkeys(name for pair in pairs for name in pair):
        started = time.process_time()
        try:
            checkpoint = open_checkpoint(Path(folder), FAMILIES)
            read = _Read(checkpoint, load_fingerprint_input(Path(folder), rules), deviations(checkpoint))
        except HurefError as error:
            yield {"checkpoint": folder, "refused": error.message}
            continue
        found[folder] = read
        yield {
            "checkpoint": folder,
            "terms": standardised(read.terms.terms).tolist(),
            "tokens": read.terms.tokens.count,
            "processor_seconds": time.process_time() - started,
        }
    for left, right in pairs:
        if left in found and right in found:
            line = {"left": left, "right": right, **_pair(found[left], found[right], rules)}
            if blocks:
                sides = found[left].checkpoint, found[right].checkpoint
                line["blocks"] = vars(best_blocks(*sides, common_strings(*sides), rules))
            yield line


def _pair(left: _Read, right: _Read, rules: TermRules) -> dict[str, Any]:
    started = time.process_time()
    own = left.terms, right.terms
    lined_up = own[0].tokens.sha256 == own[1].tokens.sha256
    same = own if lined_up else _over_common_strings(left.checkpoint, right.checkpoint, rules)
    value = ics_projected(*same)
    until_terms = time.process_time()
    verdict = judge(*same, shared_vocabulary(left.checkpoint, right.checkpoint))
    until_verdict = time.process_time()
    profile = compare_profiles(left.profile, right.profile).score
    return {
        "projected": value,
        "projected_by_rule": ics_projected(*own) if own[0].projection.g == own[1].projection.g else None,
        "tokens": same[0].tokens.count,
        "p_value": verdict.p_value,
        "verdict": verdict.word,
        "unreliable": list(verdict.unreliable),
        "null_mean": verdict.null_mean,
        "null_std": verdict.null_std,
        "profile": profile,
        "processor_seconds": {
            "projected": until_terms - started,
            "verdict": until_verdict - until_terms,
            "profile": time.process_time() - until_verdict,
        },
    }


def _over_common_strings(
    left: Checkpoint, right: Checkpoint, rules: TermRules
) -> tuple[FingerprintInput, FingerprintInput]:
    shared = common_strings(left, right)
    tokens = select_in_common(shared, (left.tokenizer_json, right.tokenizer_json), rules.k_max, rules.g)
    return (
        load_fingerprint_input(left.directory, rules, tokens[0]),
        load_fingerprint_input(right.directory, rules, tokens[1]),
    )


def main() -> None:
    """Command line of the laboratory."""
    parser = argparse.ArgumentParser(prog="python -m prover.similarity.pairs", description=__doc__)
    parser.add_argument("job", type=Path)
    job = read_json(parser.parse_args().job, MAX_JOB_BYTES)
    rules = TermRules.of_profile(load_profile(job.get("profile", DEFAULT_PROFILE)).document)
    rules = replace(rules, families=FAMILY_NAMES, k_max=int(job.get("k_max", rules.k_max)))
    rules = replace(rules, k_min=min(rules.k_min, rules.k_max), seed=bytes.fromhex(job.get("seed", rules.seed.hex())))
    pairs = [(str(left), str(right)) for left, right in job["pairs"]]
    for document in score(pairs, rules, job.get("blocks") is True):
        print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
