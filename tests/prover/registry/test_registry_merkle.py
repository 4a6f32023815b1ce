"""The hash tree of RFC 6962: the vectors of Certificate Transparency's reference tree; every proof of small trees."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prover.registry.merkle import (
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
    root,
)

# google/certificate-transparency, now transparency-dev/merkle testonly/constants.go: leaves, and the root of each size
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    0: [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    5: [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CONSISTENCY = {
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]
MANY = [leaf_hash(b"%d" % i) for i in range(20)]


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 6962's recursion, as it is written there."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = max(2**i for i in range(10) if 2**i < len(leaves))
    return node_hash(slow_root(leaves[:k]), slow_root(leaves[k:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_reference_tree(size):
    assert root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize("number", INCLUSION)
def test_inclusion_proofs_of_the_reference_tree(number):
    assert [node.hex() for node in inclusion_proof(LEAVES, number)] == INCLUSION[number]


@pytest.mark.parametrize("sizes", CONSISTENCY)
def test_consistency_proofs_of_the_reference_tree(sizes):
    old, new = sizes
    assert [node.hex() for node in consistency_proof(LEAVES[:new], old)] == CONSISTENCY[sizes]


@pytest.mark.parametrize("size", range(21))
def test_levels_give_what_the_recursion_gives(size):
    assert root(MANY[:size]) == slow_root(MANY[:size])


def spoilt(proof: list[bytes]) -> list[list[bytes]]:
    """The proof with each node changed, each left out, one added at either end."""
    other = leaf_hash(b"other")
    one_changed = [[*proof[:i], other, *proof[i + 1 :]] for i in range(len(proof))]
    return [*one_changed, *([*proof[:i], *proof[i + 1 :]] for i in range(len(proof))), [*proof, other], [other, *proof]]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8, 13, 20])
def test_each_leaf_is_included_where_it_is_and_nowhere_else(size):
    tree = MANY[:size]
    top = root(tree)
    for number in range(size):
        proof = inclusion_proof(tree, number)
        assert is_included(tree[number], number, size, proof, top)
        for other in {-1, *range(size), size} - {number}:
            assert not is_included(tree[number], other, size, proof, top)
        assert not is_included(leaf_hash(b"other"), number, size, proof, top)
        assert not is_included(tree[number], number, size, proof, MANY[0] if size > 1 else MANY[1])
        assert not any(is_included(tree[number], number, size, wrong, top) for wrong in spoilt(proof))


@pytest.mark.parametrize("new", [1, 2, 3, 6, 7, 8, 13, 20])
def test_each_tree_extends_its_beginnings_and_nothing_else(new):
    top = root(MANY[:new])
    for old in range(1, new + 1):
        proof, before = consistency_proof(MANY[:new], old), root(MANY[:old])
        assert is_consistent(old, new, before, top, proof)
        changed = root([leaf_hash(b"other"), *MANY[1:old]])
        assert not is_consistent(old, new, changed, top, proof)
        assert not is_consistent(old, new, before, leaf_hash(b"other"), proof)
        assert not any(is_consistent(old, new, before, top, wrong) for wrong in spoilt(proof))
        for other in {0, *range(1, new + 1), new + 1} - {old}:
            assert not is_consistent(other, new, before, top, proof)


@settings(max_examples=200, deadline=None)
@given(st.integers(-2, 40), st.integers(-2, 40), st.lists(st.sampled_from(MANY), max_size=8))
def test_nonsense_is_refused_and_not_stumbled_over(a, b, proof):
    assert not is_included(leaf_hash(b"other"), a, b, proof, MANY[0])
    assert not is_consistent(a, b, leaf_hash(b"x"), leaf_hash(b"y"), proof)
