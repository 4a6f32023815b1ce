"""Publish a profile's similarity circuit: `python -m circuits.publish_comparison`, for the project's maintainers.

Run it after the profile was published with another size class, SRS, g or shift; otherwise nothing changes.
Source: docs/comparison.md, section 6.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from circuits.command_group import RefusingCommand
from circuits.comparisons import CIRCUIT, DOCUMENT, dependencies, files_in
from circuits.digests import sha256_file, write_atomically
from circuits.profiles import Profile, load_profile
from circuits.publish import publish_circuit
from circuits.similarity_circuit import similarity_graph

TYPE = "application/vnd.huref-zk.similaritycircuit+json;version=1"


def publish_comparison(folder: Path, profile: Profile) -> dict[str, Any]:
    """Write every file of `folder`: the circuit for `profile`, and the document that pins it. Returns the document.

    Existing settings are kept while they fit. Raises CircuitError when ezkl refuses.
    """
    path = folder / DOCUMENT
    before = json.loads(path.read_text()) if path.exists() else {}
    known = {"srs": before["srs"], "circuits": {CIRCUIT: before["circuit"]}} if before else {}
    files = files_in(folder, {})
    graph = similarity_graph(profile.size, profile.g, profile.shift)
    record = publish_circuit(files, graph, profile.size, profile.srs, known)
    settings = json.loads(files.settings.read_text())
    document = {
        "type": TYPE,
        "name": profile.name,
        **dependencies(profile),
        "scale": settings["model_output_scales"][0],
        "circuit": record,
    }
    write_atomically(path, (json.dumps(document, sort_keys=True, indent=1) + "\n").encode())
    return document


@click.command(cls=RefusingCommand)
@click.option("--profile", "profile_name", default="tiny-dev", show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Default: artifacts/comparisons/PROFILE.")
@click.option("--trust-file", type=click.Path(path_type=Path), default=Path("verifier/trust.json"), show_default=True)
def main(profile_name: str, folder: Path | None, trust_file: Path) -> None:
    """Publish a profile's similarity circuit and pin it in the verifier's trust.json."""
    profile = load_profile(profile_name)
    target = folder or Path("artifacts/comparisons") / profile.name
    publish_comparison(target, profile)
    pinned = json.loads(trust_file.read_text())
    pinned.setdefault("comparisons", {})[profile.name] = sha256_file(target / DOCUMENT)
    write_atomically(trust_file, (json.dumps(pinned, sort_keys=True, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
