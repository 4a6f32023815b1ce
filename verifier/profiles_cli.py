"""`huref-verify profiles`: what this verifier trusts, in words and as JSON."""

from __future__ import annotations

import json
from typing import Any

import click

from verifier.comparison import circuit as late_circuit
from verifier.comparison.circuit import SimilarityCircuit
from verifier.formats.errors import VerifierError
from verifier.inference import circuit as feedforward_circuit
from verifier.inference.circuit import ActivationCircuit
from verifier.results.printing import Command, say
from verifier.results.verdict import EXIT_UNDECIDED
from verifier.trust import profile
from verifier.trust.profile import Profile

TRUST = {
    True: "development: made on one developer's machine. Whoever made it could forge every proof, so a bundle is\n"
    "undecided unless --allow-dev-srs is given.",
    False: "ceremony: no one knows its secret if at least one participant of the public ceremony was honest.",
}


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_context
def profiles(context: click.Context, as_json: bool) -> None:
    """List the profiles and further circuits this verifier pins by digest, and whom you trust with each.

    Every file is read and compared with its digest. Exit codes: 0 all as published, 3 a file is missing or another.
    """
    try:
        found = [profile.load_profile(name) for name in sorted(profile.trusted())]
        for one in found:
            for name, digest in one.files().items():
                profile.read_trusted_file(one.path(name), digest)
        circuits = [late_circuit.load_circuit(name) for name in sorted(late_circuit.trusted())]
        activations = [feedforward_circuit.load_circuit(name) for name in sorted(feedforward_circuit.trusted())]
        further: list[SimilarityCircuit | ActivationCircuit] = [*circuits, *activations]
        for circuit in further:
            for name, digest in circuit.files().items():
                profile.read_trusted_file(circuit.folder / name, digest)
    except VerifierError as error:
        say(f"{error.message}\nHint: {error.hint}", err=True)
        context.exit(EXIT_UNDECIDED)
    if as_json:
        document = {
            "type": "application/vnd.huref-zk.profiles+json;version=1",
            "profiles": [as_document(one) for one in found],
            "comparisons": [_circuit_document(circuit) | {"kind": circuit.kind} for circuit in circuits],
            "activations": [_circuit_document(circuit) for circuit in activations],
        }
        say(json.dumps(document, indent=1))
    else:
        say("\n\n".join(as_text(one) for one in found))
        for circuit in further:
            use = "feed-forward proofs" if isinstance(circuit, ActivationCircuit) else "proven comparisons"
            say(f"\n{circuit.kind} circuit {circuit.name}, for {use}")
            say(f"  digest   SHA-256 {circuit.sha256.hex()} of circuit.json, pinned in this verifier")


def _circuit_document(circuit: SimilarityCircuit | ActivationCircuit) -> dict[str, Any]:
    """A circuit that is no part of a profile, for machines."""
    return {
        "name": circuit.name,
        "sha256": circuit.sha256.hex(),
        "files": {name: digest.hex() for name, digest in sorted(circuit.files().items())},
    }


def as_text(one: Profile) -> str:
    """A profile in words."""
    longest = one.size_class.data_length
    lines = {
        "digest": f"SHA-256 {one.sha256.hex()} of profile.json, pinned in this verifier",
        "files": f"{len(one.files())}, each with the digest that profile.json names",
        "models": f"size class {one.size_class.name} (k = {one.size_class.k}): no vector longer than {longest}\n"
        f"families {', '.join(one.families)}",
        "SRS": TRUST[one.development_srs],
        "picture": f"{one.width} x {one.height} pixels, {one.tolerance} of 255 off at most",
    }
    text = [one.name]
    for key, value in lines.items():
        text += [f"  {label:<9}{line}" for label, line in zip([key, "", ""], value.split("\n"), strict=False)]
    return "\n".join(text)


def as_document(one: Profile) -> dict[str, Any]:
    """A profile for machines."""
    return {
        "name": one.name,
        "sha256": one.sha256.hex(),
        "size_class": {"name": one.size_class.name, "k": one.size_class.k},
        "families": list(one.families),
        "srs": {
            "trust": "development" if one.development_srs else "ceremony",
            "sha256": one.srs.sha256.hex(),
            "verify_sha256": one.srs.verify_sha256.hex(),
        },
        "accepted_without_flag": not one.development_srs,
        "files": {name: digest.hex() for name, digest in sorted(one.files().items())},
        "image": {"width": one.width, "height": one.height, "tolerance": one.tolerance},
    }
