"""`huref card BUNDLE`."""

from __future__ import annotations

from pathlib import Path

import click

from circuits.command_group import HurefCommand
from circuits.errors import BundleError, UsageError
from circuits.printing import say
from prover.fingerprint import own_verifier
from prover.release.card import card as make_card
from prover.release.signing import SIGNATURE_FILE, read_files


@click.command("card", cls=HurefCommand)
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--url", help="Where the bundle is published.")
@click.option("--identity", metavar="KEY_OR_ID", help="Who must have signed it, as huref-verify takes it.")
def card(bundle: Path, url: str | None, identity: str | None) -> None:
    """Print a block for a Hugging Face model card: YAML front matter and Markdown about BUNDLE.

    huref-verify must accept the bundle. Merge the YAML keys with those that your README.md has.
    """
    asked = ("--identity", identity) if identity is not None else ()
    report = own_verifier.report_on(bundle, "--allow-dev-srs", *asked)
    if report["verdict"] != "accepted":
        raise BundleError(f"{bundle}: {report['verdict_line']}", step="card", hint=report["hint"] or "")
    if report["signer"] is None and SIGNATURE_FILE in read_files(bundle):
        raise UsageError(f"{bundle}: its signature was not checked", step="card", hint="say whose it is: --identity")
    say(make_card(report, bundle.resolve().name, not bundle.is_dir(), url), nl=False)
