"""`huref registry`: a folder of published bundles with an append-only log. Thin: each command calls one function."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import click

from circuits.command_group import HurefGroup, ResumingCommand
from circuits.errors import RegistryError
from circuits.printing import say
from prover.progress import Progress
from prover.registry.add import accepted_report, add_bundle
from prover.registry.audit import audit
from prover.registry.files import read_bundle_files
from prover.registry.index import Index, Listed
from prover.registry.nearest import Match, nearest
from prover.registry.proofs import MAX_PROOF_BYTES, check_proof, make_proof
from prover.registry.site import printable, write_site
from prover.registry.store import Head, Registry, read_head
from prover.release.signing import bundle_digest

_PATH = click.Path(path_type=Path)
_allow = click.option("--allow-dev-srs", is_flag=True, help="Take bundles whose proofs rest on a development SRS.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


@click.group(cls=HurefGroup)
def registry() -> None:
    """Publish bundles in a folder with an append-only log, and search it."""


@registry.command(cls=ResumingCommand)
@click.argument("folder", metavar="REGISTRY", type=_PATH)
@click.argument("bundles", metavar="BUNDLE...", type=_PATH, nargs=-1, required=True)
@_allow
@_json
def add(folder: Path, bundles: tuple[Path, ...], allow_dev_srs: bool, as_json: bool) -> None:
    """Verify each BUNDLE, copy it, and append it to the log.

    One that is there already is left as it is, so a killed command can be run again. The folder is made if missing.
    """
    here = Registry.open_or_create(folder)
    for bundle in bundles:
        done = add_bundle(here, bundle, allow_dev_srs)
        if as_json:
            say(json.dumps({"path": str(bundle)} | asdict(done), sort_keys=True))
        else:
            what = "added as entry" if done.new else "is there already, as entry"
            say(f"{click.format_filename(bundle)} {what} {done.number}; {_head_text(done.head)}")


@registry.command("list")
@click.argument("folder", metavar="REGISTRY", type=_PATH)
@_json
def list_entries(folder: Path, as_json: bool) -> None:
    """List what is published."""
    with Index.reading(Registry.open(folder)) as index:
        listed, head = index.all(), index.head()
    if as_json:
        say(json.dumps({"head": asdict(head), "entries": [asdict(one) for one in listed]}, indent=1))
        return
    for one in listed:
        say(f"{one.number:>6}  {one.added}  {one.bundle[:16]}  {_name(one)}")
    say(_head_text(head))


@registry.command()
@click.argument("folder", metavar="REGISTRY", type=_PATH)
@click.option("--since", type=_PATH, metavar="HEAD", help="A copy of head.json from before: the log must extend it.")
@click.option("--again", is_flag=True, help="Also run huref-verify on every bundle, about a second each.")
@_json
def verify(folder: Path, since: Path | None, again: bool, as_json: bool) -> None:
    """Find anything that was changed: log, head, bundles, index.

    Keep copies of head.json elsewhere. Without --since, somebody who rewrote the whole folder is not found. Exit code 2
    if something is wrong.
    """
    here = Registry.open(folder)
    known = None if since is None else read_head(since)
    with here.quiet(), Progress.on_stderr().counted("bundles", sum(1 for _ in here.lines())) as advance:
        found = audit(here, known, again, lambda: advance(1))
    if as_json:
        say(json.dumps(asdict(found), indent=1))
    else:
        for note in found.notes:
            say(f"note: {note}")
        for finding in found.findings:
            say(f"WRONG: {printable(finding)}")
    if found.findings:
        raise RegistryError(f"{folder}: {len(found.findings)} things are wrong", step="verify")
    if not as_json:
        compared = "and extends the head given" if known else "no earlier head was given (--since)"
        say(f"UNCHANGED: log, bundles and index agree; {compared}; {_head_text(found.head)}")


@registry.command()
@click.argument("folder", metavar="REGISTRY", type=_PATH)
@click.argument("bundle", metavar="BUNDLE", type=_PATH)
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many entries to show.")
@_allow
@_json
def identify(folder: Path, bundle: Path, top: int, allow_dev_srs: bool, as_json: bool) -> None:
    """Verify BUNDLE, and show the published models it is most alike.

    P-values are bounds, corrected for the number of entries. See docs/compare.md for what they rest on.
    """
    here = Registry.open(folder)
    report = accepted_report(bundle, allow_dev_srs)
    with Index.reading(here) as index:
        found = nearest(index, report["fingerprint"], top, report["bundle_sha256"], report["commitment"])
    if as_json:
        say(json.dumps(asdict(found), indent=1))
        return
    say(f"{found.comparable} of {found.entries} entries can be compared")
    for match in found.matches:
        say(f"{match.cosine:+.4f}  {_p_text(match):<14}  {match.verdict:<12}  entry {_match_name(match)}")
    others = [match for match in found.matches if not match.itself]
    if others and others[0].verdict == "derived":
        say(f"DERIVED: has a base in common with entry {_match_name(others[0])}, or was built to match it")
    else:
        say("NONE: no other published model is so alike that unrelated ones hardly ever are")


@registry.command()
@click.argument("folder", metavar="REGISTRY", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="Folder to write.")
@click.option("--force", is_flag=True, help="Replace a gallery that is there.")
def site(folder: Path, output: Path, force: bool) -> None:
    """Write a static gallery with search: one HTML page and the pictures."""
    count = write_site(Registry.open(folder), output, datetime.now(timezone.utc), force)
    say(f"{output / 'index.html'}: {count} models")


@registry.command()
@click.argument("folder", metavar="REGISTRY", type=_PATH)
@click.argument("number", metavar="ENTRY", type=click.IntRange(0))
@click.option("--since", type=_PATH, metavar="HEAD", help="Also prove that the log extends this copy of head.json.")
def proof(folder: Path, number: int, since: Path | None) -> None:
    """Print a proof that ENTRY is in the log, for `check-proof`."""
    known = None if since is None else read_head(since).entries
    lines = [line for _, line in Registry.open(folder).lines()]
    say(json.dumps(make_proof(lines, number, known), indent=1))


@registry.command("check-proof")
@click.argument("file", metavar="PROOF", type=_PATH)
@click.option("--head", required=True, type=_PATH, metavar="HEAD", help="A copy of head.json that you trust.")
@click.option("--since", type=_PATH, metavar="HEAD", help="An earlier one, which the log must extend.")
@click.option("--bundle", type=_PATH, help="The entry must be this bundle's.")
def check(file: Path, head: Path, since: Path | None, bundle: Path | None) -> None:
    """Check a proof against heads that you trust, without the registry."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_PROOF_BYTES + 1)
    except OSError as error:
        raise RegistryError(f"{file}: {error.strerror}", step="proof") from None
    entry = check_proof(data, file, read_head(head), None if since is None else read_head(since))
    if bundle is not None and bundle_digest(read_bundle_files(bundle)) != entry.bundle:
        raise RegistryError(f"{file}: about another bundle than {bundle}", step="proof")
    say(f"PROVEN: entry {entry.number} of the log is bundle {entry.bundle}")


def _head_text(head: Head) -> str:
    return f"{head.entries} entries, root {head.root}"


def _name(one: Listed) -> str:
    parts = [printable(text) for text in (one.name, one.model_version) if text]
    text = " ".join(parts) or "(no name)"
    text += f" by {printable(one.maker)}" if one.maker else ""
    return f"{text}  [development SRS]" if one.development_srs else text


def _match_name(match: Match) -> str:
    return f"{match.entry.number}: {_name(match.entry)}" + ("  (this bundle itself)" if match.itself else "")


def _p_text(match: Match) -> str:
    return "not calibrated" if match.p_corrected is None else f"p <= {match.p_corrected:.2g}"
