"""How alike two checkpoints are, outside proofs: PCS, full ICS, projected ICS (HuRef, section 4).

- `pcs`            cosine of the parameters that both checkpoints have in the same shape
- `ics_full`       cosine of the concatenated K x K invariant terms, over tokens that both vocabularies have
- `ics_projected`  cosine of the standardised projected terms: what a fingerprint is made of; of two models with
                   different vocabularies only with tokens chosen from the strings that both have

`ics_full` knows three definitions. `paper` concatenates M_a, M_b, M_f of both layers as they are. `released`
is the same with the feed-forward term of HuRef's published code: gate and up multiplied elementwise. `centred`
gives every term norm 1 and takes the tokens' mean out of X: it is what `ics_projected` estimates, with an error
of about 0.8 / g for unrelated models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from circuits.errors import UsageError
from circuits.profiles import DEFAULT_PROFILE, load_profile
from prover.checkpoint.families import FAMILIES, FAMILY_NAMES
from prover.checkpoint.folded_matrix import Float64Array
from prover.checkpoint.tensors import FLOAT_TYPES, Checkpoint, TensorEntry, open_checkpoint
from prover.checkpoint.tokens import Tokens, select_in_common, strings_in_common, token_candidates
from prover.similarity.verdict import Verdict, judge
from prover.terms.terms import (
    PAIRS,
    REPEATED_ROLES,
    FingerprintInput,
    TermRules,
    cosine,
    load_fingerprint_input,
    read_embedding,
    read_matrix,
    repeat_rows,
    standardised,
)

Definition = Literal["paper", "released", "centred"]
DEFINITIONS: tuple[Definition, ...] = ("paper", "released", "centred")

MAX_TOKENS = 4096  # K x K float32 terms of two models: 128 MB
MIN_TOKENS = 64  # fewer tokens in common say nothing

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Similarity:
    """A similarity and what it was computed over: `count` parameters for PCS, tokens for a full ICS."""

    value: float
    count: int


def pcs(left: Checkpoint, right: Checkpoint) -> Similarity:
    """Cosine of all parameters that have the same name and shape in both, flattened (HuRef's PCS).

    Attention masks and rotary frequencies, which old checkpoints store beside the parameters, do not count.

    Raises:
        UsageError: no parameter in common.
        CheckpointError: damaged tensor.
    """
    product = left_squares = right_squares = 0.0
    count = 0
    for name, entry in left.tensors.items():
        other = right.tensors.get(name)
        if other is None or other.shape != entry.shape or not (is_parameter(entry) and is_parameter(other)):
            continue
        a = left.read(name, entry.shape).reshape(-1).astype(np.float64)
        b = right.read(name, entry.shape).reshape(-1).astype(np.float64)
        product += float(a @ b)
        left_squares += float(a @ a)
        right_squares += float(b @ b)
        count += a.size
    if count == 0:
        raise UsageError(
            "PCS: the two checkpoints have no tensor of the same name and shape",
            step="metrics",
            hint="PCS compares parameters of one architecture; ICS compares any two",
        )
    norm = math.sqrt(left_squares) * math.sqrt(right_squares)
    return Similarity(product / norm if norm > 0 else 0.0, count)


def is_parameter(entry: TensorEntry) -> bool:
    """False for the constants among stored tensors: masks [1, 1, n, n] (some of them bool), `rotary_emb.inv_freq`."""
    constant = entry.name.endswith((".inv_freq", ".masked_bias"))
    return entry.dtype in FLOAT_TYPES and len(entry.shape) in (1, 2) and not constant


def ics_projected(left: FingerprintInput, right: FingerprintInput) -> float:
    """Cosine of the concatenated S'_t, each standardised (docs/protocol.md section 3).

    Raises:
        UsageError: the two were made with different g.
    """
    if left.projection.g != right.projection.g:
        raise UsageError("projected ICS: the two inputs were made with different g", step="metrics")
    return cosine(standardised(left.terms), standardised(right.terms))


def common_strings(
    left: Checkpoint, right: Checkpoint, listed: tuple[str, ...] | None = None
) -> list[tuple[str, int, int]]:
    """(string, id left, id right) of the token strings that both have, by their SHA-256 or in the order of `listed`.

    Raises:
        UsageError: fewer than 64 tokens in common.
        CheckpointError: damaged tokenizer.
    """
    shared = strings_in_common(_candidates(left), _candidates(right), listed)
    if len(shared) < MIN_TOKENS:
        among = "" if listed is None else f" of the {len(listed)} listed"
        raise UsageError(
            f"full ICS: the two vocabularies have only {len(shared)}{among} tokens in common", step="metrics"
        )
    return shared


def _candidates(checkpoint: Checkpoint) -> list[tuple[str, int]]:
    file = checkpoint.directory / "tokenizer.json"
    return token_candidates(checkpoint.tokenizer_json, checkpoint.shape.vocab_size, file)


def shared_vocabulary(left: Checkpoint, right: Checkpoint) -> float:
    """Strings that both vocabularies have, as a share of the smaller one; 0 if that is empty.

    Raises:
        CheckpointError: damaged tokenizer.
    """
    tables = _candidates(left), _candidates(right)
    return len(strings_in_common(*tables)) / max(1, min(len(table) for table in tables))


def common_tokens(
    left: Checkpoint, right: Checkpoint, listed: tuple[str, ...] | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids, left and right, of the first (at most 4,096) of `common_strings`. Raises what that raises."""
    shared = common_strings(left, right, listed)[:MAX_TOKENS]
    return tuple(token for _, token, _ in shared), tuple(token for _, _, token in shared)


def ics_full(
    left: Checkpoint, right: Checkpoint, definition: Definition = "paper", listed: tuple[str, ...] | None = None
) -> Similarity:
    """Cosine of the two models' concatenated K x K invariant terms (see the module's text for `definition`).

    Raises:
        UsageError: too few tokens in common, or a family without a gate where `released` needs one.
        CheckpointError: damaged tensor or tokenizer.
    """
    left_ids, right_ids = common_tokens(left, right, listed)
    product = left_squares = right_squares = 0.0
    for a, b in zip(full_terms(left, left_ids, definition), full_terms(right, right_ids, definition), strict=True):
        ab, aa, bb = _inner(a, b), _inner(a, a), _inner(b, b)
        if definition == "centred" and aa > 0 and bb > 0:
            ab, aa, bb = ab / math.sqrt(aa * bb), 1.0, 1.0
        product, left_squares, right_squares = product + ab, left_squares + aa, right_squares + bb
    norm = math.sqrt(left_squares) * math.sqrt(right_squares)
    return Similarity(product / norm if norm > 0 else 0.0, len(left_ids))


def full_terms(checkpoint: Checkpoint, ids: tuple[int, ...], definition: Definition) -> Iterator[Float32Array]:
    """The six terms `(X U_t^T)(X V_t^T)^T`, t in order, one at a time, each float32 [K, K].

    Raises:
        UsageError: `released` of a family without a gate.
        CheckpointError: damaged tensor.
    """
    x = read_embedding(checkpoint, ids).full()
    if definition == "centred":
        x -= x.mean(axis=0)
    for layer in checkpoint.shape.layers:
        for pair in PAIRS:
            u, v = (_factor(checkpoint, layer, role, definition) for role in pair)
            yield ((x @ u.T).astype(np.float32)) @ ((x @ v.T).astype(np.float32)).T


def _factor(checkpoint: Checkpoint, layer: int, role: str, definition: Definition) -> Float64Array:
    """U_t or V_t: folded rows [e_t, d], key/value rows repeated; for `released`, up times gate."""
    rows = read_matrix(checkpoint, layer, role).full()
    if role in REPEATED_ROLES:
        rows = repeat_rows(rows, checkpoint.shape.head_dim, checkpoint.shape.query_group)
    if definition == "released" and role == "up":
        if checkpoint.family.gate is None:
            raise UsageError(f"released ICS: family {checkpoint.family.name} has no gate", step="metrics")
        rows = rows * read_matrix(checkpoint, layer, "gate").full()
    return rows


def _inner(a: Float32Array, b: Float32Array) -> float:
    """Inner product of two matrices of the same shape, summed in float64."""
    blocks = (slice(begin, begin + 256) for begin in range(0, len(a), 256))
    return sum(float(np.vdot(a[rows].astype(np.float64), b[rows].astype(np.float64))) for rows in blocks)


@dataclass(frozen=True)
class Comparison:
    """What `huref ics` prints about two checkpoints.

    `projected`: of the two fingerprints, each with the tokens that the profile's rule picks; of the listed tokens if
    a list was given. `projected_common`: with the same strings on both sides; None where those are the rule's anyway.
    `projected_tokens`: the K of the last one that is not None. `pcs` is None for two different architectures.
    `verdict`: what follows from the projected ICS over the same strings.
    """

    projected: float
    projected_common: float | None
    projected_tokens: int
    full: dict[Definition, Similarity]
    pcs: Similarity | None
    verdict: Verdict


def compare(left: Path, right: Path, rules: TermRules, listed: tuple[str, ...] | None = None) -> Comparison:
    """Projected ICS under `rules`, every full ICS, and PCS of two checkpoint directories.

    `listed`: token strings to use instead of the rule's, as far as both vocabularies have them.

    Raises:
        CheckpointError: anything wrong with a checkpoint.
        UsageError: vocabularies with too few tokens in common.
    """
    a, b = open_checkpoint(left, FAMILIES), open_checkpoint(right, FAMILIES)
    shared = common_strings(a, b, listed)
    same = select_in_common(shared, (a.tokenizer_json, b.tokenizer_json), rules.k_max, rules.g)
    parameters: Similarity | None
    try:
        parameters = pcs(a, b)
    except UsageError:
        parameters = None
    gated = a.family.gate is not None and b.family.gate is not None
    full = {name: ics_full(a, b, name, listed) for name in DEFINITIONS if gated or name != "released"}
    overlap = shared_vocabulary(a, b)
    if listed is not None:
        pair = _inputs(left, right, rules, same)
        return Comparison(ics_projected(*pair), None, same[0].count, full, parameters, judge(*pair, overlap))
    own = load_fingerprint_input(left, rules), load_fingerprint_input(right, rules)
    lined_up = own[0].tokens.sha256 == own[1].tokens.sha256
    pair = own if lined_up else _inputs(left, right, rules, same)
    return Comparison(
        projected=ics_projected(*own),
        projected_common=None if lined_up else ics_projected(*pair),
        projected_tokens=pair[0].tokens.count,
        full=full,
        pcs=parameters,
        verdict=judge(*pair, overlap),
    )


def similarity_of(
    left: Path, right: Path, *, profile: str = DEFAULT_PROFILE, tokens: tuple[str, ...] | None = None
) -> Comparison:
    """How alike two Hugging Face checkpoints are, without a proof: what `huref ics` prints.

    Args:
        left: a directory with config.json, tokenizer.json and safetensors files.
        right: the other.
        profile: whose projection is used: a published profile's name.
        tokens: token strings to use instead of the profile's rule, as far as both vocabularies have them.

    Raises:
        CheckpointError: anything wrong with a checkpoint, by file and field.
        UsageError: vocabularies with too few tokens in common; no such profile.

    Source: HuRef (NeurIPS 2024), section 4; docs/evidence.md for the p-value.

    >>> models = Path("artifacts/models/base"), Path("artifacts/models/offspring")
    >>> found = similarity_of(*models)
    >>> round(found.projected, 1), found.verdict.word
    (1.0, 'derived')
    """
    return compare(left, right, rules_of(profile), tokens)


def rules_of(profile: str) -> TermRules:
    """A published profile's rules, for every family that is read: its own list of families is about proofs."""
    return replace(TermRules.of_profile(load_profile(profile).document), families=FAMILY_NAMES)


def _inputs(
    left: Path, right: Path, rules: TermRules, tokens: tuple[Tokens, Tokens]
) -> tuple[FingerprintInput, FingerprintInput]:
    return load_fingerprint_input(left, rules, tokens[0]), load_fingerprint_input(right, rules, tokens[1])
