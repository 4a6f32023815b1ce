"""Publish the circuits that compare bundles of a profile: `python -m circuits.publish_comparison`, for maintainers.

Run it after the profile was published with another size class, SRS, g or shift; otherwise nothing changes.
Source: docs/comparison.md, section 6.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from circuits.command_group import RefusingCommand
from circuits.comparisons import DOCUMENT, KINDS, NAME_SUFFIX, SIMILARITY, dependencies, files_in, media_type
from circuits.digests import sha256_file, write_atomically
from circuits.profiles import Profile, load_profile
from circuits.publish import PUBLISHED, publish_circuit
from circuits.similarity_circuit import similarity_graph
from circuits.threshold_circuit import threshold_graph

COMPARISONS = Path("artifacts/comparisons")


def publish_comparison(folder: Path, profile: Profile, kind: str = SIMILARITY) -> dict[str, Any]:
    """Write every file of `folder`: the circuit for `profile`, and the document that pins it. Returns the document.

    Existing settings are kept while they fit. Raises CircuitError when ezkl refuses.
    """
    path = folder / DOCUMENT
    before = json.loads(path.read_text()) if path.exists() else {}
    known = {"srs": before["srs"], "circuits": {kind: before["circuit"]}} if before else {}
    files = files_in(folder, {}, kind)
    graph = (similarity_graph if kind == SIMILARITY else threshold_graph)(profile.size, profile.g, profile.shift)
    record = publish_circuit(files, graph, profile.size, profile.srs, known)
    settings = json.loads(files.settings.read_text())
    document = {
        "type": media_type(kind),
        "name": profile.name + NAME_SUFFIX[kind],
        **dependencies(profile),
        "scale": settings["model_output_scales"][0],
        "circuit": record,
    }
    write_atomically(path, (json.dumps(document, sort_keys=True, indent=1) + "\n").encode())
    return document


@click.command(cls=RefusingCommand)
@click.option("--profile", "profile_name", help="Default: every profile that the project publishes.")
@click.option("--folder", type=click.Path(path_type=Path), default=COMPARISONS, show_default=True)
@click.option("--trust-file", type=click.Path(path_type=Path), default=Path("verifier/trust.json"), show_default=True)
def main(profile_name: str | None, folder: Path, trust_file: Path) -> None:
    """Publish profiles' similarity and threshold circuits, and pin them in the verifier's trust.json."""
    for name in PUBLISHED if profile_name is None else (profile_name,):
        profile = load_profile(name)
        for kind in KINDS:
            target = folder / (profile.name + NAME_SUFFIX[kind])
            publish_comparison(target, profile, kind)
            pinned = json.loads(trust_file.read_text())
            pinned.setdefault("comparisons", {})[target.name] = sha256_file(target / DOCUMENT)
            write_atomically(trust_file, (json.dumps(pinned, sort_keys=True, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
