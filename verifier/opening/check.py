"""Step 11, opening: the row commitments computed again from a checkpoint and the maker's secret.

A matrix's rows are compared all at once: for factors r_j that the verifier draws now, sum_j r_j C_j = C(sum_j r_j
row_j). If any C_j is another point than its row's, that holds for at most one in 2^128 choices of r_j, whatever the
maker did before. Where it does not hold, the matrix is committed row by row, to name the first that differs.

Source: docs/protocol.md sections 3, 7 and 9.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NoReturn

import numpy as np

from verifier.algebra.curve import Srs, make_bases, negate, parse_srs, to_file_form
from verifier.children.workers import Keys, Workers
from verifier.formats import limits, strict_json
from verifier.formats.encoding import FIELD_MODULUS, SCALAR_BYTES, u32be
from verifier.formats.errors import BadOpening, Rejected, ToolFailure, Unreadable
from verifier.opening.checkpoint import Tensors, Tokens, read_file, read_tokens
from verifier.opening.families import Family
from verifier.opening.folding import Int8Array, quantized_matrices
from verifier.opening.model_config import read_model
from verifier.statement.rows import Points
from verifier.statement.statement import Model, Statement
from verifier.trust.profile import Profile, read_trusted_file

SALTS = 16
# Bytes are committed as 0..255, half the work of 254-bit negatives, and OFFSET times 1...1 is taken off again.
OFFSET = 128
_SCALARS_AT_A_TIME = 1 << 18
FACTOR_BITS = 128  # of each r_j
_LIMB_BITS = 22  # limb * 127 * limits.MAX_ROWS < 2^53: sums are exact in float64
_ENTRIES_AT_A_TIME = 1 << 22


@dataclass(frozen=True)
class Secret:
    """The maker's secret file."""

    seed: bytes = field(repr=False)
    weights_sha256: bytes
    cm: bytes


def read_secret(path: Path) -> Secret:
    """Parse the secret file.

    Raises:
        BadOpening: missing, or not one.
    """
    return parse_secret(read_file(path, limits.MAX_SECRET_BYTES), path.name)


def parse_secret(data: bytes, name: str) -> Secret:
    """The same for its bytes; `name` is for messages.

    Raises:
        BadOpening: they are not one.
    """
    try:
        reader = strict_json.Reader(strict_json.parse(data, name, limits.MAX_SECRET_BYTES), name)
        reader.media_type("secret")
        result = Secret(reader.hex64("seed"), reader.hex64("weights_sha256"), reader.hex64("cm"))
        reader.done()
    except (Rejected, Unreadable) as error:
        raise BadOpening(f"the secret file: {error.message}") from None
    return result


def read_secret_of(path: Path, cm: bytes) -> Secret:
    """The secret file of the commitments `cm`.

    Raises:
        BadOpening: missing, not one, or that of others.
    """
    secret = read_secret(path)
    if secret.cm != cm:
        raise BadOpening(f"{path}: the secret of other commitments", hint="give the file made with this bundle")
    return secret


def row_salts(seed: bytes, k: int, name: str, row: int, data: bytes) -> list[int]:
    """16 salts of a row.

    `SHAKE256("huref-zk/v1/row-salt" || seed || u32be(k) || u32be(len(name)) || name || u32be(row) ||
    SHA3-256(row))`, 64 bytes each, mod p.
    """
    label = name.encode("ascii")
    head = b"huref-zk/v1/row-salt" + seed + u32be(k) + u32be(len(label)) + label + u32be(row)
    wide = hashlib.shake_256(head + hashlib.sha3_256(data).digest()).digest(64 * SALTS)
    return [int.from_bytes(wide[i : i + 64], "big") % FIELD_MODULUS for i in range(0, len(wide), 64)]


class RowCommitter:
    """Commits rows of bytes with a bases file that holds only the Lagrange points they touch."""

    def __init__(self, workers: Workers, srs: Srs, usable_rows: int, width: int, data_length: int, keys: Keys) -> None:
        """For rows of `width` bytes in vectors whose salt begins at entry `data_length`."""
        self._workers, self._keys, self._width = workers, keys, width
        self._g2, self._unusable = srs.g2, (1 << srs.k) - usable_rows
        unusable = self._unusable
        touched = srs.lagrange_points([*range(width), *range(data_length, data_length + SALTS)])
        # -128 sum L_i, so that scalars w_i + 128 commit to w_i
        first = make_bases(touched[:width], srs.g2, unusable)
        (offset,) = workers.multiply([[OFFSET] * width], keys, workers.write_bases(first), first.capacity)
        bases = make_bases([*touched, to_file_form(negate(offset))], srs.g2, unusable)
        self._bases, self._capacity = workers.write_bases(bases), bases.capacity
        self.rows_at_a_time = max(1, _SCALARS_AT_A_TIME // bases.capacity)

    def commit(self, rows: Int8Array, salts: list[list[int]]) -> list[bytes]:
        """`C(row)` for each row, int8 [n, width], with its 16 salts."""
        scalars = np.zeros((len(rows), self._capacity, SCALAR_BYTES), dtype=np.uint8)
        scalars[:, : self._width, 0] = (rows.astype(np.int16) + OFFSET).astype(np.uint8)
        packed = b"".join(salt.to_bytes(SCALAR_BYTES, "little") for one in salts for salt in one)
        scalars[:, self._width : self._width + SALTS] = np.frombuffer(packed, np.uint8).reshape(-1, SALTS, SCALAR_BYTES)
        scalars[:, self._width + SALTS, 0] = 1
        return self._workers.multiply_message(scalars.tobytes(), len(rows), self._keys, self._bases)

    def commit_sums(self, sums: Sequence[Sequence[int]]) -> list[bytes]:
        """`C(v)` of each v: `width` entries and 16 salts, any integers."""
        return self._workers.multiply(sums, self._keys, self._bases, self._capacity)

    def sum_of_points(self, factors: Sequence[int], points: Sequence[bytes]) -> bytes:
        """`sum_j r_j C_j`."""
        bases = make_bases([to_file_form(point) for point in points], self._g2, self._unusable)
        path = self._workers.write_bases(bases)
        (result,) = self._workers.multiply([factors], self._keys, path, bases.capacity)
        path.unlink(missing_ok=True)
        return result


def sum_of_rows(matrix: Int8Array, factors: Sequence[int]) -> list[int]:
    """`sum_j r_j row_j`, [d] integers, exact: int8 [n, d] times the limbs of n factors below 2^128."""
    mask, count = (1 << _LIMB_BITS) - 1, -(-FACTOR_BITS // _LIMB_BITS)
    limbs = np.array([[r >> (_LIMB_BITS * i) & mask for r in factors] for i in range(count)], dtype=np.float64)
    total = np.zeros((count, matrix.shape[1]))
    step = max(1, _ENTRIES_AT_A_TIME // matrix.shape[1])
    for begin in range(0, len(matrix), step):
        total += limbs[:, begin : begin + step] @ matrix[begin : begin + step].astype(np.float64)
    columns = total.T.astype(np.int64).tolist()
    return [sum(value << (_LIMB_BITS * i) for i, value in enumerate(column)) for column in columns]


def check_opening(
    statement: Statement,
    points: Points,
    cm: bytes,
    profile: Profile,
    weights: Path,
    secret: Path,
    workers: Workers,
) -> str:
    """Step 11. Gives what was compared.

    Raises:
        Rejected: naming the first difference.
        BadOpening: checkpoint or secret cannot be read.
    """
    opening = read_secret_of(secret, cm)
    family, tokens = _check_description(statement, profile, weights)
    digest = hashlib.sha256()

    def matrices() -> Iterable[tuple[str, Int8Array]]:
        return quantized_matrices(Tensors(weights), family, statement.model, tokens.ids)

    def hashed() -> Iterator[tuple[str, Int8Array]]:
        for name, matrix in matrices():
            label = name.encode("ascii")
            digest.update(u32be(len(label)) + label + u32be(matrix.shape[0]) + u32be(matrix.shape[1]))
            digest.update(matrix.tobytes())
            yield name, matrix

    compare_rows(hashed, points.rows, opening, statement, profile, workers)
    if digest.digest() != opening.weights_sha256:
        raise Rejected(f"{secret}: weights_sha256 is not that of this checkpoint's quantized matrices", code="opening")
    return f"{statement.total_rows} row commitments computed again from {weights} are equal"


def compare_rows(
    matrices: Callable[[], Iterable[tuple[str, Int8Array]]],
    points: Sequence[Sequence[bytes]],
    opening: Secret,
    statement: Statement,
    profile: Profile,
    workers: Workers,
) -> None:
    """Whether the points are the commitments of the matrices' rows, with the salts of the opening's seed.

    Args:
        matrices: names and int8 [rows, d]; called again to name the first row that differs.
        points: a matrix's row points, in the same order.
        opening, statement, profile, workers: the bundle's.

    Raises:
        Rejected: naming that row.
    """
    committer = _make_committer(statement, profile, workers)
    sums: list[list[int]] = []
    stated: list[Future[bytes]] = []
    for (name, matrix), expected in zip(matrices(), points, strict=True):
        workers.deadline.remaining()
        factors = [secrets.randbits(FACTOR_BITS) for _ in expected]
        stated.append(workers.submit(functools.partial(committer.sum_of_points, factors, expected)))
        salts = [0] * SALTS
        for row, r in enumerate(factors):
            of_row = row_salts(opening.seed, statement.size_class.k, name, row, matrix[row].tobytes())
            salts = [salt + r * one for salt, one in zip(salts, of_row, strict=True)]
        sums.append(sum_of_rows(matrix, factors) + salts)
    for index, found in enumerate(committer.commit_sums(sums)):
        if found != stated[index].result():
            again = next(itertools.islice(matrices(), index, None))
            _name_the_row(*again, points[index], opening, statement, committer)


def _check_description(statement: Statement, profile: Profile, weights: Path) -> tuple[Family, Tokens]:
    family, model = read_model(weights)
    for part in fields(Model):
        found, stated_part = getattr(model, part.name), getattr(statement.model, part.name)
        if found != stated_part:
            raise Rejected(
                f"{weights / 'config.json'}: {part.name} is {found}, the statement's model has {stated_part}",
                code="opening",
            )
    tokens = read_tokens(weights, model.vocab_size, profile.projection.g, profile.k_max)
    stated = statement.tokens
    found = (len(tokens.ids), tokens.candidates, tokens.sha256, tokens.tokenizer)
    if found != (stated.k, stated.candidates, stated.sha256, stated.tokenizer):
        raise Rejected(f"{weights / 'tokenizer.json'}: other tokens than the statement's", code="opening")
    return family, tokens


def _make_committer(statement: Statement, profile: Profile, workers: Workers) -> RowCommitter:
    k = profile.size_class.k
    srs = parse_srs(read_trusted_file(profile.path(f"srs/k{k}.srs"), profile.srs.sha256), k)
    settings, vk = (
        workers.write(name, read_trusted_file(profile.path(f"link/{name}"), digest))
        for name, digest in (
            ("settings.json", profile.link.digests.settings),
            ("vk.key", profile.link.digests.vk),
        )
    )
    return RowCommitter(
        workers,
        srs,
        profile.link.usable_rows,
        statement.model.hidden_size,
        statement.size_class.data_length,
        Keys(settings, vk),
    )


def _name_the_row(
    name: str,
    matrix: Int8Array,
    expected: Sequence[bytes],
    opening: Secret,
    statement: Statement,
    committer: RowCommitter,
) -> NoReturn:
    """Commit row by row, and reject with the first that differs."""
    for begin, rows, salts in _batches(matrix, committer.rows_at_a_time, opening.seed, statement, name):
        for row, (found, point) in enumerate(zip(committer.commit(rows, salts), expected[begin:], strict=False), begin):
            if found != point:
                raise Rejected(
                    f"{name}, row {row}: the commitment is not that of this checkpoint's row", code="opening"
                )
    raise ToolFailure(f"{name}: the sum of its rows' commitments differs, and no row does")


def _batches(
    matrix: Int8Array, size: int, seed: bytes, statement: Statement, name: str
) -> Iterator[tuple[int, Int8Array, list[list[int]]]]:
    k = statement.size_class.k
    for begin in range(0, len(matrix), size):
        rows = matrix[begin : begin + size]
        yield begin, rows, [row_salts(seed, k, name, begin + i, row.tobytes()) for i, row in enumerate(rows)]
