"""`huref circuits` and `huref srs`."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import click

from circuits import keys, srs
from circuits.activation_circuit import CIRCUIT
from circuits.activations import load_activation_circuit
from circuits.command_group import HurefGroup, ResumingCommand
from circuits.comparisons import KINDS, load_similarity_circuit
from circuits.curve_files import MAX_K, read_curve_file
from circuits.digests import sha256_file
from circuits.errors import UsageError
from circuits.printing import say
from circuits.profiles import CIRCUITS, DEFAULT_PROFILE, Profile, load_profile, published
from circuits.size_classes import SIZE_CLASSES

_profile_option = click.option(
    "--profile", "profile_name", default=DEFAULT_PROFILE, show_default=True, help="Published profile."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _notice(text: str) -> None:
    say(text, err=True)


def _circuits(profile: Profile) -> dict[str, keys.Published]:
    """A profile's circuits by name, with those for comparisons and blocks that go with it, as far as published."""
    found = {name: keys.published_circuit(profile, name) for name in CIRCUITS}
    for kind in KINDS:
        with contextlib.suppress(UsageError):
            found[kind] = load_similarity_circuit(profile, kind=kind).circuit
    with contextlib.suppress(UsageError):
        found[CIRCUIT] = load_activation_circuit(profile).circuit
    return found


@click.group(cls=HurefGroup)
def circuits_group() -> None:
    """Published circuits and their keys."""


@circuits_group.command("build", cls=ResumingCommand)
@_profile_option
@click.option("--comparison", is_flag=True, help="Also the keys for huref compare --prove and --at-least.")
@click.option("--feedforward", is_flag=True, help="Also the key for huref feedforward.")
def build(profile_name: str, comparison: bool, feedforward: bool) -> None:
    """Build a profile's proving keys into the user's cache, once: half a minute on 2 cores, for large-dev one."""
    found = _circuits(load_profile(profile_name))
    asked = {**dict.fromkeys(KINDS, comparison), CIRCUIT: feedforward}
    for name, circuit in found.items():
        if not asked.get(name, True):
            continue
        start = time.monotonic()
        key = keys.key_of(circuit, _notice)
        size = key.pk.stat().st_size / 1e6
        say(f"{name:<10} {key.pk} ({size:.0f} MB, {time.monotonic() - start:.1f} s)")


@circuits_group.command("list")
@_json_option
def list_circuits(as_json: bool) -> None:
    """List published profiles, size classes and whether their keys are built."""
    rows = []
    for profile in map(load_profile, published()):
        for name, circuit in _circuits(profile).items():
            built = (keys.cache_folder() / "keys" / circuit.vk_sha256 / "pk.key").exists()
            rows.append(
                {
                    "profile": profile.name,
                    "size_class": profile.size.name,
                    "k": profile.size.k,
                    "circuit": name,
                    "vk": circuit.vk_sha256,
                    "proof_bytes": circuit.files.proof_bytes,
                    "srs": profile.document["srs"]["trust"],
                    "proving_key_built": built,
                }
            )
    if as_json:
        say(json.dumps(rows, sort_keys=True))
        return
    for row in rows:
        state = "key built" if row["proving_key_built"] else "key not built"
        say(
            f"{row['profile']:<10} {row['size_class']:<6} k={row['k']} {row['circuit']:<10} "
            f"vk {str(row['vk'])[:16]} {row['srs']} SRS, {state}"
        )
    unpublished = [name for name in SIZE_CLASSES if name not in {row["size_class"] for row in rows}]
    say(f"size classes without a published profile: {', '.join(unpublished)}")


@circuits_group.command("check")
@_profile_option
def check(profile_name: str) -> None:
    """Rebuild each verification key from published ONNX, settings and SRS, and compare digests."""
    for name, circuit in _circuits(load_profile(profile_name)).items():
        keys.check(circuit)
        say(f"{name:<10} verification key rebuilt: {circuit.vk_sha256}")


@click.group(cls=HurefGroup)
def srs_group() -> None:
    """Structured reference strings."""


def _check_k(k: int) -> int:
    if not 1 <= k <= MAX_K:
        raise UsageError(f"-k {k}: must be 1 to {MAX_K}", step="srs")
    return k


@srs_group.command("fetch")
@click.option("-k", "k", required=True, type=int, help="The file for 2^k rows.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder. Default: the user's cache directory.",
)
def fetch(k: int, folder: Path | None) -> None:
    """Download the public ceremony's file and check it against the project's own digest table."""
    path = srs.fetch(folder or keys.cache_folder() / "srs", _check_k(k))
    say(f"{path} {sha256_file(path)}")


@srs_group.command("dev")
@click.option("-k", "k", required=True, type=int, help="For 2^k rows.")
@click.option("-o", "--output", "path", required=True, type=click.Path(path_type=Path), help="File to write.")
def development(k: int, path: Path) -> None:
    """Write an INSECURE SRS for development: whoever made it could forge every proof under it."""
    srs.generate_development(path, _check_k(k))
    say(f"{path} {sha256_file(path)}")
    say("INSECURE: for development only; proofs under it convince only those who trust this machine", err=True)


@srs_group.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--sha256",
    "expected",
    help="Expected digest. Default: the ceremony's file for the k that the file names.",
)
def check_srs(path: Path, expected: str | None) -> None:
    """Check a file's form and digest."""
    k = read_curve_file(path).k
    srs.check(path, expected or srs.ceremony_digest(k))
    say(f"{path}: k={k}, digest as expected")
