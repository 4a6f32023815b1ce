"""The tokens whose embeddings make X: rule `sha256-order-v1` (docs/protocol.md section 3).

For comparisons outside proofs also: tokens that two vocabularies have in common, and a list in a file.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from circuits.errors import CheckpointError, UsageError
from prover.formats.bounded_files import parse_json, parse_json_value, read_bytes

MAX_TOKEN_LIST_BYTES = 64 << 20  # HuRef's own list has 4,096 strings; whole vocabularies are a few MB

MAX_VOCABULARY = 1 << 20  # entries of model.vocab; the largest published ones have 260,000

TOKEN_RULE = "sha256-order-v1"  # noqa: S105 - a rule's name, not a password


@dataclass(frozen=True)
class Tokens:
    """The chosen tokens. `ids` and `strings` in order, `candidates` is n, digests are raw SHA-256."""

    ids: tuple[int, ...]
    strings: tuple[str, ...] = field(repr=False)
    candidates: int
    sha256: bytes
    tokenizer_sha256: bytes

    @property
    def count(self) -> int:
        """K."""
        return len(self.ids)


def token_candidates(tokenizer_json: bytes, embedding_rows: int, file: Path | str) -> list[tuple[str, int]]:
    """All n candidates as (string, id), sorted by the SHA-256 of the UTF-8 string (section 3, Tokens).

    Raises:
        CheckpointError: `file` is not JSON, or has no table `model.vocab` from strings to ids.
    """
    document = parse_json(tokenizer_json, file)
    model = document.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict):
        raise CheckpointError(
            f"{file}: field model.vocab: not an object that maps strings to ids",
            step="tokens",
            hint="BPE, WordPiece and WordLevel tokenizers are supported",
        )
    added = document.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(item, dict) for item in added):
        raise CheckpointError(f"{file}: field added_tokens: not a list of objects", step="tokens")
    if len(vocabulary) > MAX_VOCABULARY:
        raise CheckpointError(
            f"{file}: field model.vocab: {len(vocabulary)} entries, the limit is {MAX_VOCABULARY}", step="tokens"
        )
    for place, item in enumerate(added):
        for key, kind, words in (("id", int, "an integer"), ("content", str, "a string")):
            if item.get(key) is not None and type(item[key]) is not kind:  # 7.0 and true would equal 7 and 1
                raise CheckpointError(
                    f"{file}: field added_tokens[{place}].{key}: {ascii(item[key])[:40]} is not {words}", step="tokens"
                )
    left_out_ids = {item.get("id") for item in added}
    left_out_strings = {item.get("content") for item in added}
    for string, token in vocabulary.items():
        if type(token) is not int or token < 0:
            raise CheckpointError(f"{file}: field model.vocab[{string[:40]!a}]: not an id", step="tokens")
    sha256 = hashlib.sha256
    try:
        keyed = [
            (sha256(string.encode("utf-8")).digest(), string, token)
            for string, token in vocabulary.items()
            if token < embedding_rows and token not in left_out_ids and string not in left_out_strings
        ]
    except UnicodeEncodeError as error:
        string = str(error.object)
        raise CheckpointError(f"{file}: field model.vocab[{string[:40]!a}]: not Unicode text", step="tokens") from error
    keyed.sort(key=itemgetter(0))
    return [(string, token) for _, string, token in keyed]


def select_tokens(
    tokenizer_json: bytes,
    embedding_rows: int,
    k_min: int,
    k_max: int,
    g: int,
    file: Path | str = "tokenizer.json",
) -> Tokens:
    """The K tokens of rule `sha256-order-v1`: `K = min(k_max, 2g floor(n / 2g))`, refused below `k_min`.

    Raises:
        UsageError: k_max is not a positive multiple of 2g.
        CheckpointError: tokenizer damaged, or vocabulary too small.
    """
    if g < 1 or k_max < 2 * g or k_max % (2 * g):
        raise UsageError(f"tokens.K_max: {k_max} is not a positive multiple of 2g = {2 * g}", step="tokens")
    chosen = token_candidates(tokenizer_json, embedding_rows, file)
    candidates = len(chosen)
    count = min(k_max, 2 * g * (candidates // (2 * g)))
    if count < max(k_min, 2 * g):
        raise CheckpointError(
            f"{file}: field model.vocab: vocabulary too small, {candidates} usable tokens give K = {count}",
            step="tokens",
            hint=f"K must be at least {max(k_min, 2 * g)}",
        )
    return _tokens(chosen[:count], candidates, tokenizer_json)


def _tokens(chosen: list[tuple[str, int]], candidates: int, tokenizer_json: bytes) -> Tokens:
    digest = hashlib.sha256()
    for string, _ in chosen:
        data = string.encode("utf-8")
        digest.update(struct.pack(">I", len(data)) + data)
    return Tokens(
        ids=tuple(token for _, token in chosen),
        strings=tuple(string for string, _ in chosen),
        candidates=candidates,
        sha256=digest.digest(),
        tokenizer_sha256=hashlib.sha256(tokenizer_json).digest(),
    )


# ---------------------------------------- comparisons outside proofs


def read_token_list(file: Path) -> tuple[str, ...]:
    """A list of token strings, without repeats: `*.json` is a JSON list, anything else has one string a line.

    Strings are those of the tokenizer's table, as in HuRef's lists: a space is what the table writes for it.

    Raises:
        CheckpointError: missing, too long, not UTF-8, not a list of strings, or empty.
    """
    data = read_bytes(file, MAX_TOKEN_LIST_BYTES)
    if file.suffix == ".json":
        listed = parse_json_value(data, file)
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise CheckpointError(f"{file}: not a JSON list of strings", step="tokens")
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{file}: not UTF-8 text", step="tokens") from error
        listed = [line.removesuffix("\r") for line in text.split("\n")]
    strings = tuple(dict.fromkeys(string for string in listed if string))
    if not strings:
        raise CheckpointError(f"{file}: no token in it", step="tokens", hint="one token string a line, or a JSON list")
    return strings


def strings_in_common(
    left: list[tuple[str, int]], right: list[tuple[str, int]], listed: tuple[str, ...] | None = None
) -> list[tuple[str, int, int]]:
    """(string, id left, id right) of every string that is a candidate in both, in the rule's order or as `listed`."""
    ids = dict(left), dict(right)
    order = listed if listed is not None else ids[0]
    return [(string, ids[0][string], ids[1][string]) for string in order if string in ids[0] and string in ids[1]]


def select_in_common(
    common: list[tuple[str, int, int]], tokenizers: tuple[bytes, bytes], k_max: int, g: int
) -> tuple[Tokens, Tokens]:
    """The same K strings for two vocabularies: `K = min(k_max, 2g floor(n / 2g))` with n strings in common.

    Raises:
        UsageError: fewer than 2g strings in common.
    """
    count = min(k_max, 2 * g * (len(common) // (2 * g)))
    if count < 2 * g:
        raise UsageError(
            f"tokens: {len(common)} strings are usable in both vocabularies, at least {2 * g} are needed",
            step="tokens",
            hint="strings must be written as in model.vocab of tokenizer.json",
        )
    left = [(string, token) for string, token, _ in common[:count]]
    right = [(string, token) for string, _, token in common[:count]]
    return _tokens(left, len(common), tokenizers[0]), _tokens(right, len(common), tokenizers[1])
