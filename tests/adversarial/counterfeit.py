"""A counterfeit: a checkpoint of ordinary-looking weights whose terms under the public P are another model's.

One matrix a term is changed, by least squares: the smallest change that gives the wanted terms. The maker needs the
victim's terms under P alone, not its weights.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from prover.checkpoint.folded_matrix import Float64Array
from prover.checkpoint.folding import read_matrix
from prover.checkpoint.tensors import open_checkpoint
from prover.terms.terms import FingerprintInput, TermRules, load_fingerprint_input, project_rows, repeat_rows
from tests.prover.small_models import read_tensors, write_tensors

TENSORS = {
    "q": "model.layers.{i}.self_attn.q_proj.weight",
    "o": "model.layers.{i}.self_attn.o_proj.weight",
    "up": "model.layers.{i}.mlp.up_proj.weight",
}
SIZE = 0.4  # of the wanted terms, relative to the present ones: terms are compared by direction alone
PAIRS = (("q", "k"), ("v", "o"), ("up", "down"))


def make_counterfeit(victim_terms, source: Path, rules: TermRules, target: Path) -> dict[str, float]:
    """Write a checkpoint at `target`: `source` with q, o and up of its last two blocks changed.

    Args:
        victim_terms: [6, g, g], under the rules' P.

    Returns how far each matrix moved, relative to itself.
    """
    model = load_fingerprint_input(source, rules)
    checkpoint = open_checkpoint(source)
    tensors = read_tensors(source / "model.safetensors")
    moved = {}
    for t in range(6):
        layer = model.shape.layers[t // 3]
        role = PAIRS[t % 3][1] if t % 3 == 1 else PAIRS[t % 3][0]
        old = model.matrices.by_name[f"layers.{layer}.{role}"].astype(np.float64)
        new = old + change(model, t, np.asarray(victim_terms[t], dtype=np.float64))
        moved[f"layers.{layer}.{role}"] = float(np.linalg.norm(new - old) / np.linalg.norm(old))
        # quantized units -> folded floats -> stored weights
        folded = read_matrix(checkpoint, layer, role)
        rows = new * np.sqrt((folded.full() ** 2).mean()) / 16.0
        rows = rows if folded.column_scale is None else rows / folded.column_scale
        name = TENSORS[role].replace("{i}", str(layer))
        tensors[name] = (rows.T if role == "o" else rows).astype(np.float32)
    shutil.copytree(source, target)
    write_tensors(target / "model.safetensors", tensors)
    return moved


def change(model: FingerprintInput, t: int, wanted: Float64Array) -> Float64Array:
    """The smallest change of one factor of term t that turns it into a multiple of `wanted`: [e_t, d]."""
    layer, shape = model.shape.layers[t // 3], model.shape
    a = project_rows(model.matrices.by_name["embedding"], model.projection).astype(np.float64)
    now = np.asarray(model.terms[t], dtype=np.float64)
    missing = SIZE * wanted * np.linalg.norm(now) / np.linalg.norm(wanted) - now
    left, right = PAIRS[t % 3]
    other = left if t % 3 == 1 else right
    fixed = a @ model.matrices.by_name[f"layers.{layer}.{other}"].astype(np.float64).T
    if other in ("k", "v"):
        fixed = repeat_rows(fixed.T, shape.head_dim, shape.query_group).T
    if t % 3 == 1:
        # (A V^T) (A O^T)^T = S: O -> O + D with (A V^T) D A^T = missing
        return np.linalg.pinv(fixed) @ missing @ np.linalg.pinv(a.T)
    # (A U^T) (A V^T)^T = S: U -> U + D with A D^T (A V^T)^T = missing
    return (np.linalg.pinv(a) @ missing @ np.linalg.pinv(fixed.T)).T
