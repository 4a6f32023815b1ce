"""Publish a profile's activation circuit: `python -m circuits.publish_activation`, for the project's maintainers.

Run it after the profile was published with another size class or SRS; otherwise nothing changes.
Source: docs/inference-proof.md, section 6.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from circuits.activation_circuit import CIRCUIT, ActivationScale, activation_graph
from circuits.activations import DOCUMENT, dependencies, files_in
from circuits.command_group import RefusingCommand
from circuits.digests import sha256_file, write_atomically
from circuits.profiles import Profile, load_profile
from circuits.publish import publish_circuit

TYPE = "application/vnd.huref-zk.activationcircuit+json;version=1"
SHIPPED_ENTRIES = 8 * 344  # 8 activations of the shipped models' feed-forward blocks


def publish_activation(folder: Path, profile: Profile, entries: int) -> dict[str, Any]:
    """Write every file of `folder`: the circuit for `profile`, and the document that pins it. Returns the document.

    Existing settings are kept while they fit. Raises CircuitError when ezkl refuses.
    """
    path = folder / DOCUMENT
    before = json.loads(path.read_text()) if path.exists() else {}
    known = {"srs": before["srs"], "circuits": {CIRCUIT: before["circuit"]}} if before else {}
    record = publish_circuit(
        files_in(folder, {}), activation_graph(profile.size, entries), profile.size, profile.srs, known
    )
    document = {
        "type": TYPE,
        "name": profile.name,
        **dependencies(profile),
        "entries": entries,
        **asdict(ActivationScale.of(profile.size)),
        "circuit": record,
    }
    write_atomically(path, (json.dumps(document, sort_keys=True, indent=1) + "\n").encode())
    return document


@click.command(cls=RefusingCommand)
@click.option("--profile", "profile_name", default="tiny-dev", show_default=True)
@click.option("--entries", default=SHIPPED_ENTRIES, show_default=True, help="Hidden entries of all activations.")
@click.option("--folder", type=click.Path(path_type=Path), help="Default: artifacts/activations/PROFILE.")
@click.option("--trust-file", type=click.Path(path_type=Path), default=Path("verifier/trust.json"), show_default=True)
def main(profile_name: str, entries: int, folder: Path | None, trust_file: Path) -> None:
    """Publish a profile's activation circuit and pin it in the verifier's trust.json."""
    profile = load_profile(profile_name)
    target = folder or Path("artifacts/activations") / profile.name
    publish_activation(target, profile, entries)
    pinned = json.loads(trust_file.read_text())
    pinned.setdefault("activations", {})[profile.name] = sha256_file(target / DOCUMENT)
    write_atomically(trust_file, (json.dumps(pinned, sort_keys=True, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
