"""`huref generator import`: the picture is the paper's, what cannot be drawn is refused, nothing is half written."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from circuits.errors import CheckpointError, UsageError
from circuits.onnx_runtime import onnxruntime
from fpm import stylegan2_ada
from fpm.generator_cli import generator
from fpm.stylegan2_ada import import_generator, read_generator
from prover.cli import huref
from prover.fingerprint.picture import picture_of
from tests.conftest import ROOT
from tests.fpm.ada_checkpoints import document, pickled, picture, small_generator
from tests.fpm.test_pickle_reader import mutated
from verifier.fingerprint.image import read_picture, render

TINY = {"channels": (8, 8), "w_dim": 16, "num_layers": 2}
Z = np.random.default_rng(0).standard_normal((3, 512)).astype(np.float32)


def written(folder: Path, network, protocol: int = 4) -> Path:
    path = folder / "network-snapshot.pkl"
    path.write_bytes(pickled(document(network), protocol))
    return path


def drawn(model: bytes, z) -> np.ndarray:
    """As the verifier runs it: one z at a time, one thread, no graph optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["image"], {"z": row[None]})[0] for row in z])


@pytest.mark.parametrize(
    ("options", "psi", "protocol"),
    [({}, 1.0, 3), ({"conv_clamp": 0.7}, 1.0, 4), ({"conv_clamp": 256, "num_layers": 2}, 0.6, 4)],
)
def test_pictures_are_those_of_the_papers_equations(options, psi, protocol, tmp_path):
    network = small_generator(**options)
    mine = drawn(import_generator(written(tmp_path, network, protocol), psi), Z)
    slow = picture(network, Z, psi)
    assert mine.shape == slow.shape == (3, 3, 64, 64) and mine.dtype == np.float32
    assert np.abs(mine - slow).max() < 1e-4
    assert slow.std() > 0.1 and (np.abs(slow) < 1).mean() > 0.8  # not all clamped: the comparison says something


def test_clamping_changes_the_picture_that_is_compared():
    clamped, free = small_generator(conv_clamp=0.7), small_generator()
    assert np.abs(picture(clamped, Z[:1]) - picture(free, Z[:1])).max() > 0.1


def test_the_file_is_that_of_the_projects_own_generator(tmp_path):
    data = import_generator(written(tmp_path, small_generator()))
    model = onnx.load_model_from_string(data)
    onnx.checker.check_model(model)
    assert model.opset_import[0].version == 17
    ends = {end.name: end.type.tensor_type for end in (*model.graph.input, *model.graph.output)}
    shapes = {name: [d.dim_value for d in kind.shape.dim] for name, kind in ends.items()}
    assert shapes == {"z": [1, 512], "image": [1, 3, 64, 64]}
    assert {kind.elem_type for kind in ends.values()} == {onnx.TensorProto.FLOAT}
    assert model.graph.node[-1].op_type == "Clip"
    assert not [node for node in model.graph.node if "Random" in node.op_type]
    assert np.abs(drawn(data, Z)).max() == 1.0
    stored = sum(onnx.numpy_helper.to_array(tensor).size for tensor in model.graph.initializer)
    weights = sum(p.numel() for p in read_generator(tmp_path / "network-snapshot.pkl").parameters())
    assert stored < 1.15 * weights  # each weight once


def test_prover_and_verifier_draw_it(tmp_path):
    network, z = small_generator(**TINY), Z[0].astype(np.float64)
    path = tmp_path / "generator.onnx"
    path.write_bytes(import_generator(written(tmp_path, network)))
    expected = np.rint((picture(network, Z[:1])[0] + 1) * 127.5).transpose(1, 2, 0)
    rendered = render(path.read_bytes(), z)
    assert np.abs(rendered - expected).max() <= 1
    assert np.array_equal(read_picture(picture_of(z, path), "x.png").pixels, rendered)


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path):
    network = small_generator(**TINY)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first = import_generator(written(tmp_path / "a", network))
    torch.manual_seed(99)
    assert import_generator(written(tmp_path / "b", network, protocol=3)) == first
    assert str(tmp_path).encode() not in first and b".py" not in first


def test_g_ema_is_drawn_and_noise_is_not(tmp_path):
    network, other = small_generator(1, **TINY), small_generator(2, **TINY)
    expected = picture(network, Z)
    for name, buffer in network.named_parameters():
        if name.endswith("noise_strength"):
            buffer.fill_(5.0)
    path = tmp_path / "x.pkl"
    path.write_bytes(pickled({**document(other), "G_ema": network}))
    assert np.abs(drawn(import_generator(path), Z) - expected).max() < 1e-4


def test_truncation_moves_pictures_nearer_together(tmp_path):
    path = written(tmp_path, small_generator(**TINY))
    spread = [drawn(import_generator(path, psi), Z).std(0).mean() for psi in (1.0, 0.5, 0.1)]
    assert spread == sorted(spread, reverse=True)


@pytest.mark.parametrize("psi", [0.0, -1.0, 1.5, float("nan")])
def test_truncation_is_above_0_to_1(psi, tmp_path):
    with pytest.raises(UsageError, match="psi"):
        read_generator(tmp_path / "x.pkl", psi)


# ---------------------------------------- refusals


def _set(module, **values):
    for name, value in values.items():
        module.__dict__[name] = value


def _tensor(module, name, value):
    (module._parameters if name in module._parameters else module._buffers)[name] = value


def _renamed(module, name):
    module.__class__ = type(name, (type(module),), {})


REFUSED = {
    "z_dim is 256, not 512": lambda g: _set(g, z_dim=256),
    "c_dim is 10, not 0": lambda g: _set(g, c_dim=10),
    "img_channels is 1, not 3": lambda g: _set(g, img_channels=1),
    "img_resolution is 12, not a power": lambda g: _set(g, img_resolution=12),
    "img_resolution is 2048, not a number": lambda g: _set(g, img_resolution=2048),
    "img_resolution is 'big', not a number": lambda g: _set(g, img_resolution="big"),
    "img_resolution is True, not a number": lambda g: _set(g, img_resolution=True),
    r"G_ema\.synthesis: holds 'b4, b8', not b4, b8, b16": lambda g: _set(g, img_resolution=16),
    "num_layers is 1000, not a number": lambda g: _set(g.mapping, num_layers=1000),
    "mapping: holds 'fc0, fc1', not fc0, fc1, fc2": lambda g: _set(g.mapping, num_layers=3),
    r"b8: architecture is 'resnet', not 'skip'": lambda g: _set(g.synthesis.b8, architecture="resnet"),
    r"b4: architecture is 'orig', not 'skip'": lambda g: _set(g.synthesis.b4, architecture="orig"),
    r"b8\.conv0: resample_filter is another": lambda g: _tensor(
        g.synthesis.b8.conv0, "resample_filter", torch.ones(4, 4) / 16
    ),
    r"b8: resample_filter has shape \[12\]": lambda g: _tensor(g.synthesis.b8, "resample_filter", torch.ones(12)),
    r"conv1: activation is 'relu', not 'lrelu'": lambda g: _set(g.synthesis.b4.conv1, activation="relu"),
    r"fc0: activation is 'linear', not 'lrelu'": lambda g: _set(g.mapping.fc0, activation="linear"),
    r"conv1: act_gain is 1\.0": lambda g: _set(g.synthesis.b4.conv1, act_gain=1.0),
    r"conv0: up is 4": lambda g: _set(g.synthesis.b8.conv0, up=4),
    r"b8\.conv1: conv_clamp is 2\.0, and None": lambda g: _set(g.synthesis.b8.conv1, conv_clamp=2.0),
    r"torgb: weight_gain is 1\.0": lambda g: _set(g.synthesis.b4.torgb, weight_gain=1.0),
    r"fc1: weight_gain is 7\.0": lambda g: _set(g.mapping.fc1, weight_gain=7.0),
    r"fc1: bias_gain is a list": lambda g: _set(g.mapping.fc1, bias_gain=[1]),
    r"b8\.conv0: weight is missing": lambda g: _tensor(g.synthesis.b8.conv0, "weight", None),
    r"fc1: bias is missing": lambda g: _tensor(g.mapping.fc1, "bias", None),
    r"b4: const has shape \[8, 4, 5\]": lambda g: _tensor(g.synthesis.b4, "const", torch.ones(8, 4, 5)),
    r"conv1: weight has shape \[8, 1025, 3, 3\], not \['any'": lambda g: _tensor(
        g.synthesis.b4.conv1, "weight", torch.ones(1, 1, 1, 1).expand(8, 1025, 3, 3)
    ),
    r"fc0: weight has shape \[16, 100\], not \[16, 512\]": lambda g: _tensor(
        g.mapping.fc0, "weight", torch.ones(16, 100)
    ),
    r"torgb: weight has shape \[1, 8, 1, 1\]": lambda g: _tensor(
        g.synthesis.b4.torgb, "weight", torch.ones(1, 8, 1, 1)
    ),
    r"b4\.conv1: bias holds numbers that are not finite": lambda g: _tensor(
        g.synthesis.b4.conv1, "bias", torch.full([8], np.nan)
    ),
    r"conv1: weight is not float32": lambda g: _tensor(
        g.synthesis.b4.conv1, "weight", torch.ones(8, 8, 3, 3, dtype=torch.float64)
    ),
    r"b8\.conv1: weight holds numbers that are not finite, or too large": lambda g: _tensor(
        g.synthesis.b8.conv1, "weight", torch.full([8, 8, 3, 3], 3e38)
    ),
    r"b4\.conv1: missing, or not a network": lambda g: g.synthesis.b4._modules.pop("conv1"),
    r"synthesis: a StyleGAN3 checkpoint": lambda g: g.synthesis._modules.update(input=g.mapping),
    r"mapping: of class 'Encoder', not MappingNetwork": lambda g: _renamed(g.mapping, "Encoder"),
    r"G_ema: of class 'Discriminator'": lambda g: _renamed(g, "Discriminator"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_drawn_is_refused_by_name(message, tmp_path):
    network = small_generator(**TINY)
    REFUSED[message](network)
    with pytest.raises(CheckpointError, match=message) as refusal:
        read_generator(written(tmp_path, network))
    assert str(tmp_path) in refusal.value.message


def test_truncation_needs_the_average(tmp_path):
    network = small_generator(**TINY)
    del network.mapping._buffers["w_avg"]
    read_generator(written(tmp_path, network))
    with pytest.raises(CheckpointError, match="w_avg is missing"):
        read_generator(written(tmp_path, network), 0.5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickled({"G": None}), "no G_ema"),
        (pickled({"G_ema": [1]}), "missing, or not a network"),
        (pickled((1, 2, 3)), "no G_ema"),
        (b"PK\3\4rest", "zip archive"),
        (b"\x80\x04cdnnlib.tflib.network\nNetwork\n.", r"dnnlib\.tflib\.network\.Network"),
        (b"", "end before"),
    ],
)
def test_other_files_are_refused(data, message, tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        read_generator(path)


def test_large_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(stylegan2_ada, "MAX_FILE_BYTES", 1000)
    with pytest.raises(CheckpointError, match="larger than 1000 bytes"):
        read_generator(written(tmp_path, small_generator(**TINY)))
    with pytest.raises(CheckpointError, match="No such file"):
        read_generator(tmp_path / "none.pkl")


@pytest.mark.parametrize("seed", range(2))
def test_damaged_checkpoints_give_typed_errors_or_a_generator(seed, tmp_path):
    data = pickled(document(small_generator(channels=(4, 4), w_dim=4, num_layers=1)))
    rng, path, refused = random.Random(seed), tmp_path / "x.pkl", 0
    for _ in range(150):
        path.write_bytes(mutated(data, rng))
        try:
            read_generator(path)
        except CheckpointError:
            refused += 1
    assert refused > 20


# ---------------------------------------- the command


class Touches:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def run(*arguments):
    return CliRunner().invoke(generator, [str(argument) for argument in arguments])


def test_the_command_writes_the_generator(tmp_path):
    network = small_generator(**TINY)
    done = run("import", written(tmp_path, network), "-o", tmp_path / "out" / "generator.onnx")
    assert done.exit_code == 0, done.output
    data = (tmp_path / "out" / "generator.onnx").read_bytes()
    assert np.abs(drawn(data, Z) - picture(network, Z)).max() < 1e-4


def test_the_command_leaves_nothing_behind_when_it_refuses(tmp_path):
    folder, sentinel = tmp_path / "out", tmp_path / "code-ran"
    folder.mkdir()
    (folder / "old.onnx").write_bytes(b"old")
    checkpoint = tmp_path / "x.pkl"
    checkpoint.write_bytes(pickled({**document(small_generator(**TINY)), "augment_pipe": Touches(sentinel)}))
    for name in ("new.onnx", "old.onnx"):
        done = run("import", checkpoint, "-o", folder / name)
        assert done.exit_code == 2 and "posix.system" in done.stderr and "hint: nothing was run" in done.stderr
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("old.onnx", b"old")]
    assert not sentinel.exists()


def test_the_command_leaves_nothing_behind_when_the_disk_is_full(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    path = written(tmp_path, small_generator(**TINY))
    monkeypatch.setattr(os, "fsync", full)
    done = run("import", path, "-o", tmp_path / "out" / "generator.onnx")
    assert done.exit_code == 2 and "No space left" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """The entry point of pyproject.toml, as an installation records it; a checkout alone has none."""
    line = 'generator = "fpm.generator_cli:generator"'
    assert f'[project.entry-points."huref.commands"]\n{line}' in (ROOT / "pyproject.toml").read_text()
    folder = tmp_path / "site" / "huref_zk_test-0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: huref-zk-test\nVersion: 0\n")
    (folder / "entry_points.txt").write_text(f"[huref.commands]\n{line.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setenv("PYTHONPATH", f"{folder.parent}{os.pathsep}{ROOT}")


def test_huref_finds_the_command(registered, tmp_path):
    assert "generator" in CliRunner().invoke(huref, ["--help"]).output
    arguments = ["generator", "import", str(tmp_path / "none.pkl"), "-o", str(tmp_path / "x.onnx")]
    done = CliRunner().invoke(huref, arguments)
    assert done.exit_code == 2 and "none.pkl: No such file" in done.stderr


@pytest.mark.parametrize(("missing", "extra"), [("torch", "huref-zk[fpm]"), ("rich", "huref-zk[prover,fpm]")])
def test_huref_says_which_extra_the_command_needs(registered, missing, extra, tmp_path):
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from prover.cli import main; "
        "sys.argv = ['huref', 'generator', 'import', 'x.pkl', '-o', 'y']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "fpm extra" in done.stderr and extra in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and list(tmp_path.glob("y*")) == []


def test_torch_stays_away_until_the_command_runs(registered, tmp_path):
    code = (
        "import sys; from click.testing import CliRunner; from prover.cli import huref; "
        "done = CliRunner().invoke(huref, ['--help']); done = CliRunner().invoke(huref, ['generator', '--help']); "
        "sys.exit('torch' in sys.modules or done.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
