"""Make a published profile: circuits, settings, verification keys, SRS and the document that pins them all.

For the project's maintainers: `python -m circuits.publish`. Settings are generated once and kept, because ezkl's
`gen_settings` is not deterministic; keys are rebuilt from them. Source: docs/protocol.md, section 8.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click
import onnx

from circuits import ezkl_worker, keys, proofs, srs
from circuits.command_group import RefusingCommand
from circuits.curve_files import read_curve_file, scalars
from circuits.digests import sha256_file, write_atomically
from circuits.encoder_circuit import encoder_circuit_graph
from circuits.errors import CircuitError, SrsError
from circuits.link_circuit import link_graph
from circuits.printing import say
from circuits.profiles import CIRCUITS, DEFAULT_PROFILE, FPM_FILES, CircuitFiles, fpm_file
from circuits.size_classes import RESERVED_ROWS, SizeClass, size_class

PROJECTION_SEED_TEXT = b"huref-zk/v1/projection-seed: nothing up my sleeve"
FAMILIES = (  # in the order of docs/families.md
    "llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3", "glm", "baichuan", "internlm2", "olmo2", "gpt2",
    "gptj", "gpt_neox", "bloom", "falcon", "opt", "mpt", "stablelm", "chatglm",
)  # fmt: skip
SETTINGS_TIME_LIMIT_S = 300.0
PROVE_TIME_LIMIT_S = 900.0
# What the project publishes: size class and `shift`. Terms grow as K d sqrt(e_t), and c_t = g 2^shift / |S_t| must stay
# between 2^10 and 2^32: docs/scale.md has what true shapes give.
PUBLISHED = {"tiny-dev": ("tiny", 50), "large-dev": ("large", 64)}
# The same under the public ceremony's SRS, once its files are there: docs/ceremony.md.
CEREMONY = {"ceremony": ("tiny", 50), "ceremony-large": ("large", 64)}
PROFILES = Path("artifacts/profiles")


def publish(folder: Path, name: str, size: SizeClass, g: int, shift: int, trust: str) -> dict[str, Any]:
    """Write every file of the profile `folder`, but for the fingerprinting model, which must be there or beside it.

    `trust`: `development`, an SRS is made if none is there; `ceremony`, it must be the public ceremony's, by digest.
    Returns the document. Existing SRS and settings are kept when they still fit. Raises CircuitError when ezkl refuses,
    SrsError when the SRS is missing or is not the ceremony's; profile.json is then not written.
    """
    srs_path = _srs_file(folder, size, trust)
    onnx_files = {"link": link_graph(size)}
    fpm = {part: fpm_file(folder, file) for part, file in FPM_FILES.items()}
    encoder = onnx.load(str(fpm["encoder"]))
    onnx_files["encoder"] = encoder_circuit_graph(size, g, shift, encoder)
    records: dict[str, Any] = {}
    before = _published(folder)
    for circuit in CIRCUITS:
        files = CircuitFiles(
            circuit,
            folder / circuit / "circuit.onnx",
            folder / circuit / "settings.json",
            folder / circuit / "vk.key",
            0,
            0,
        )
        records[circuit] = publish_circuit(files, onnx_files[circuit], size, srs_path, before)
    link = folder / "link"
    tail = 2**size.k - records["link"]["usable_rows"]
    small = srs.truncate(read_curve_file(srs_path), link / "vk.key", link / "settings.json", tail)
    if trust == "ceremony" and hashlib.sha256(small.to_bytes()).hexdigest() != srs.ceremony_digest(1):
        raise SrsError(f"{srs_path}: what verifying needs of it is not the ceremony's file for k=1", step="publish")
    write_atomically(folder / "srs" / "k1.srs", small.to_bytes())
    features = encoder.graph.output[0].type.tensor_type.shape.dim[0].dim_value
    scale = json.loads((folder / "encoder" / "settings.json").read_text())["model_output_scales"][0]
    generator = onnx.load(str(fpm["generator"]))
    image = [d.dim_value for d in generator.graph.output[0].type.tensor_type.shape.dim]
    document = {
        "type": "application/vnd.huref-zk.profile+json;version=1",
        "name": name,
        "size_class": {"name": size.name, "k": size.k},
        "srs": {
            "sha256": sha256_file(srs_path),
            "verify_sha256": sha256_file(folder / "srs" / "k1.srs"),
            "trust": trust,
        },
        "circuits": records,
        "fpm": {part: sha256_file(path) for part, path in fpm.items()},
        "projection": {"g": g, "seed": hashlib.sha256(PROJECTION_SEED_TEXT).hexdigest()},
        "quantization": "rms16-int8-v1",
        "layers": "last-2",
        "families": list(FAMILIES),
        "tokens": {"rule": "sha256-order-v1", "K_min": 256, "K_max": 4096},
        "scale": {"shift": shift, "c_min": 1024},
        "features": {"count": features, "scale": scale},
        "image": {"width": image[3], "height": image[2], "tolerance": 2},
    }
    text = json.dumps(document, sort_keys=True, indent=1) + "\n"
    write_atomically(folder / "profile.json", text.encode())
    return document


def _srs_file(folder: Path, size: SizeClass, trust: str) -> Path:
    """The profile's SRS file. A development one is made if it is missing; a ceremony's is checked, never made."""
    path = folder / "srs" / f"k{size.k}.srs"
    if trust == "ceremony":
        if not path.exists():
            fetch = f"huref srs fetch -k {size.k} -o {path.parent}"
            raise SrsError(
                f"{path} is missing", step="publish", hint=f"{fetch}, or put the file there: docs/ceremony.md"
            )
        srs.check(path, srs.ceremony_digest(size.k))
    elif not path.exists():
        srs.generate_development(path, size.k)
    return path


def _published(folder: Path) -> dict[str, Any]:
    path = folder / "profile.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def publish_circuit(
    files: CircuitFiles, graph: onnx.ModelProto, size: SizeClass, srs_path: Path, before: dict[str, Any]
) -> dict[str, Any]:
    """Write a circuit's files; its record for the document that pins them, that of `before` if nothing changed."""
    folder = files.onnx.parent
    data = graph.SerializeToString(deterministic=True)
    same = files.onnx.exists() and files.onnx.read_bytes() == data
    write_atomically(files.onnx, data)
    wanted = keys.run_args(files.name, size)
    if not same or not files.settings.exists():
        with tempfile.TemporaryDirectory() as folder_name:
            out = Path(folder_name, "settings.json")
            ezkl_worker.call("settings", time_limit_s=SETTINGS_TIME_LIMIT_S, onnx=files.onnx, out=out, run_args=wanted)
            write_atomically(files.settings, out.read_bytes())
    keys.check_settings(files.settings, files.name, size)
    record: dict[str, Any] = before.get("circuits", {}).get(files.name, {})
    if (
        record
        and files.vk.exists()
        and before["srs"]["sha256"] == sha256_file(srs_path)
        and files.digests().items() <= record.items()
    ):
        return record  # nothing that the key depends on has changed
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        vk = keys.build(files, size, srs_path, scratch)
        write_atomically(files.vk, vk.read_bytes())
        usable = _usable_rows(files, size, srs_path)
        # a proof of zeros, for its length: every circuit accepts them
        proof = proofs.prove(
            [[0] * one.type.tensor_type.shape.dim[0].dim_value for one in graph.graph.input],
            compiled=scratch / "circuit.ezkl",
            pk=scratch / "pk.key",
            vk=files.vk,
            settings=files.settings,
            srs=srs_path,
            time_limit_s=PROVE_TIME_LIMIT_S,
        )
        digest = sha256_file(files.vk)
        cached = keys.cache_folder() / "keys" / digest
        if not cached.exists():
            cached.mkdir(parents=True)
            for name in ("pk.key", "circuit.ezkl"):
                shutil.copy(scratch / name, cached / name)
    say(f"{folder.name}: usable rows {usable}, proof {len(proof['proof']) // 2} bytes", err=True)
    return {
        "onnx": sha256_file(files.onnx),
        "settings": sha256_file(files.settings),
        "vk": digest,
        "usable_rows": usable,
        "proof_bytes": len(proof["proof"]) // 2,
    }


def _usable_rows(files: CircuitFiles, size: SizeClass, srs_path: Path) -> int:
    """The shortest message that ezkl answers with a second point; the rest of the domain is blinding rows."""
    with tempfile.TemporaryDirectory() as scratch:
        for count in range(2**size.k - RESERVED_ROWS, 2**size.k):
            message, out = Path(scratch, "message"), Path(scratch, "points")
            message.write_bytes(scalars([0]) * count)
            points = ezkl_worker.call(
                "commit",
                time_limit_s=60,
                messages=message,
                out=out,
                vk=files.vk,
                settings=files.settings,
                srs=srs_path,
            )
            if points == 2:
                return count
    raise CircuitError(f"{files.name}: usable rows not found", step="publish")


@click.command(cls=RefusingCommand)
@click.option("--name", help="Profile to publish. Default: every one that the project publishes.")
@click.option("--folder", type=click.Path(path_type=Path), help="Its folder. Default: artifacts/profiles/NAME.")
@click.option("--size", "size_name", help="Size class. Default: the published profile's, or tiny.")
@click.option("--shift", type=int, help="S'_t has root mean square 2^shift. Default: the published profile's, or 50.")
@click.option("--g", default=16, show_default=True)
@click.option(
    "--trust",
    type=click.Choice(["development", "ceremony"]),
    help="Whose SRS it has. Default: the ceremony's for a profile of that name, else a development one.",
)
@click.option("--trust-file", type=click.Path(path_type=Path), default=Path("verifier/trust.json"), show_default=True)
def main(
    name: str | None,
    folder: Path | None,
    size_name: str | None,
    shift: int | None,
    g: int,
    trust: str | None,
    trust_file: Path,
) -> None:
    """Publish profiles and pin them in the verifier's trust.json.

    Whatever has not changed is kept: with a new generator alone no key is built. Those under the ceremony's SRS are
    published when they are named, and again with the others from then on: docs/ceremony.md.
    """
    if name is None and (folder, size_name, shift, trust) != (None, None, None, None):
        raise click.UsageError("--folder, --size, --shift and --trust are of one profile: give --name")
    there = [one for one in CEREMONY if (PROFILES / one / "profile.json").exists()]
    for one in [*PUBLISHED, *there] if name is None else [name]:
        usual_size, usual_shift = {**PUBLISHED, **CEREMONY}.get(one, PUBLISHED[DEFAULT_PROFILE])
        usual_trust = "ceremony" if one in CEREMONY else "development"
        target = folder or PROFILES / one
        size = size_class(size_name or usual_size)
        publish(target, one, size, g, usual_shift if shift is None else shift, trust or usual_trust)
        pinned = json.loads(trust_file.read_text()) if trust_file.exists() else {"profiles": {}}
        pinned["profiles"][one] = sha256_file(target / "profile.json")
        write_atomically(trust_file, (json.dumps(pinned, sort_keys=True, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
