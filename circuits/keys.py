"""Proving keys: built from published ONNX, settings and SRS on first use, kept in the user's cache directory.

Setup is deterministic: the same three files give the same verification key, byte for byte, so building a proving key
here also checks the published verification key.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from circuits import activation_circuit, ezkl_worker
from circuits.digests import sha256_file, storage_error
from circuits.errors import CircuitError
from circuits.profiles import CircuitFiles, Profile
from circuits.size_classes import SizeClass

COMPILE_TIME_LIMIT_S = 300.0
SETUP_TIME_LIMIT_S = 1800.0


@dataclass(frozen=True)
class ProvingKey:
    """What proving needs beside the published files."""

    pk: Path
    compiled: Path

    def is_there(self) -> bool:
        """Whether it was built; its files come into being together."""
        return self.pk.exists() and self.compiled.exists()


@dataclass(frozen=True)
class Published:
    """A published circuit: its files, the digest of its verification key, the SRS of its setup, its size class."""

    files: CircuitFiles
    vk_sha256: str
    srs: Path
    size: SizeClass


def cache_folder() -> Path:
    """`huref-zk` under the user's cache directory (XDG_CACHE_HOME moves it)."""
    return Path(platformdirs.user_cache_dir("huref-zk"))


def run_args(circuit: str, size: SizeClass) -> dict[str, Any]:
    """ezkl's run arguments for a circuit, by name: `link`, `encoder`, `similarity`, `threshold` or `activation`.

    Every one that soundness hangs on is written out. Source of the reasons: docs/ezkl-notes.md.
    """
    common = {
        "input_visibility": "polycommit",
        "output_visibility": "public",
        "param_visibility": "fixed",  # weights of the encoder are part of the verification key
        "input_scale": 0,
        "logrows": size.k,
        "ignore_range_check_inputs_outputs": True,  # field elements of full size go in; the graph checks what it must
        "disable_freivalds": True,  # without it a proof says nothing of matrix products
        "check_mode": "UNSAFE",  # halo2's own checks of a witness, slow; the proof is verified instead
    }
    if circuit == "link":
        return {
            **common,
            "param_scale": 0,
            "scale_rebase_multiplier": 1000,
            "num_inner_cols": size.link_inner_columns,
            "decomp_base": 2**14,  # ezkl's own; the link circuit decomposes nothing
            "decomp_legs": 2,
        }
    if circuit == activation_circuit.CIRCUIT:
        scale = activation_circuit.ActivationScale.of(size)
        return {
            **common,
            "param_scale": scale.fraction,
            "scale_rebase_multiplier": activation_circuit.PRODUCTS,  # no product is rescaled, so none is rounded
            "lookup_range": [-scale.limit, scale.limit],
            "num_inner_cols": size.activation_inner_columns,
            "decomp_base": size.decomposition_base,
            "decomp_legs": activation_circuit.LEGS,
        }
    return {
        **common,
        "param_scale": 8,
        "scale_rebase_multiplier": 2,  # values are kept at 2 * param_scale = 16 fractional bits
        "num_inner_cols": size.encoder_inner_columns if circuit == "encoder" else size.similarity_inner_columns,
        "decomp_base": size.decomposition_base,
        "decomp_legs": size.decomposition_legs,
    }


def check_settings(path: Path, circuit: str, size: SizeClass) -> None:
    """CircuitError unless settings.json was made with `run_args` and no einsum is left unconstrained.

    `decomp_base ** decomp_legs` is what a range check admits: settings of another base or number of legs are another
    relation, though all else is the same.
    """
    try:
        settings = json.loads(path.read_text())
        found = {**settings["run_args"]}
        found["einsum_params.total_einsum_col_size"] = settings["einsum_params"]["total_einsum_col_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CircuitError(f"{path}: not settings of a circuit ({type(error).__name__})", step="settings") from None
    wanted = {**run_args(circuit, size), "einsum_params.total_einsum_col_size": 0}
    wrong = []
    for name, value in wanted.items():
        told = found.get(name)
        if name.endswith("visibility"):
            told, value = str(told).lower(), value.replace("polycommit", "kzgcommit")  # ezkl's name for it
        if told != value or type(told) is not type(value):
            wrong.append(f"{name} is {told!r}, must be {value!r}")
    if wrong:
        raise CircuitError(
            f"{path}: {'; '.join(wrong)}",
            step="settings",
            hint="the published arguments are others; with some of these a circuit is unsound: docs/ezkl-notes.md",
        )


def proving_key(profile: Profile, circuit: str, notice: Callable[[str], None] = lambda _: None) -> ProvingKey:
    """`key_of` a profile's circuit."""
    return key_of(published_circuit(profile, circuit), notice)


def published_circuit(profile: Profile, circuit: str) -> Published:
    """A profile's circuit with what its key is built from."""
    return Published(
        profile.circuit(circuit), str(profile.document["circuits"][circuit]["vk"]), profile.srs, profile.size
    )


def key_of(circuit: Published, notice: Callable[[str], None] = lambda _: None) -> ProvingKey:
    """The proving key of a published circuit, from the cache or built now (`notice` is told how long that takes).

    Raises CircuitError for settings that `check_settings` refuses, also beside a key that is there already, and when
    the verification key that comes out is not the published one.
    """
    check_settings(circuit.files.settings, circuit.files.name, circuit.size)
    folder = cache_folder() / "keys" / circuit.vk_sha256
    key = ProvingKey(folder / "pk.key", folder / "circuit.ezkl")
    if key.is_there():
        return key
    usual = "half a minute" if circuit.size.k < 14 else "a minute"
    notice(
        f"building the {circuit.files.name} circuit's proving key once, at most {usual} on 2 idle cores, "
        f"kept in {folder}"
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as scratch:
            made = Path(scratch, "key")
            made.mkdir()
            _build_published(circuit, made).unlink()
            _put_in_place(made, key)
    except OSError as error:
        raise storage_error(folder, error) from None
    return key


def _put_in_place(made: Path, key: ProvingKey) -> None:
    """Move the folder `made` to where `key` belongs, unless another process has put its own there meanwhile.

    That one is the same key, and ezkl may be about to read it: it is neither replaced nor, for a moment, away.
    """
    folder = key.pk.parent
    try:
        made.rename(folder)
    except OSError:
        if key.is_there():
            return
        shutil.rmtree(folder, ignore_errors=True)  # somebody removed a part of it
        made.rename(folder)


def build(files: CircuitFiles, size: SizeClass, srs: Path, folder: Path) -> Path:
    """Compile and set up a circuit in `folder`: circuit.ezkl, pk.key, vk.key. Returns the verification key's path."""
    check_settings(files.settings, files.name, size)
    compiled, pk, vk = folder / "circuit.ezkl", folder / "pk.key", folder / "vk.key"
    ezkl_worker.call(
        "compile", time_limit_s=COMPILE_TIME_LIMIT_S, onnx=files.onnx, settings=files.settings, out=compiled
    )
    ezkl_worker.call("setup", time_limit_s=SETUP_TIME_LIMIT_S, compiled=compiled, srs=srs, vk=vk, pk=pk)
    return vk


def check(circuit: Published) -> None:
    """Build the verification key again from ONNX, settings and SRS; CircuitError unless it is the published one."""
    with tempfile.TemporaryDirectory(prefix="huref-check-") as scratch:
        _build_published(circuit, Path(scratch))


def _build_published(circuit: Published, folder: Path) -> Path:
    """`build`, and CircuitError unless the verification key that comes out is the published one."""
    vk = build(circuit.files, circuit.size, circuit.srs, folder)
    found = sha256_file(vk)
    if found != circuit.vk_sha256:
        raise CircuitError(
            f"the {circuit.files.name} circuit's verification key came out as {found}, "
            f"published is {circuit.vk_sha256}",
            step="setup",
            hint="another ezkl than 23.0.5, or files that were changed: huref circuits check",
        )
    return vk
