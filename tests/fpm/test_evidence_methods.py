"""The laboratory's methods against slow twins and hand-computed cases: scores, statistics, surgery, tables."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from circuits.errors import UsageError
from circuits.profiles import load_profile
from fpm.checkpoints.text import train_tokenizer
from fpm.evidence import methods, report, statistics
from fpm.evidence.anatomy import Anatomy, projected_terms
from fpm.evidence.attacks import renumbered
from fpm.evidence.models import FULL, TINY, load_model, new_model, save_model
from fpm.evidence.recipes import zoo
from fpm.evidence.surgery import block_matrices, rebuilt, round_trip, with_merges
from fpm.evidence.training import Schedule
from fpm.evidence.tuning import continuation_likelihood, preference_loss, terms_cosine
from fpm.real_models import token_ids
from fpm.synthetic import projection
from prover.terms.terms import TermRules, cosine, load_fingerprint_input

TEXT = [
    "the cat sat on the mat and the dog sat on the log\n" * 4,
    "return the number of items in a list of numbers\n" * 4,
]


@pytest.fixture(scope="module")
def tokenizer() -> str:
    return train_tokenizer(TEXT * 3).to_str()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tokenizer: str) -> dict[str, Path]:
    """Untrained models of both families, norms and biases that matter."""
    found = {}
    for family in ("llama", "gpt_neox"):
        for seed in (1, 2):
            model = new_model(family, TINY, seed)
            with torch.no_grad():
                for name, p in model.named_parameters():
                    if p.ndim == 1:
                        p.copy_(0.1 * torch.randn(p.shape) + (0.0 if name.endswith("bias") else 1.0))
            found[f"{family}-{seed}"] = tmp_path_factory.mktemp("models") / f"{family}-{seed}"
            save_model(model, found[f"{family}-{seed}"], tokenizer)
    return found


# ---------------------------------------- scores


def test_pcs_is_the_cosine_of_the_common_parameters(tmp_path: Path) -> None:
    a, b = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    left = {"x": torch.randn(3, 4, generator=a), "y": torch.randn(5, generator=a), "z": torch.ones(2)}
    right = {"x": torch.randn(3, 4, generator=b), "y": torch.randn(5, generator=b), "z": torch.ones(3)}
    for name, tensors in (("a", left), ("b", right), ("c", {"w": torch.ones(2)})):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
    sides = [methods.Weights(tmp_path / name) for name in "abc"]
    flat = [torch.cat([side[name].flatten() for name in "xy"]).numpy() for side in (left, right)]
    assert methods.pcs(*sides[:2]) == pytest.approx(cosine(*flat))
    assert methods.pcs(sides[0], sides[2]) == statistics.MISSING


def test_released_ics_is_what_the_released_code_does(folders: dict[str, Path]) -> None:
    """Against its lines, with the K x K terms formed: `Invariant_terms_Cos_Sim.py`, `stand_normalize2d`."""
    ids = list(range(1, 60))

    def slow(folder: Path) -> torch.Tensor:
        t = {name: tensor.double() for name, tensor in methods.Weights(folder).tensors.items()}
        terms = []
        for i in (TINY.layers - 2, TINY.layers - 1):
            if "gpt_neox" in folder.name:
                at = f"gpt_neox.layers.{i}."
                x, qkv = t["gpt_neox.embed_in.weight"][ids], t[at + "attention.query_key_value.weight"]
                length = qkv.shape[0] // 3
                q, k, v = qkv[:length], qkv[length : 2 * length], qkv[2 * length :]
                o, d = t[at + "attention.dense.weight"], t[at + "mlp.dense_4h_to_h.weight"]
                gated = t[at + "mlp.dense_h_to_4h.weight"].t()
            else:
                at, x = f"model.layers.{i}.", t["model.embed_tokens.weight"][ids]
                q, k, v, o = (t[f"{at}self_attn.{name}_proj.weight"] for name in "qkvo")
                k, v = (torch.cat([w] * TINY.heads) if TINY.kv_heads == 1 else w for w in (k, v))
                g, u, d = (t[f"{at}mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
                gated = g.t() * u.t()
            terms += [x @ q.t() @ k @ x.t(), x @ v.t() @ o.t() @ x.t(), x @ gated @ d.t() @ x.t()]
        return torch.stack([(term - term.mean()) / term.std() for term in terms])

    names = list(folders)
    factors = {name: methods.released_factors(methods.Weights(folders[name]), ids) for name in names}
    for left, right in ((0, 0), (0, 1), (0, 2), (2, 3)):
        a, b = slow(folders[names[left]]), slow(folders[names[right]])
        expected = float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0))
        assert methods.released_ics(factors[names[left]], factors[names[right]]) == pytest.approx(expected, abs=1e-9)
    assert methods.released_ics(factors[names[0]], []) == statistics.MISSING


def test_alignment_is_cka_by_definition_and_blind_to_turns() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 8)), random.normal(size=(30, 5))
    h = np.eye(30) - 1 / 30

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        return float(np.trace(k @ h @ m @ h)) / 29**2

    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))
    grams = methods.centred_gram(x), methods.centred_gram(y)
    assert methods.alignment(*grams) == pytest.approx(expected)
    turned = 3 * x @ np.linalg.qr(random.normal(size=(8, 8)))[0] + 1
    assert methods.alignment(methods.centred_gram(turned), grams[0]) == pytest.approx(1)


def test_representations_do_not_depend_on_what_lies_behind_the_text(folders: dict[str, Path]) -> None:
    short, long = "the cat sat on the", "the cat sat on the mat and the dog sat on the log"
    together = methods.representations(folders["llama-1"], [short, long])
    alone = methods.representations(folders["llama-1"], [short])
    assert together.shape == (2, TINY.hidden)
    assert np.allclose(together[0], alone[0], atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_terms_with_gradients_are_the_provers(family: str, folders: dict[str, Path]) -> None:
    folder, rules = folders[f"{family}-1"], TermRules.of_profile({**load_profile().document, "families": [family]})
    rules = TermRules(rules.seed, rules.g, 32, rules.k_max, (family,))
    expected = load_fingerprint_input(folder, rules)
    model = load_model(folder)
    ids = token_ids(folder / "tokenizer.json", model.get_input_embeddings().num_embeddings)
    assert tuple(ids) == expected.tokens.ids
    matrix = torch.from_numpy(projection(len(ids), rules.seed))
    found = projected_terms(dict(model.named_parameters()), Anatomy.of(model), torch.tensor(ids), matrix)
    for ours, theirs in zip(found.detach().numpy(), expected.float_terms, strict=True):
        assert cosine(ours, theirs) > 0.99999
    similarity = terms_cosine(model, folder)(model)
    assert float(similarity) == pytest.approx(1, abs=1e-5)
    similarity.backward()
    assert all(
        p.grad is not None
        for name, p in model.named_parameters()
        if f"layers.{TINY.layers - 1}" in name and p.ndim == 2 and "gate" not in name
    )


# ---------------------------------------- statistics


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    random = np.random.default_rng(1)
    positives, negatives = random.integers(0, 9, 40).tolist(), random.integers(0, 6, 50).tolist()
    slow = np.mean([1.0 if p > n else 0.5 if p == n else 0.0 for p in positives for n in negatives])
    assert statistics.auc(positives, negatives) == pytest.approx(slow)
    assert statistics.auc([1.0, 2.0], [-math.inf, 0.0]) == 1.0


def test_rates_by_hand() -> None:
    negatives = [i / 100 for i in range(200)]  # 1% of 200: two may lie above
    threshold = statistics.threshold_at(negatives, 0.01)
    assert threshold == 1.97 and sum(value > threshold for value in negatives) == 2
    assert statistics.true_positive_rate([1.98, 1.97, 5.0, statistics.MISSING], threshold) == 0.5
    assert statistics.threshold_at([0.1, 0.5], 0.01) == 0.5  # too few to allow any
    assert statistics.true_positive_rate([statistics.MISSING], statistics.MISSING) == 0.0


def test_null_leaves_out_what_could_not_be_compared() -> None:
    figures = statistics.null_figures([0.0, 1.0, statistics.MISSING])
    assert figures == {"pairs": 3, "not_comparable": 1, "mean": 0.5, "std": 0.5, "worst": 1.0}
    assert statistics.null_figures([statistics.MISSING])["mean"] is None


# ---------------------------------------- training and surgery


def test_preference_loss_by_hand(folders: dict[str, Path]) -> None:
    model, other = load_model(folders["llama-1"]), load_model(folders["llama-2"])
    batch = torch.randint(1, 200, (4, 12), generator=torch.Generator().manual_seed(0))
    assert float(preference_loss(model, model, batch)) == pytest.approx(math.log(2), abs=1e-6)
    logits = model(input_ids=batch).logits.log_softmax(-1)
    slow = sum(logits[:, place - 1].gather(1, batch[:, place, None])[:, 0] for place in range(6, 12))
    assert torch.allclose(continuation_likelihood(model, batch, 6), slow, atol=1e-4)
    loss = preference_loss(model, other, batch)
    loss.backward()
    assert any(float(p.grad.abs().max()) > 0 for p in model.parameters() if p.grad is not None)


def test_schedule_warms_up_and_decays() -> None:
    rates = [Schedule(100, 1.0, 0).factor(step) for step in (1, 5, 100)]
    assert rates == pytest.approx([0.2, 1.0, 0.05])
    assert Schedule(100, 1.0, 0, constant=True).factor(100) == 1.0


@pytest.mark.parametrize(("bits", "group"), [(8, 0), (4, 16), (2, 8)])
def test_round_trips(bits: int, group: int) -> None:
    matrix = torch.randn(6, 32, generator=torch.Generator().manual_seed(0))
    found = round_trip(matrix, bits, group)
    assert torch.allclose(round_trip(found, bits, group), found, atol=1e-6)
    for row in range(6):
        for begin in range(0, 32, group or 32):
            part = slice(begin, begin + (group or 32))
            step = float(matrix[row, part].abs().max()) / (2 ** (bits - 1) - 1)
            assert float((found - matrix)[row, part].abs().max()) <= step / 2 + 1e-6
            assert len(torch.unique(found[row, part])) <= 2**bits - 1


def test_block_matrices_are_the_blocks(folders: dict[str, Path]) -> None:
    names = block_matrices(load_model(folders["llama-1"]))
    assert len(names) == 7 * TINY.layers
    assert not [name for name in names if "embed" in name or "head" in name]


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_a_rebuilt_model_is_the_same_model(family: str, folders: dict[str, Path]) -> None:
    model = load_model(folders[f"{family}-1"])
    again = rebuilt(Anatomy.of(model).unpacked(model), model.config)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_grown_vocabulary_encodes_with_its_new_tokens(tokenizer: str) -> None:
    other = train_tokenizer(["import numpy as np; array of shape, dtype float64\n" * 8] * 3).to_str()
    grown = Tokenizer.from_str(with_merges(tokenizer, other, 20))
    before = Tokenizer.from_str(tokenizer)
    assert grown.get_vocab_size() == before.get_vocab_size() + 20
    text = "array of shape"
    assert max(grown.encode(text).ids) >= before.get_vocab_size()
    assert grown.decode(grown.encode(text).ids) == text
    assert {s: i for s, i in grown.get_vocab().items() if i < before.get_vocab_size()} == before.get_vocab()


def test_renumbered_tokenizer_says_the_same_strings(tokenizer: str) -> None:
    before = Tokenizer.from_str(tokenizer)
    new_ids = torch.randperm(before.get_vocab_size(), generator=torch.Generator().manual_seed(0))
    after = Tokenizer.from_str(renumbered(tokenizer, new_ids))
    ids = before.encode("the dog sat on the mat").ids
    assert after.encode("the dog sat on the mat").ids == new_ids[ids].tolist()


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UsageError, match="no family 'mamba'"):
        new_model("mamba", TINY, 0)

    class Model(torch.nn.Module):
        class config:
            model_type, num_attention_heads, num_hidden_layers = "mixtral", 2, 2

    with pytest.raises(UsageError, match="mixtral"):
        Anatomy.of(Model())


def test_a_recipe_is_made_again_when_something_that_goes_in_changes() -> None:
    recipe = next(recipe for recipe in zoo() if recipe.name == "llama-1-int4")
    digest = recipe.digest(TINY, "texts", {"llama-1": "0"})
    assert digest == recipe.digest(TINY, "texts", {"llama-1": "0"})
    others = [
        recipe.digest(FULL, "texts", {"llama-1": "0"}),
        recipe.digest(TINY, "other texts", {"llama-1": "0"}),
        recipe.digest(TINY, "texts", {"llama-1": "1"}),
        replace(recipe, options={**recipe.options, "bits": 3}).digest(TINY, "texts", {"llama-1": "0"}),
    ]
    assert len({digest, *others}) == 5


def test_every_recipe_comes_after_those_it_reads() -> None:
    made: set[str] = set()
    for recipe in zoo():
        assert {recipe.parent, *recipe.needs} - {""} <= made, recipe.name
        made.add(recipe.name)
    assert len(made) == len(zoo())


# ---------------------------------------- tables


def test_tables_go_between_their_marks_or_are_refused() -> None:
    text = "a\n<!-- table x -->\nold\n<!-- end x -->\nb\n"
    assert report.filled(text, "x", "new \\1", Path("p")) == "a\n<!-- table x -->\nnew \\1\n<!-- end x -->\nb\n"
    for broken in ("", text + text, "<!-- end x --><!-- table x -->"):
        with pytest.raises(UsageError, match="table x"):
            report.filled(broken, "x", "", Path("p"))


def test_numbers_are_printed_plainly() -> None:
    assert [report.number(value, 2) for value in (0.126, -0.001, None, -0.5)] == ["0.13", "0.00", "-", "-0.50"]
    assert [report.probability(p) for p in (0.5, 0.0012, 3e-9, 1e-12, None)] == [
        "0.50",
        "1e-03",
        "3e-09",
        "<1e-12",
        "-",
    ]
