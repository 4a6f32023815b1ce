"""Checkpoints that are trained: bases, fine-tuning, adapters, preferences, penalties, distillation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import peft
import torch
from torch import Tensor, nn
from torch.nn import functional

from circuits.profiles import load_profile
from fpm.evidence.anatomy import Anatomy, projected_terms
from fpm.evidence.models import new_model
from fpm.evidence.training import Batch, Schedule, language_loss, train
from fpm.evidence.workshop import Made, Recipe, Workshop
from fpm.real_models import token_ids
from fpm.synthetic import projection

Similarity = Callable[[nn.Module], Tensor]

BASE_RATE = 4e-3
PREFERENCE_BETA = 0.1  # DPO's beta
LORA_TARGETS = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "gpt_neox": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
}


def base(
    shop: Workshop,
    _recipe: Recipe,
    *,
    family: str,
    seed: int,
    text: str = "stdlib",
    tokenizer: str = "stdlib",
    order: int = 0,
) -> Made:
    """A model trained from nothing; `seed` draws its weights, `order` (default: also `seed`) the order of its text."""
    model = new_model(family, shop.size, seed)
    schedule = Schedule(shop.size.base_steps, BASE_RATE, 1000 + (order or seed))
    record = train(model, shop.corpus(text, tokenizer), schedule, shop.size)
    return Made(model, shop.library.tokenizer_file(tokenizer).read_text("utf-8"), {"tokenizer": tokenizer, **record})


def tuned(
    shop: Workshop,
    recipe: Recipe,
    *,
    text: str,
    share: float,
    rate: float,
    constant: bool = False,
    seed: int = 1,
) -> Made:
    """All weights trained further; `share`: steps, as a share of a base's."""
    model = shop.load(recipe.parent)
    schedule = Schedule(shop.size.steps(share), rate, 2000 + seed, constant)
    record = train(model, shop.corpus(text), schedule, shop.size)
    return Made(model, shop.tokenizer(recipe.parent), record)


def adapted(shop: Workshop, recipe: Recipe, *, text: str, share: float, rate: float, rank: int) -> Made:
    """LoRA on every matrix of every block, merged into them."""
    model = shop.load(recipe.parent)
    torch.manual_seed(3000)
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=LORA_TARGETS[str(model.config.model_type)],  # type: ignore[union-attr]
        task_type="CAUSAL_LM",
    )
    with_adapters = peft.get_peft_model(model, config)
    record = train(with_adapters, shop.corpus(text), Schedule(shop.size.steps(share), rate, 3000), shop.size)
    return Made(with_adapters.merge_and_unload(), shop.tokenizer(recipe.parent), record)


def preferred(shop: Workshop, recipe: Recipe, *, text: str, share: float, rate: float) -> Made:
    """Direct preference optimization: the true second half of a sequence is preferred to that of another one."""
    model = shop.load(recipe.parent)
    reference = shop.load(recipe.parent)
    reference.train(False)

    def loss_of(learner: nn.Module, batch: Batch) -> Tensor:
        return preference_loss(learner, reference, batch)

    record = train(model, shop.corpus(text), Schedule(shop.size.steps(share), rate, 4000), shop.size, loss_of)
    return Made(model, shop.tokenizer(recipe.parent), record)


def preference_loss(model: nn.Module, reference: nn.Module, batch: Batch) -> Tensor:
    """DPO's loss (Rafailov et al., 2023, equation 7); the batch's sequences lend each other their second halves."""
    half = batch.shape[1] // 2
    prompt, chosen = batch[:, :half], batch[:, half:]
    both = torch.cat([batch, torch.cat([prompt, chosen.roll(1, 0)], 1)])
    with torch.no_grad():
        before = continuation_likelihood(reference, both, half)
    preferred_gain, other_gain = (continuation_likelihood(model, both, half) - before).chunk(2)
    return -functional.logsigmoid(PREFERENCE_BETA * (preferred_gain - other_gain)).mean()


def continuation_likelihood(model: nn.Module, batch: Batch, prompt: int) -> Tensor:
    """Log-likelihood of the tokens from `prompt` on, given those before: [B]."""
    logits = model(input_ids=batch).logits[:, prompt - 1 : -1]
    chosen = functional.log_softmax(logits, -1).gather(-1, batch[:, prompt:, None])
    total: Tensor = chosen[..., 0].sum(1)
    return total


def penalised(shop: Workshop, recipe: Recipe, *, text: str, share: float, rate: float, weight: float, of: str) -> Made:
    """Fine-tuning that also pushes a similarity with the parent down.

    The loss is that of language plus `weight` times the similarity's absolute value; `of`: "parameters" (PCS, as in
    HuRef's figure 2) or "terms" (projected ICS).
    """
    model = shop.load(recipe.parent)
    similarity = parameter_cosine(model) if of == "parameters" else terms_cosine(model, shop.path(recipe.parent))

    def loss_of(learner: nn.Module, batch: Batch) -> Tensor:
        return language_loss(learner, batch) + weight * similarity(learner).abs()

    record = train(model, shop.corpus(text), Schedule(shop.size.steps(share), rate, 5000), shop.size, loss_of)
    with torch.no_grad():
        record |= {"penalised_similarity_at_the_end": round(float(similarity(model)), 4)}
    return Made(model, shop.tokenizer(recipe.parent), record)


def parameter_cosine(model: nn.Module) -> Similarity:
    """PCS with the model as it is now."""
    before = [p.detach().clone() for p in model.parameters()]
    norm = _squares(before).sqrt()

    def cosine(learner: nn.Module) -> Tensor:
        now = list(learner.parameters())
        product = torch.stack([(a * b).sum() for a, b in zip(now, before, strict=True)]).sum()
        return product / norm / _squares(now).sqrt()

    return cosine


def _squares(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([(t**2).sum() for t in tensors]).sum()


def terms_cosine(model: nn.Module, folder: Path) -> Similarity:
    """Projected ICS, under the published profile's projection, with the model as it is now.

    Args:
        model: of the zoo.
        folder: its checkpoint, for the tokenizer.
    """
    anatomy = Anatomy.of(model)
    vocabulary: int = model.get_input_embeddings().num_embeddings  # type: ignore[operator]
    ids = token_ids(folder / "tokenizer.json", vocabulary)
    matrix = torch.from_numpy(projection(len(ids), bytes.fromhex(load_profile().document["projection"]["seed"])))
    chosen = torch.tensor(ids)
    with torch.no_grad():
        before = projected_terms(dict(model.named_parameters()), anatomy, chosen, matrix)

    def cosine(learner: nn.Module) -> Tensor:
        now = projected_terms(dict(learner.named_parameters()), anatomy, chosen, matrix)
        return (now * before).sum((1, 2)).mean()

    return cosine


def distilled(shop: Workshop, _recipe: Recipe, *, teacher: str, seed: int, share: float, rate: float) -> Made:
    """A model with weights of its own that learns the teacher's next-token probabilities, on the teacher's text."""
    master = shop.load(teacher)
    master.train(False)
    student = new_model(master.config.model_type, shop.size, seed)  # type: ignore[union-attr, arg-type]

    def loss_of(learner: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            wanted = functional.log_softmax(master(input_ids=batch).logits, -1)
        got = functional.log_softmax(learner(input_ids=batch).logits, -1)
        return functional.kl_div(got.flatten(0, 1), wanted.flatten(0, 1), reduction="batchmean", log_target=True)

    record = train(student, shop.corpus("stdlib"), Schedule(shop.size.steps(share), rate, 6000), shop.size, loss_of)
    return Made(student, shop.tokenizer(teacher), record)
