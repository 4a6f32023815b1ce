"""Section 3 of docs/protocol.md, each step beside a slow and obvious twin in Python integers."""

import hashlib
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from circuits.errors import CheckpointError, UsageError
from prover.checkpoint.families import ROLES, Shape
from prover.checkpoint.folded_matrix import FoldedMatrix, fold, tree_sum
from prover.terms.quantization import quantize
from prover.terms.terms import (
    FingerprintInput,
    Matrices,
    TermRules,
    exact_product,
    project_rows,
    projected_terms,
    projection,
    repeat_rows,
    scale_integers,
    select_tokens,
)
from tests.prover.small_models import RULES, load, random_llama, tokenizer_document, write_llama

SHAPE = Shape("llama", 8, 6, 2, 3, 10, 5, (3, 4), 100)
SEED = bytes(range(32))


def random_matrices(shape: Shape, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    sizes = {"embedding": count}
    sizes |= {f"layers.{i}.{role}": shape.rows(role) for i in shape.layers for role in ROLES}
    return {n: random.integers(-127, 128, (rows, shape.hidden_size), np.int8) for n, rows in sizes.items()}


# ------------------------------------------------------------------------------------------------- tokens


def slow_tokens(document: dict, rows: int, k_max: int, g: int) -> tuple[list[str], int]:
    added = document["added_tokens"]
    left = []
    for string, token in document["model"]["vocab"].items():
        if any(item["id"] == token or item["content"] == string for item in added) or token >= rows:
            continue
        left.append(string)
    left.sort(key=lambda string: hashlib.sha256(string.encode()).hexdigest())
    return left[: min(k_max, 2 * g * (len(left) // (2 * g)))], len(left)


@pytest.mark.parametrize(("rows", "k_max", "g"), [(600, 4096, 16), (600, 64, 16), (450, 4096, 8), (10_000, 512, 1)])
def test_tokens_are_those_of_the_rule(rows: int, k_max: int, g: int) -> None:
    document = tokenizer_document()
    document["model"]["vocab"] |= {"\u00e4\u4e16": 598, "\U0001f600": 599, "extra": 7}
    document["added_tokens"] += [{"id": 9, "content": "other string"}, {"id": 10_000, "content": "token11"}]
    raw = json.dumps(document).encode()
    tokens = select_tokens(raw, rows, 1, k_max, g)
    strings, candidates = slow_tokens(document, rows, k_max, g)
    assert list(tokens.strings) == strings
    assert tokens.candidates == candidates
    assert [document["model"]["vocab"][string] for string in strings] == list(tokens.ids)
    listed = b"".join(len(s.encode()).to_bytes(4, "big") + s.encode() for s in strings)
    assert tokens.sha256 == hashlib.sha256(listed).digest()
    assert tokens.tokenizer_sha256 == hashlib.sha256(raw).digest()
    assert tokens.count % (2 * g) == 0


def test_a_vocabulary_below_k_min_is_refused() -> None:
    raw = json.dumps(tokenizer_document()).encode()
    assert select_tokens(raw, 600, 576, 4096, 16).count == 576
    with pytest.raises(CheckpointError, match=r"model\.vocab: vocabulary too small"):
        select_tokens(raw, 600, 577, 4096, 16)


@pytest.mark.parametrize(("k_max", "g"), [(100, 16), (0, 16), (32, 0), (16, 16)])
def test_a_k_max_that_is_not_balanced_is_refused(k_max: int, g: int) -> None:
    with pytest.raises(UsageError):
        select_tokens(json.dumps(tokenizer_document()).encode(), 600, 1, k_max, g)


# ------------------------------------------------------------------------------------------- quantization


def test_quantizing_scales_rounds_and_clips() -> None:
    stored = np.random.default_rng(3).normal(size=(40, 64))
    stored[0, :3] = [30, -30, 9]
    matrix = FoldedMatrix("m", stored)
    rms = math.sqrt(math.fsum(value * value for value in stored.reshape(-1).tolist()) / stored.size)
    assert math.isclose(matrix.rms(), rms, rel_tol=1e-14)
    result, clipped = quantize(matrix)
    assert result.dtype == np.int8
    expected = [round(value * (16 / matrix.rms())) for value in stored.reshape(-1).tolist()]
    assert result.reshape(-1).tolist() == [max(-127, min(127, value)) for value in expected]
    assert clipped == sum(abs(value) > 127 for value in expected) / stored.size
    assert clipped > 0


def test_halves_go_to_even() -> None:
    # The squares add up to 12 * 256, so that the factor is exactly 1.
    matrix = FoldedMatrix("m", np.array([[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.5, 0.5, 55, 5, 2, 0]]))
    assert matrix.rms() == 16.0
    assert quantize(matrix)[0].tolist() == [[0, 2, 2, 0, -2, -2, 0, 0, 55, 5, 2, 0]]


def test_folding_multiplies_columns_and_centres_rows() -> None:
    rows = np.array([[1, 2, 3], [4, 5, 9]], np.float32)
    assert fold(rows, np.array([1.0, 10.0, 100.0])).tolist() == [[1, 20, 300], [4, 50, 900]]
    assert fold(rows, None, centred=True).tolist() == [[-1, 0, 1], [-2, -1, 3]]


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.random.default_rng(1).normal(size=(50, 40)).astype(np.float32)
    matrix = FoldedMatrix("m", stored, np.linspace(0.5, 2, 40), centred=True)
    whole = quantize(matrix)[0], matrix.rms()
    monkeypatch.setattr("prover.checkpoint.folded_matrix._BLOCK_ENTRIES", 80)
    assert np.array_equal(quantize(matrix)[0], whole[0])
    assert matrix.rms() == whole[1]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 1000])
def test_tree_sum_is_a_sum(length: int) -> None:
    values = np.random.default_rng(length).normal(size=(3, length))
    assert np.allclose(tree_sum(values), [math.fsum(row) for row in values], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("value", [0.0, 1e-320])
def test_a_matrix_that_cannot_be_scaled_is_refused(value: float) -> None:
    with pytest.raises(CheckpointError, match=r"matrix layers\.3\.q"):
        quantize(FoldedMatrix("layers.3.q", np.full((2, 2), value)))


# --------------------------------------------------------------------------------------------- projection


def slow_projection(seed: bytes, count: int, g: int) -> list[list[int]]:
    head = b"huref-zk/v1/projection" + seed + count.to_bytes(4, "big") + g.to_bytes(4, "big")
    stream = hashlib.shake_256(head).digest(8 * count)
    keyed = sorted((int.from_bytes(stream[8 * j : 8 * j + 8], "big"), j) for j in range(count))
    matrix = [[0] * count for _ in range(g)]
    for r, (_, position) in enumerate(keyed):
        matrix[r % g][position] = 1 if (r // g) % 2 == 0 else -1
    return matrix


def dense(bucket: np.ndarray, sign: np.ndarray, g: int) -> np.ndarray:
    matrix = np.zeros((g, len(bucket)), dtype=object)
    matrix[bucket, np.arange(len(bucket))] = [int(value) for value in sign]
    return matrix


@pytest.mark.parametrize(("count", "g"), [(2, 1), (32, 16), (64, 4), (1920, 16), (4096, 32)])
def test_projection(count: int, g: int) -> None:
    by = projection(SEED, count, g)
    assert dense(by.bucket, by.sign, g).tolist() == slow_projection(SEED, count, g)
    for i in range(g):
        assert by.sign[by.bucket == i].sum() == 0
        assert (by.bucket == i).sum() == count // g


@pytest.mark.parametrize(("seed", "count", "g"), [(bytes(31), 32, 16), (SEED, 48, 16), (SEED, 0, 16), (SEED, 8, 0)])
def test_projection_refuses(seed: bytes, count: int, g: int) -> None:
    with pytest.raises(UsageError):
        projection(seed, count, g)


# -------------------------------------------------------------------------------------------------- terms


def test_repetition_is_by_query_group() -> None:
    head_dim, rep, heads = 3, 4, 8
    rows = np.arange(heads // rep * head_dim)[:, None] * np.ones(5, int)
    expanded = repeat_rows(rows, head_dim, rep)
    assert expanded.shape == (heads * head_dim, 5)
    for h in range(heads):
        for i in range(head_dim):
            assert expanded[h * head_dim + i, 0] == (h // rep) * head_dim + i


def slow_full_terms(matrices: dict[str, np.ndarray], shape: Shape) -> list[list[list[int]]]:
    """The K x K terms of the paper, M_t[a][b] = sum_e <x_a, u_e> <x_b, v_e>, in Python integers."""
    rows = {name: matrix.tolist() for name, matrix in matrices.items()}
    rep = shape.heads // shape.kv_heads
    for i in shape.layers:
        for role in ("k", "v"):
            stored = rows[f"layers.{i}.{role}"]
            rows[f"layers.{i}.{role}"] = [
                stored[(h // rep) * shape.head_dim + j] for h in range(shape.heads) for j in range(shape.head_dim)
            ]

    def dot(a: list[int], b: list[int]) -> int:
        return sum(x * y for x, y in zip(a, b, strict=True))

    terms = []
    for i in shape.layers:
        for left, right in (("q", "k"), ("v", "o"), ("up", "down")):
            u, v = rows[f"layers.{i}.{left}"], rows[f"layers.{i}.{right}"]
            xu = [[dot(x, row) for row in u] for x in rows["embedding"]]
            xv = [[dot(x, row) for row in v] for x in rows["embedding"]]
            terms.append([[dot(a, b) for b in xv] for a in xu])
    return terms


def test_projected_terms_are_p_m_pt() -> None:
    g, count = 4, 24
    matrices = random_matrices(SHAPE, count)
    by = projection(SEED, count, g)
    p = np.array(slow_projection(SEED, count, g), dtype=object)
    expected = [(p @ np.array(term, dtype=object) @ p.T).tolist() for term in slow_full_terms(matrices, SHAPE)]
    result = projected_terms(matrices, SHAPE, by)
    assert result.shape == (6, g, g)
    assert result.tolist() == expected
    assert all(type(value) is int for value in result.reshape(-1))
    assert project_rows(matrices["embedding"], by).tolist() == (p @ matrices["embedding"].astype(object)).tolist()


@pytest.mark.parametrize("bits", [3, 20, 26, 31, 45])
def test_products_are_exact_at_every_size(bits: int) -> None:
    random = np.random.default_rng(bits)
    left = random.integers(-(2**bits), 2**bits + 1, (5, 30))
    right = random.integers(-(2**bits), 2**bits + 1, (30, 4))
    left[0], right[:, 0] = 2**bits, 2**bits  # the largest possible entry
    expected = left.astype(object) @ right.astype(object)
    assert exact_product(left, right).astype(object).tolist() == expected.tolist()


def test_products_of_the_smallest_int64() -> None:
    left = np.full((1, 1), -(2**63), np.int64)
    assert exact_product(left, left).tolist() == [[2**126]]


@pytest.mark.parametrize("factor", [1, 1000, 10**9])
def test_scale_integers_round_correctly(factor: int) -> None:
    random = np.random.default_rng(5)
    terms = random.integers(-(10**6), 10**6, (6, 4, 4)).astype(object) * factor
    shift = 50
    for term, c in zip(terms, scale_integers(terms, 4, shift, 1), strict=True):
        squares = sum(value**2 for value in term.reshape(-1).tolist())
        target = Fraction(4 * 2**shift) ** 2 / squares
        # c - 1/2 <= sqrt(target) < c + 1/2
        assert Fraction(2 * c - 1, 2) ** 2 <= target < Fraction(2 * c + 1, 2) ** 2


@pytest.mark.parametrize(("shift", "c_min"), [(70, 1), (10, 1), (40, 2**31)])
def test_scale_integers_out_of_range_are_refused(shift: int, c_min: int) -> None:
    terms = np.full((6, 4, 4), 2**25, dtype=object)
    with pytest.raises(CheckpointError, match="c_0"):
        scale_integers(terms, 4, shift, c_min)


def test_a_zero_term_is_refused() -> None:
    with pytest.raises(CheckpointError, match="S_0 is zero"):
        scale_integers(np.zeros((6, 4, 4), dtype=object), 4, 50, 1)


def test_weights_digest() -> None:
    matrices = random_matrices(SHAPE, 24)
    data = b"".join(
        len(name).to_bytes(4, "big")
        + name.encode()
        + matrix.shape[0].to_bytes(4, "big")
        + matrix.shape[1].to_bytes(4, "big")
        + matrix.tobytes()
        for name, matrix in matrices.items()
    )
    assert Matrices(matrices, {}).sha256() == hashlib.sha256(data).digest()


def test_loading_puts_everything_in_order(tmp_path: Path) -> None:
    weights = random_llama()[1]
    loaded = load(write_llama(tmp_path))
    assert isinstance(loaded, FingerprintInput)
    assert tuple(loaded.matrices.by_name) == loaded.shape.matrix_names()
    assert loaded.shape.as_statement() == {
        "family": "llama",
        "hidden_size": 64,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 16,
        "intermediate_size": 96,
        "num_layers": 3,
        "layers": [1, 2],
        "vocab_size": 600,
    }
    assert loaded.shape.term_rows == (64, 64, 96, 64, 64, 96)
    block = "model.layers.2."
    expected = {
        "embedding": weights["model.embed_tokens.weight"][list(loaded.tokens.ids)],
        "layers.2.k": weights[block + "self_attn.k_proj.weight"] * weights[block + "input_layernorm.weight"],
        "layers.2.o": weights[block + "self_attn.o_proj.weight"].T,
        "layers.2.up": weights[block + "mlp.up_proj.weight"] * weights[block + "post_attention_layernorm.weight"],
        "layers.2.down": weights[block + "mlp.down_proj.weight"].T,
    }
    for name, rows in expected.items():
        scaled = rows * (16 / np.sqrt((rows**2).mean()))
        stored = loaded.matrices.by_name[name]
        assert stored.shape == (rows.shape[0], 64)
        assert np.abs(stored - np.clip(scaled, -127, 127)).max() <= 0.5 + 1e-9
    assert all(cosine > 0.999 for cosine in loaded.term_cosines)
    assert loaded.weights_sha256 == loaded.matrices.sha256()


def test_rules_of_a_profile() -> None:
    document = {
        "projection": {"g": 16, "seed": SEED.hex()},
        "tokens": {"rule": "sha256-order-v1", "K_min": 128, "K_max": 4096},
        "families": ["llama"],
        "layers": "last-2",
        "quantization": "rms16-int8-v1",
    }
    assert TermRules.of_profile(document) == replace(RULES, families=("llama",))
    others = ({"layers": "all"}, {"quantization": "rms16-int8-v2"}, {"tokens": {**document["tokens"], "rule": "first"}})
    for other in others:
        with pytest.raises(UsageError, match="instead of"):
            TermRules.of_profile({**document, **other})
