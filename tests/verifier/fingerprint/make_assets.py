"""Makes tests/verifier/assets: a toy profile (k = 9, g = 4), a toy checkpoint, its bundle and secret. Two minutes.

    python tests/verifier/fingerprint/make_assets.py

Run by hand when the protocol changes. The tests read what is committed, so the verifier is tested without a prover.
Needs the extra `prover`. The checkpoint's weights are random; its development SRS and salt seed are of course public.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
import tempfile
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[1] / "assets"
ROOT = ASSETS.parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("XDG_CACHE_HOME", tempfile.mkdtemp(prefix="huref-toy-cache-"))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from circuits import size_classes  # noqa: E402
from circuits.profiles import load_profile  # noqa: E402
from circuits.publish import publish  # noqa: E402
from prover.commitments.jobs import job  # noqa: E402
from prover.fingerprint.prove import FingerprintProver  # noqa: E402
from prover.terms.terms import TermRules, load_fingerprint_input  # noqa: E402

NAME, K, G, SHIFT, FEATURES, SIDE = "toy-dev", 9, 4, 42, 8, 8
TOY = size_classes.SizeClass("toy", K, 4, 4, 2**7, 6)
SEED, SESSION = b"toy seed: public, only for tests", b"toy session: public, for tests.."
SHAPE = {"hidden": 32, "heads": 4, "kv": 2, "head_dim": 8, "ffn": 48, "layers": 3, "vocab": 300}


def save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString(deterministic=True))


def make_fpm(folder: Path) -> None:
    """A linear encoder, a random head, a generator of 8 x 8 pixels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    count = 6 * G * G
    info, node, array = helper.make_tensor_value_info, helper.make_node, numpy_helper.from_array
    weights = (rng.normal(size=(count, FEATURES)) / count**0.5).astype(np.float32)
    save(
        helper.make_graph(
            [
                node("Reshape", ["terms", "row"], ["flat"]),
                node("MatMul", ["flat", "w"], ["product"]),
                node("Reshape", ["product", "out"], ["features"]),
            ],
            "encoder",
            [info("terms", TensorProto.FLOAT, [6, G, G])],
            [info("features", TensorProto.FLOAT, [FEATURES])],
            [array(np.array([1, count]), "row"), array(np.array([FEATURES]), "out"), array(weights, "w")],
        ),
        folder / "encoder.onnx",
    )
    np.savez(
        folder / "head.npz",
        weight=rng.normal(size=(512, FEATURES)).astype(np.float32),
        bias=rng.normal(size=512).astype(np.float32) / 10,
    )
    inner = (rng.normal(size=(512, 8)) / 23).astype(np.float32)
    outer = (rng.normal(size=(8, 3 * SIDE * SIDE)) / 3).astype(np.float32)
    shape = [1, 3, SIDE, SIDE]
    save(
        helper.make_graph(
            [
                node("MatMul", ["z", "inner"], ["hidden"]),
                node("MatMul", ["hidden", "outer"], ["flat"]),
                node("Tanh", ["flat"], ["bounded"]),
                node("Reshape", ["bounded", "shape"], ["image"]),
            ],
            "generator",
            [info("z", TensorProto.FLOAT, [1, 512])],
            [info("image", TensorProto.FLOAT, shape)],
            [array(inner, "inner"), array(outer, "outer"), array(np.array(shape), "shape")],
        ),
        folder / "generator.onnx",
    )


def make_checkpoint(folder: Path) -> None:
    """Random weights in all three types, so that every reader is used."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2)
    s = SHAPE
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (s["vocab"], s["hidden"])}
    for i in range(s["layers"]):
        place = f"model.layers.{i}."
        for role, rows in (("q", s["heads"]), ("k", s["kv"]), ("v", s["kv"])):
            shapes[f"{place}self_attn.{role}_proj.weight"] = (rows * s["head_dim"], s["hidden"])
        shapes[f"{place}self_attn.o_proj.weight"] = (s["hidden"], s["heads"] * s["head_dim"])
        shapes[f"{place}mlp.up_proj.weight"] = (s["ffn"], s["hidden"])
        shapes[f"{place}mlp.down_proj.weight"] = (s["hidden"], s["ffn"])
        shapes[f"{place}input_layernorm.weight"] = (s["hidden"],)
        shapes[f"{place}post_attention_layernorm.weight"] = (s["hidden"],)
    header, raw = {}, b""
    for number, (name, shape) in enumerate(shapes.items()):
        values = (rng.normal(size=shape) * 0.05 + ("norm" in name)).astype("<f4")
        kind = ("F32", "F16", "BF16")[number % 3]
        if kind == "F32":
            data = values.tobytes()
        elif kind == "F16":
            data = values.astype("<f2").tobytes()
        else:
            data = (values.view("<u4") >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(raw), len(raw) + len(data)]}
        raw += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + raw)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": s["hidden"],
        "num_attention_heads": s["heads"],
        "num_key_value_heads": s["kv"],
        "intermediate_size": s["ffn"],
        "num_hidden_layers": s["layers"],
        "vocab_size": s["vocab"],
    }
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {"<s>": 0, "</s>": 1} | {f"tok{i}é" if i % 7 == 0 else f"tok{i}": i for i in range(2, 300)}
    added = [{"id": 0, "content": "<s>"}, {"id": 1, "content": "</s>"}]
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}, "added_tokens": added}))


def main() -> None:
    shutil.rmtree(ASSETS, ignore_errors=True)
    profile_folder, model = ASSETS / "profiles" / NAME, ASSETS / "model"
    size_classes.SIZE_CLASSES["toy"] = TOY
    make_fpm(profile_folder / "fpm")
    publish(profile_folder, NAME, TOY, G, SHIFT, "development")
    make_checkpoint(model)
    profile = load_profile(profile_folder)
    tokens = profile.document["tokens"]
    rules = TermRules(bytes.fromhex(profile.document["projection"]["seed"]), G, tokens["K_min"], tokens["K_max"])
    source = load_fingerprint_input(model, rules)
    metadata = {"name": "toy", "version": "1", "maker": "tests"}
    with job(os.urandom(16)) as work:
        made = FingerprintProver(profile, source, SEED, SESSION, work, metadata).run()
    (ASSETS / "bundle").mkdir()
    for name, data in made.files.items():
        (ASSETS / "bundle" / name).write_bytes(data)
    secret = {
        "type": "application/vnd.huref-zk.secret+json;version=1",
        "seed": SEED.hex(),
        "weights_sha256": source.weights_sha256.hex(),
        "cm": made.cm,
    }
    (ASSETS / "secret.json").write_text(json.dumps(secret, sort_keys=True, separators=(",", ":")))


if __name__ == "__main__":
    main()
