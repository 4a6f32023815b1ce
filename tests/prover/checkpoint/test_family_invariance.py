"""Every family: changes that leave a real model's outputs alone, all together, leave its terms alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.prover.small_models import RULES, load

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch import Tensor  # noqa: E402

from fpm.evidence.layouts import pack, unpack  # noqa: E402
from fpm.evidence.rearrangements import CHANGES, map_queries_and_keys, permute_heads  # noqa: E402
from prover.checkpoint import tensors as checkpoint  # noqa: E402
from prover.checkpoint.config import parse_config  # noqa: E402
from prover.checkpoint.families import Family  # noqa: E402
from prover.checkpoint.tensors import open_checkpoint  # noqa: E402
from prover.similarity.metrics import compare, ics_full, ics_projected  # noqa: E402
from prover.terms.terms import FingerprintInput, cosine, standardised  # noqa: E402
from tests.prover.checkpoint.family_models import KINDS, Kind, new_model, save, save_changed  # noqa: E402


def in_float(left: FingerprintInput, right: FingerprintInput) -> float:
    """Projected ICS before quantizing."""
    return cosine(standardised(left.float_terms), standardised(right.float_terms))


def outputs(model: torch.nn.Module, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits


def difference(before: torch.nn.Module, after: torch.nn.Module, new_ids: Tensor) -> float:
    """Largest difference of logits, as a share of the largest logit, after undoing the permutation of tokens."""
    ids = torch.randint(1, 600, (2, 12), generator=torch.Generator().manual_seed(0))
    expected = outputs(before, ids)
    moved = outputs(after, new_ids[ids])[..., new_ids]
    return float((expected - moved).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", KINDS)
def test_output_preserving_changes_leave_the_terms(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    model = new_model(kind)
    before = save(kind, model, tmp_path / "a")
    after, new_ids = save_changed(kind, model, tmp_path / "b")
    save(kind, new_model(kind, seed=1), tmp_path / "stranger")
    assert difference(before, after, new_ids) < 1e-5  # weights are stored in float32, and some norms compute in it
    a, b, stranger = (load(tmp_path / folder) for folder in ("a", "b", "stranger"))
    assert a.shape == b.shape
    assert a.weights_sha256 != b.weights_sha256
    assert a.tokens.ids != b.tokens.ids
    assert a.tokens.sha256 == b.tokens.sha256
    for left, right in zip(a.float_terms, b.float_terms, strict=True):
        assert cosine(left, right) >= 0.9999
    assert in_float(a, b) >= 0.9999
    assert ics_projected(a, b) >= 0.995  # each side quantized on its own
    assert abs(in_float(a, stranger)) < 0.2  # four times the error bar of a projection to 16 x 16
    if name in ("qwen3", "gpt2", "bloom"):  # takes longer
        assert ics_full(*(open_checkpoint(tmp_path / folder) for folder in "ab"), "centred").value >= 0.9999


def _family(**changes: object) -> Callable[[Family], Family]:
    return lambda family: replace(family, **changes)  # type: ignore[arg-type]


NO_HEAD_NORMS = _family(head_norms=MappingProxyType({}))
LESS = {
    "norm weight": ("llama", _family(attention_norm=None, ffn_norm=None)),
    "norm weight, one added": ("gemma", _family(attention_norm=None, ffn_norm=None)),
    "mean taken out": ("gpt2", _family(norm="rms")),
    "norm of the feed-forward part": ("falcon-40b", lambda family: replace(family, ffn_norm=family.attention_norm)),
    "norms after attention and feed-forward part": (
        "gemma2",
        _family(attention_post_norm=None, ffn_post_norm=None),
    ),
    "the same without norms before": ("olmo2", _family(attention_post_norm=None, ffn_post_norm=None)),
    "norms of queries and keys": ("qwen3", NO_HEAD_NORMS),
    "those with one added": ("gemma3", NO_HEAD_NORMS),
    "those over all heads": ("olmo2", NO_HEAD_NORMS),
    "those that take a mean out": ("stablelm, parallel, q and k normed", NO_HEAD_NORMS),
    "norm of embeddings": ("bloom", _family(embedding_norm=None)),
}


@pytest.mark.parametrize("rule", LESS)
def test_without_its_rule_the_terms_would_move(rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folding rule is needed: the same pair of checkpoints, read by a family that lacks it, is no longer near."""
    name, less = LESS[rule]
    kind = KINDS[name]
    model = new_model(kind)
    save(kind, model, tmp_path / "a")
    save_changed(kind, model, tmp_path / "b")

    def without(*arguments: object) -> tuple[Family, object]:
        family, shape = parse_config(*arguments)  # type: ignore[arg-type]
        return less(family), shape

    monkeypatch.setattr(checkpoint, "parse_config", without)
    assert in_float(load(tmp_path / "a"), load(tmp_path / "b")) < 0.99


@pytest.mark.parametrize(
    ("left", "right"), [("llama", "internlm2"), ("glm", "chatglm"), ("gemma3", "gemma3 with pictures")]
)
def test_a_copy_under_the_name_of_another_architecture_is_found(left: str, right: str, tmp_path: Path) -> None:
    """The same weights in another packing: `huref ics` compares what they do, not what they are called."""
    for name in (left, right):
        save(KINDS[name], new_model(KINDS[name]), tmp_path / name)
    result = compare(tmp_path / left, tmp_path / right, RULES)
    assert result.projected == pytest.approx(1)
    assert all(similarity.value == pytest.approx(1) for similarity in result.full.values())
    changed = tmp_path / "changed"
    save_changed(KINDS[right], new_model(KINDS[right]), changed)
    assert in_float(load(tmp_path / left), load(changed)) >= 0.9999


def _more_freedom(kind: Kind, **freedom: object) -> Kind:
    return replace(kind, free=replace(kind.free, **freedom))  # type: ignore[arg-type]


WRONG = {
    "any map of queries and keys, in spite of RoPE": (_more_freedom(KINDS["llama"], rope=""), map_queries_and_keys),
    "RoPE over all of a head": (_more_freedom(KINDS["gpt_neox"], rotary=8), map_queries_and_keys),
    "RoPE on other pairs": (_more_freedom(KINDS["gptj"], rope="half"), map_queries_and_keys),
    "heads that ALiBi gives slopes": (_more_freedom(KINDS["bloom"], alibi=False), permute_heads),
    "scales in spite of norms of queries": (_more_freedom(KINDS["qwen3"], qk=""), map_queries_and_keys),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_change_that_the_architecture_forbids_is_seen_in_the_outputs(case: str, tmp_path: Path) -> None:
    """The forward passes above would have noticed."""
    kind, change = WRONG[case]
    model = new_model(kind)
    after, new_ids = save_changed(kind, model, tmp_path / "b", (change,))
    assert difference(save(kind, model, tmp_path / "a"), after, new_ids) > 1e-3


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_moves_weights(change: Callable[..., None]) -> None:
    """No entry of CHANGES is idle."""
    assert any(moves(KINDS[name], change) for name in ("gpt2", "bloom"))


def moves(kind: Kind, change: Callable[..., None]) -> bool:
    parts = unpack(new_model(kind).double().state_dict(), kind.layout, kind.sizes)
    before = pack(parts, kind.layout, kind.sizes)
    change(parts, kind.free, torch.Generator().manual_seed(0))
    after = pack(parts, kind.layout, kind.sizes)
    return any(not torch.equal(before[name], after[name]) for name in before)
