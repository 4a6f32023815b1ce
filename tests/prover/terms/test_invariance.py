"""Changes of the weights that leave a real model's outputs alone leave its terms alone."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.prover.small_models import SIZES, load, write_rest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch import Tensor  # noqa: E402
from transformers import LlamaForCausalLM  # noqa: E402

from prover.checkpoint.tensors import open_checkpoint  # noqa: E402
from prover.similarity.metrics import common_tokens, full_terms, ics_full, ics_projected  # noqa: E402
from prover.terms.terms import cosine, standardised  # noqa: E402

State = dict[str, Tensor]
HEAD_DIM, HEADS, KV_HEADS, WIDTH = 16, 4, 2, 64
REP = HEADS // KV_HEADS


def new_llama(seed: int = 0) -> LlamaForCausalLM:
    """An untrained Llama with grouped queries and norms that are not all ones, float64."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    return model


def write(model: LlamaForCausalLM, folder: Path) -> Path:
    write_rest(folder, {})
    model.float().save_pretrained(folder)
    return folder


def _orthogonal(size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]


def _each_layer(change: Callable[[State, str, int], None]) -> Callable[[State], None]:
    def edit(state: State) -> None:
        for layer in range(3):
            change(state, f"model.layers.{layer}.", layer)

    return edit


def _permute_heads(state: State, block: str, layer: int) -> None:
    """Permute groups of heads that share keys and values, and query heads within a group."""
    kv = [1, 0]
    q = [group * REP + i for group in kv for i in ((1, 0) if layer % 2 else (0, 1))]
    for name, order in (("q", q), ("k", kv), ("v", kv)):
        key = f"{block}self_attn.{name}_proj.weight"
        state[key] = state[key].reshape(-1, HEAD_DIM, WIDTH)[order].reshape(-1, WIDTH)
    key = f"{block}self_attn.o_proj.weight"
    state[key] = state[key].reshape(WIDTH, HEADS, HEAD_DIM)[:, q].reshape(WIDTH, -1)


def _rotate_within_rope(state: State, block: str, layer: int) -> None:
    """Turn and scale queries and keys in the planes (i, i + head_dim/2) that RoPE turns in: they commute."""
    half = HEAD_DIM // 2
    generator = torch.Generator().manual_seed(layer)
    angle = torch.rand(KV_HEADS, half, generator=generator, dtype=torch.float64) * 2 * math.pi
    scale = torch.rand(KV_HEADS, half, generator=generator, dtype=torch.float64) + 0.5
    for name, heads in (("q", HEADS), ("k", KV_HEADS)):
        key = f"{block}self_attn.{name}_proj.weight"
        rows = state[key].reshape(heads, 2, half, WIDTH)
        repeats = heads // KV_HEADS
        factor = scale if name == "q" else 1 / scale
        cos, sin = ((factor * f(angle)).repeat_interleave(repeats, 0)[:, :, None] for f in (torch.cos, torch.sin))
        first = cos * rows[:, 0] - sin * rows[:, 1]
        second = sin * rows[:, 0] + cos * rows[:, 1]
        state[key] = torch.stack([first, second], 1).reshape(-1, WIDTH)


def _permute_and_scale_ffn(state: State, block: str, layer: int) -> None:
    generator = torch.Generator().manual_seed(layer)
    order = torch.randperm(96, generator=generator)
    scale = torch.rand(96, generator=generator, dtype=torch.float64) + 0.5
    scale *= torch.where(torch.rand(96, generator=generator) < 0.5, 1.0, -1.0)
    state[block + "mlp.gate_proj.weight"] = state[block + "mlp.gate_proj.weight"][order]
    state[block + "mlp.up_proj.weight"] = (state[block + "mlp.up_proj.weight"] * scale[:, None])[order]
    state[block + "mlp.down_proj.weight"] = (state[block + "mlp.down_proj.weight"] / scale)[:, order]


def _map_values(state: State, block: str, layer: int) -> None:
    """Any invertible map of a value head, undone in the output projection of every query head that reads it."""
    value = state[block + "self_attn.v_proj.weight"].reshape(KV_HEADS, HEAD_DIM, WIDTH)
    output = state[block + "self_attn.o_proj.weight"].reshape(WIDTH, HEADS, HEAD_DIM)
    values, outputs = [], []
    for group in range(KV_HEADS):
        generator = torch.Generator().manual_seed(10 * layer + group)
        change = torch.randn(HEAD_DIM, HEAD_DIM, generator=generator, dtype=torch.float64) / 8
        change += torch.eye(HEAD_DIM, dtype=torch.float64)
        values.append(change @ value[group])
        outputs += [output[:, h] @ torch.linalg.inv(change) for h in range(group * REP, (group + 1) * REP)]
    state[block + "self_attn.v_proj.weight"] = torch.cat(values)
    state[block + "self_attn.o_proj.weight"] = torch.cat(outputs, 1)


READERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj")


def _fold_norms(state: State) -> None:
    for layer in range(3):
        block = f"model.layers.{layer}."
        for reader in READERS:
            norm = block + ("post_attention_layernorm" if "mlp" in reader else "input_layernorm") + ".weight"
            state[f"{block}{reader}.weight"] = state[f"{block}{reader}.weight"] * state[norm]
        for norm in ("post_attention_layernorm", "input_layernorm"):
            state[f"{block}{norm}.weight"] = torch.ones(WIDTH, dtype=torch.float64)
    state["lm_head.weight"] = state["lm_head.weight"] * state["model.norm.weight"]
    state["model.norm.weight"] = torch.ones(WIDTH, dtype=torch.float64)


def _change_residual_basis(state: State, basis: Tensor) -> None:
    """Hidden state h becomes h Q, for orthogonal Q; norms must commute with Q."""
    for name, weight in list(state.items()):
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            state[name] = basis.T @ weight
        elif weight.ndim == 2:
            state[name] = weight @ basis


def _rotate_residual(state: State) -> None:
    _fold_norms(state)
    _change_residual_basis(state, _orthogonal(WIDTH, 7))


def _flip_residual_signs(state: State) -> None:
    signs = torch.where(torch.rand(WIDTH, generator=torch.Generator().manual_seed(3)) < 0.5, 1.0, -1.0)
    _change_residual_basis(state, torch.diag(signs.double()))


def _permute_residual(state: State) -> None:
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(4))
    _change_residual_basis(state, torch.eye(WIDTH, dtype=torch.float64)[:, order])
    for name in list(state):
        if "norm" in name:
            state[name] = state[name][order]


def _everything(state: State) -> None:
    for change in (_permute_heads, _rotate_within_rope, _permute_and_scale_ffn, _map_values):
        _each_layer(change)(state)
    _rotate_residual(state)


CHANGES: dict[str, Callable[[State], None]] = {
    "heads permuted": _each_layer(_permute_heads),
    "queries and keys turned": _each_layer(_rotate_within_rope),
    "feed-forward permuted and scaled": _each_layer(_permute_and_scale_ffn),
    "values mapped": _each_layer(_map_values),
    "norms folded": _fold_norms,
    "residual turned": _rotate_residual,
    "residual signs flipped": _flip_residual_signs,
    "residual permuted": _permute_residual,
    "all together": _everything,
}


def _changed(model: LlamaForCausalLM, change: Callable[[State], None]) -> LlamaForCausalLM:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    change(state)
    result = LlamaForCausalLM(model.config).double()
    result.load_state_dict(state)
    return result


@pytest.mark.parametrize("name", CHANGES)
def test_output_preserving_changes_leave_the_terms(name: str, tmp_path: Path) -> None:
    model = new_llama()
    changed = _changed(model, CHANGES[name])
    ids = torch.randint(600, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = model(input_ids=ids).logits, changed(input_ids=ids).logits
    assert float((before - after).abs().max()) < 1e-5 * float(before.abs().max())  # norms run in float32
    a, b = load(write(model, tmp_path / "a")), load(write(changed, tmp_path / "b"))
    if name != "norms folded":  # which is only a matter of where a factor is stored
        assert a.weights_sha256 != b.weights_sha256
    assert cosine(standardised(a.float_terms), standardised(b.float_terms)) >= 0.9999
    assert ics_projected(a, b) >= 0.995  # each side quantized on its own
    opened = open_checkpoint(tmp_path / "a"), open_checkpoint(tmp_path / "b")
    assert ics_full(*opened, "paper").value >= 0.9999
    assert ics_full(*opened, "centred").value >= 0.9999


def test_the_released_definition_breaks_under_sign_flips_and_ours_does_not(tmp_path: Path) -> None:
    model = new_llama()
    write(_changed(model, _flip_residual_signs), tmp_path / "b")
    write(model, tmp_path / "a")
    a, b = open_checkpoint(tmp_path / "a"), open_checkpoint(tmp_path / "b")
    ids = common_tokens(a, b)[0]
    for definition, low, high in (("paper", 0.9999, 1.0001), ("released", -0.6, 0.6)):
        left, right = (list(full_terms(checkpoint, ids, definition))[2] for checkpoint in (a, b))
        assert low <= cosine(left, right) <= high
