"""Step 11 for a family that is not llama: one real proof, opened, and checkpoints that must not open it.

The prover's own code makes the bundle, under the verifier's toy profile (k = 9), half a minute. The model has what is
hardest to read: a norm for both parts, LayerNorm, and a LayerNorm with a weight of its own for every head.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import verifier.trust.profile
from tests.conftest import ROOT
from tests.prover.small_models import Tensors, edit_json, read_tensors, write_tensors
from verifier.children.workers import Deadline, Workers
from verifier.cli import main as huref_verify
from verifier.fingerprint.artefact import read_bundle
from verifier.formats.encoding import split_points
from verifier.formats.errors import BadOpening, Rejected, VerifierError
from verifier.opening.check import check_opening
from verifier.statement.rows import arrange_points, commitment_digest
from verifier.statement.statement import Y_POINTS

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.prover.checkpoint.family_models import KINDS, new_model, save  # noqa: E402

TOY = ROOT / "tests" / "verifier" / "assets" / "profiles" / "toy-dev"
NAME = "stablelm, parallel, q and k normed"
SEED, SESSION = b"seed of a test, public as it is..", b"session of a test, public as well"
Q_NORM = "model.layers.1.self_attn.q_layernorm.norms.3.weight"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: model, profiles/toy-dev (with the family), bundle, secret.json."""
    from circuits import size_classes
    from circuits.profiles import load_profile
    from prover.commitments.jobs import Job
    from prover.fingerprint.prove import FingerprintProver
    from prover.terms.terms import TermRules, load_fingerprint_input

    folder = tmp_path_factory.mktemp("stablelm")
    save(KINDS[NAME], new_model(KINDS[NAME]), folder / "model")
    shutil.copytree(TOY, folder / "profiles" / "toy-dev")
    edit_json(folder / "profiles" / "toy-dev" / "profile.json", families=["llama", "stablelm"])
    (folder / "job").mkdir()
    (folder / "bundle").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(size_classes.SIZE_CLASSES, "toy", size_classes.SizeClass("toy", 9, 4, 4, 2**7, 6))
        profile = load_profile(folder / "profiles" / "toy-dev")
        source = load_fingerprint_input(folder / "model", TermRules.of_profile(profile.document))
        run = FingerprintProver(profile, source, SEED[:32], SESSION[:32], Job(folder / "job")).run()
    for name, data in run.files.items():
        (folder / "bundle" / name).write_bytes(data)
    secret = {
        "type": "application/vnd.huref-zk.secret+json;version=1",
        "seed": SEED[:32].hex(),
        "weights_sha256": source.weights_sha256.hex(),
        "cm": run.cm,
    }
    (folder / "secret.json").write_text(json.dumps(secret, sort_keys=True, separators=(",", ":")))
    return folder


@pytest.fixture
def trusted(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    digest = hashlib.sha256((made / "profiles" / "toy-dev" / "profile.json").read_bytes()).digest()
    monkeypatch.setattr(verifier.trust.profile, "trusted", lambda: {"toy-dev": digest})
    monkeypatch.setattr(verifier.trust.profile, "profiles_folder", lambda: made / "profiles")
    return made


@pytest.fixture
def model(trusted: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be spoilt."""
    return shutil.copytree(trusted / "model", tmp_path / "model")


def command(made: Path, model: Path):
    arguments = [made / "bundle", "--weights", model, "--opening", made / "secret.json", "--allow-dev-srs"]
    return CliRunner().invoke(huref_verify, [str(argument) for argument in arguments])


def change(**tensors: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Path], None]:
    """Tensors by the end of their names (a dot as __), replaced or, for None, left out."""

    def edit(folder: Path) -> None:
        stored: Tensors = read_tensors(folder / "model.safetensors")
        for ending, how in tensors.items():
            matching = [name for name in stored if name.endswith(ending.replace("__", "."))]
            assert len(matching) == 1
            new = how(stored[matching[0]])
            stored.pop(matching[0]) if new is None else stored.update({matching[0]: new})
        write_tensors(folder / "model.safetensors", stored)

    return edit


def config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "config.json", **changes)


def header(how: Callable[[dict], object]) -> Callable[[Path], None]:
    """The safetensors header edited, the data as they are."""

    def edit(folder: Path) -> None:
        file = folder / "model.safetensors"
        data = file.read_bytes()
        length = 8 + int.from_bytes(data[:8], "little")
        entries = json.loads(data[8:length])
        how(entries)
        text = json.dumps(entries).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text + data[length:])

    return edit


def test_huref_verify_opens_it(trusted: Path, model: Path) -> None:
    result = command(trusted, model)
    assert result.exit_code == 0, result.output
    assert "which are those of the given checkpoint" in result.output


def test_huref_verify_rejects_another_weight(trusted: Path, model: Path) -> None:
    change(layers__1__self_attn__q_layernorm__norms__3__weight=lambda w: w * 1.5)(model)
    result = command(trusted, model)
    assert result.exit_code == 4, result.output
    assert "REJECTED at step 11 (opening): layers.1.q, row " in result.output


def test_huref_verify_cannot_tell_without_a_tensor(trusted: Path, model: Path) -> None:
    change(layers__1__self_attn__q_layernorm__norms__3__weight=none)(model)
    result = command(trusted, model)
    assert result.exit_code == 3, result.output
    assert "UNDECIDED at step 11 (opening)" in result.output


def step_11(made: Path, model: Path) -> str:
    """The step alone: the ten before it do not look at the checkpoint."""
    bundle = read_bundle(made / "bundle")
    count = bundle.statement.total_rows + 1 + Y_POINTS
    points = arrange_points(bundle.statement, split_points(bundle.commitments, 0, count, "commitments.bin"))
    cm = commitment_digest(bundle.statement, points)
    profile = verifier.trust.profile.load_profile("toy-dev")
    with Workers(Deadline(60)) as workers:
        return check_opening(bundle.statement, points, cm, profile, model, made / "secret.json", workers)


def none(_array: np.ndarray) -> None:
    return None


def integers(array: np.ndarray) -> np.ndarray:
    return np.ones(array.shape, np.int32)


def swap_places(entries: dict) -> None:
    entries[Q_NORM]["data_offsets"] = entries[Q_NORM.replace("3", "2")]["data_offsets"]


REJECTED = {
    "config of another family": (config(architectures=["LlamaForCausalLM"], model_type="llama"), "family is llama"),
    "one of a family with the same names": (
        config(architectures=["Qwen2ForCausalLM"], model_type="qwen2"),
        "family is qwen2",
    ),
    "other heads": (config(num_key_value_heads=4), "kv_heads is 4"),
    "one layer less": (config(num_hidden_layers=2), "num_layers is 2"),
    "norms of queries and keys denied": (config(qk_layernorm=False), "layers.1.q, row "),
    "a norm before both parts": (change(layers__1__input_layernorm__weight=lambda w: -w), "layers.1.q, row "),
    "a norm of a key head": (
        change(layers__2__self_attn__k_layernorm__norms__1__weight=lambda w: w + 0.5),
        "layers.2.k, row ",
    ),
    "a row of the output projection": (change(layers__2__self_attn__o_proj__weight=lambda w: w[:, ::-1]), "layers.2.o"),
    "embeddings": (change(embed_tokens__weight=lambda w: w[::-1]), "embedding, row 0"),
}
UNDECIDED = {
    "unknown family": (config(architectures=["MambaForCausalLM"]), "cannot be opened"),
    "two classes": (config(architectures=["StableLmForCausalLM"] * 2), "cannot be opened"),
    "a class of one family, the type of another": (
        config(architectures=["LlamaForCausalLM"]),
        "model_type: 'stablelm'",
    ),
    "no class": (config(architectures=None), "cannot be opened"),
    "a family that needs other sizes": (
        config(architectures=["GPT2LMHeadModel"], model_type="gpt2", hidden_size=None),
        "n_embd",
    ),
    "a switch that is a number": (config(use_parallel_residual=1), "use_parallel_residual"),
    "another switch": (config(use_parallel_residual=False), "post_attention_layernorm.weight is missing"),
    "quantized": (config(quantization_config={"quant_method": "gptq"}), "quantization_config"),
    "a huge size": (config(intermediate_size=10**30), "intermediate_size"),
    "a size that is text": (config(num_attention_heads="4"), "num_attention_heads"),
    "a size that is a list": (config(vocab_size=[600]), "vocab_size"),
    "one head too many": (config(num_attention_heads=5, head_dim=8), "key/value heads"),
    "no embedding": (change(embed_tokens__weight=none), "embed_tokens.weight is missing"),
    "no projection": (change(layers__2__mlp__down_proj__weight=none), "layers.2.mlp.down_proj.weight is missing"),
    "no norm": (change(layers__1__input_layernorm__weight=none), "layers.1.input_layernorm.weight is missing"),
    "no norm of one head": (
        change(layers__1__self_attn__q_layernorm__norms__3__weight=none),
        "q_layernorm.norms.3.weight is missing",
    ),
    "another shape": (change(layers__1__mlp__up_proj__weight=lambda w: w.T.copy()), "of shape [32, 48]"),
    "a norm of another length": (change(layers__1__input_layernorm__weight=lambda w: w[:-1].copy()), "of shape [31]"),
    "integers": (change(layers__2__self_attn__q_proj__weight=integers), "of type 'I32'"),
    "integers for a norm": (change(layers__2__input_layernorm__weight=integers), "of type 'I32'"),
    "infinite": (change(layers__2__input_layernorm__weight=lambda w: w * np.float32(np.inf)), "NaN or infinite"),
    "zero": (change(layers__2__mlp__up_proj__weight=np.zeros_like), "layers.2.up cannot be scaled"),
    "overlapping places": (header(swap_places), "overlaps another"),
    "a type that does not exist": (header(lambda h: h[Q_NORM].update(dtype="F31")), "of type 'F31'"),
    "a type that is a list": (header(lambda h: h[Q_NORM].update(dtype=["F32"])), "is damaged"),
    "a shape of many axes": (header(lambda h: h[Q_NORM].update(shape=[1] * 100 + [8])), "is damaged"),
    "a shape of huge axes": (header(lambda h: h[Q_NORM].update(shape=[10**4000] * 8)), "is damaged"),
    "a place beyond the file": (header(lambda h: h[Q_NORM].update(data_offsets=[1 << 40, (1 << 40) + 32])), "damaged"),
    "a place before the data": (header(lambda h: h[Q_NORM].update(data_offsets=[-32, 0])), "is damaged"),
    "an entry that is a number": (header(lambda h: h.update(extra=5)), "is damaged"),
    "deep JSON": (lambda folder: (folder / "config.json").write_text("[" * 200_000), "not JSON"),
    "a pipe": (lambda folder: ((folder / "config.json").unlink(), os.mkfifo(folder / "config.json")), "not a file"),
    "a folder": (
        lambda folder: ((folder / "model.safetensors").unlink(), (folder / "model.safetensors").mkdir()),
        "not a file",
    ),
}
CASES = {what: (Rejected, "opening", *case) for what, case in REJECTED.items()}
CASES |= {what: (BadOpening, "bad-opening", *case) for what, case in UNDECIDED.items()}


@pytest.mark.parametrize("what", CASES)
def test_verdicts(trusted: Path, model: Path, what: str) -> None:
    kind, code, spoil, words = CASES[what]
    spoil(model)
    with pytest.raises(VerifierError) as caught:
        step_11(trusted, model)
    message = caught.value.message
    assert (type(caught.value), caught.value.code) == (kind, code), message
    assert words in message
    assert str(model) in message or "row" in message or "scaled" in message


UNREAD = {
    "first layer": change(layers__0__self_attn__q_proj__weight=lambda w: -w),
    "gate": change(layers__2__mlp__gate_proj__weight=lambda w: -w),
    "bias": change(layers__2__self_attn__q_proj__bias=lambda w: w + 1),
    "head": change(lm_head__weight=lambda w: -w),
}


@pytest.mark.parametrize("what", UNREAD)
def test_what_is_not_read_does_not_count(trusted: Path, model: Path, what: str) -> None:
    UNREAD[what](model)
    assert "are equal" in step_11(trusted, model)
