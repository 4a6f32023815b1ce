"""The methods that are compared, other than the prover's own: from their papers' definitions, in our own code.

- `pcs`       cosine of all parameters of the same name and shape (HuRef, section 4)
- `released`  ICS as HuRef's published code computes it: matrices as stored, no norm folded, gate times up, GPT-NeoX's
              packed queries, keys and values cut in three; each term less its mean, divided by its deviation
- `reef`      centred kernel alignment, linear kernel, of hidden states (REEF, arXiv 2410.14273)
- `z`         cosine after the published encoder and head; `picture`: likeness of the two pictures
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from circuits.profiles import Profile
from fpm.encoder_figures import Fingerprinter
from fpm.evidence.corpora import Library
from fpm.evidence.models import load_model
from fpm.evidence.statistics import MISSING
from fpm.generator_figures import Painter, perceptual
from fpm.latent import Z_DIM
from fpm.real_models import candidate_ids

Array = npt.NDArray[np.float64]

MAX_TOKENS = 4096  # of the released code
DEPTH = 18 / 32  # REEF looks at block 18 of Llama-2-7B's 32
SAMPLES, SAMPLE_TOKENS = 200, 48


@dataclass(frozen=True)
class Weights:
    """A checkpoint's tensors, float32, its config.json and its token strings."""

    folder: Path

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """By name."""
        return {name: tensor.float() for name, tensor in load_file(self.folder / "model.safetensors").items()}

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json."""
        found: dict[str, Any] = json.loads((self.folder / "config.json").read_text("utf-8"))
        return found

    @cached_property
    def tokens(self) -> dict[str, int]:
        """Ids of the rule's candidates by string, in the rule's order."""
        embedding = next(t for name, t in self.tensors.items() if "embed" in name)
        return dict(candidate_ids(self.folder / "tokenizer.json", len(embedding)))


def pcs(left: Weights, right: Weights) -> float:
    """Cosine of the parameters that both have in the same shape."""
    product = left_squares = right_squares = 0.0
    for name, a in left.tensors.items():
        b = right.tensors.get(name)
        if b is not None and a.shape == b.shape:
            product += float((a.double() * b).sum())
            left_squares += float((a.double() ** 2).sum())
            right_squares += float((b.double() ** 2).sum())
    norm = (left_squares * right_squares) ** 0.5
    return product / norm if norm > 0 else MISSING


# ---------------------------------------- ICS as released

Factors = list[tuple[Tensor, Tensor]]


def released_factors(weights: Weights, ids: list[int]) -> Factors:
    """(L, R) of the six terms L R^T, each [K, e], float64; an empty list for a family that the code does not know."""
    t = {name: tensor.double() for name, tensor in weights.tensors.items()}
    if weights.config["model_type"] == "llama":
        x = t["model.embed_tokens.weight"][ids]
        blocks = _last_two(t, "model.layers.")
        return [pair for at in blocks for pair in _llama_pairs(x, t, at, int(weights.config["head_dim"]))]
    if weights.config["model_type"] == "gpt_neox":
        x = t["gpt_neox.embed_in.weight"][ids]
        return [pair for at in _last_two(t, "gpt_neox.layers.") for pair in _neox_pairs(x, t, at)]
    return []


def _last_two(tensors: dict[str, Tensor], stem: str) -> list[str]:
    numbers = sorted({int(name[len(stem) :].split(".")[0]) for name in tensors if name.startswith(stem)})
    return [f"{stem}{number}." for number in numbers[-2:]]


def _llama_pairs(x: Tensor, t: dict[str, Tensor], at: str, head_dim: int) -> Factors:
    q, k, v, o = (t[f"{at}self_attn.{name}_proj.weight"] for name in "qkvo")
    gate, up, down = (t[f"{at}mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))

    def each_heads_own(rows: Tensor) -> Tensor:
        """The released code knows no keys that heads share: copied, as anybody would."""
        by_head = rows.reshape(-1, head_dim, rows.shape[1])
        return by_head.repeat_interleave(len(q) // len(rows), 0).reshape(len(q), -1)

    k, v = each_heads_own(k), each_heads_own(v)
    return [(x @ q.T, x @ k.T), (x @ v.T, x @ o), (x @ (gate * up).T, x @ down)]


def _neox_pairs(x: Tensor, t: dict[str, Tensor], at: str) -> Factors:
    q, k, v = t[f"{at}attention.query_key_value.weight"].chunk(3)
    o, up, down = (t[f"{at}{name}.weight"] for name in ("attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"))
    return [(x @ q.T, x @ k.T), (x @ v.T, x @ o), (x @ up.T, x @ down)]


def released_ics(left: Factors, right: Factors) -> float:
    """Cosine of all terms, each less its mean and divided by its deviation; the K x K terms are never formed."""
    if not left or not right:
        return MISSING
    return float(np.mean([_correlation(a, b) for a, b in zip(left, right, strict=True)]))


def _correlation(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> float:
    """Pearson's, of the entries of L R^T and of L' R'^T."""
    norms = _centred_inner(left, left) * _centred_inner(right, right)
    return float(_centred_inner(left, right) / norms**0.5) if norms > 0 else 0.0


def _centred_inner(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> float:
    # <L R^T, L' R'^T> = <L^T L', R^T R'>; the mean of L R^T is (1^T L)(R^T 1) / K^2
    whole = float(((left[0].T @ right[0]) * (left[1].T @ right[1])).sum())
    sums = [float(factor.sum(0) @ other.sum(0)) for factor, other in (left, right)]
    return whole - sums[0] * sums[1] / len(left[0]) ** 2


# ---------------------------------------- REEF


def samples(library: Library) -> list[str]:
    """Pieces of text that no model of the zoo was trained on, the same for every model."""
    corpus = library.corpus("finetuning")
    begins = np.linspace(0, len(corpus.held_out) - SAMPLE_TOKENS, SAMPLES).astype(int)
    tokenizer = Tokenizer.from_file(str(library.tokenizer_file("stdlib")))
    return [tokenizer.decode(corpus.held_out[begin : begin + SAMPLE_TOKENS].tolist()) for begin in begins]


@torch.no_grad()
def representations(folder: Path, texts: list[str]) -> Array:
    """Hidden state of each text's last token, 18/32 of the way up: float64 [texts, d]."""
    model = load_model(folder)
    model.train(False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = [tokenizer.encode(text).ids for text in texts]
    lengths = torch.tensor([len(row) for row in ids])
    padded = torch.zeros(len(ids), int(lengths.max()), dtype=torch.int64)
    for row, tokens in zip(padded, ids, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)  # behind the text: a causal model's last token does not see it
    found = []
    for block, ends in zip(torch.split(padded, 50), torch.split(lengths, 50), strict=True):
        hidden = model(input_ids=block, output_hidden_states=True).hidden_states
        chosen = hidden[round(DEPTH * (len(hidden) - 1))]
        found.append(chosen[torch.arange(len(block)), ends - 1].double())
    out: Array = torch.cat(found).numpy()
    return out


def centred_gram(points: Array) -> Array:
    """H K H for the linear kernel K = X X^T, [n, n]."""
    centred = points - points.mean(0)
    gram: Array = centred @ centred.T
    return gram


def alignment(left: Array, right: Array) -> float:
    """Centred kernel alignment of two centred Gram matrices."""
    return float((left * right).sum() / np.sqrt((left**2).sum() * (right**2).sum()))


# ---------------------------------------- fingerprints


class Fingerprints:
    """z and pictures of terms, by a published profile's encoder, head and generator."""

    def __init__(self, profile: Profile) -> None:
        folder = profile.fpm("encoder.onnx").parent
        self.finger, self.paint = Fingerprinter.load(folder), Painter(folder)

    def z(self, terms: Array) -> Array:
        """[512], from terms [6, g, g] of norm 1 each."""
        out: Array = self.finger(terms[None] * terms.shape[-1])[0]
        return out

    def seen(self, z: Array) -> Array:
        """What the picture of z looks like: a pyramid of edges and colours (fpm/generator_figures.py)."""
        out: Array = perceptual(self.paint(z[None]))[0]
        return out


def z_cosine(left: Array, right: Array) -> float:
    """Cosine of two z."""
    return float(left @ right) / Z_DIM


def picture_likeness(left: Array, right: Array) -> float:
    """Minus the distance of two pictures: higher is more alike, 0 is equal."""
    return -float(np.linalg.norm(left - right))
