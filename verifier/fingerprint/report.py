"""What was checked, why it matters, and the verdict: as text for people and as JSON for machines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from verifier.fingerprint.image import Picture
from verifier.fingerprint.steps import STEPS, WHY
from verifier.fingerprint.z import Fingerprint
from verifier.formats.errors import VerifierError
from verifier.formats.text import printable
from verifier.results.steps import Check, check_text, checks_json
from verifier.results.verdict import DEVELOPMENT_WARNING, EXIT_ACCEPTED, VERDICTS, Judged


@dataclass(frozen=True)
class Report(Judged):
    """A whole verification.

    `files`: name -> SHA-256 of the bundle's files. `pinned`: the same of what the profile names, and of the profile.
    `fingerprint`: of an accepted bundle alone.
    `signer`: whose signature is good, if one was checked. `identity`: the one asked for, if the bundle was accepted.
    """

    steps = STEPS

    bundle: str
    checks: tuple[Check, ...]
    failure: VerifierError | None
    profile: str | None
    development_srs: bool | None
    opened: bool
    metadata: dict[str, str]
    commitment: str | None
    seconds: float
    files: dict[str, str] = field(default_factory=dict)
    pinned: dict[str, str] = field(default_factory=dict)
    picture: Picture | None = field(default=None, repr=False, compare=False)
    fingerprint: Fingerprint | None = field(default=None, repr=False, compare=False)
    bundle_sha256: str | None = None
    signer: str | None = None
    identity: str | None = None

    def verdict_line(self) -> str:
        """The one line that counts."""
        warning = f" [{DEVELOPMENT_WARNING}]" if self.development_srs else ""
        if self.failure is None:
            what = "the picture is the proven fingerprint of the committed weights"
            if self.opened:
                what += ", which are those of the given checkpoint"
            if self.identity is not None:
                what += f", signed by {printable(self.identity)}"
            return f"ACCEPTED: {what}{warning}"
        return f"{self.verdict.upper()} {self.failed_where()}: {printable(self.failure.message)}{warning}"

    def not_proven(self) -> list[str]:
        """What nobody should read into an accepted bundle."""
        lines = []
        if self.opened:
            lines.append("Made: an opening. The commitments are those of the given checkpoint.")
        else:
            lines.append("Not made: an opening (--weights, --opening). Which checkpoint was committed is not shown.")
        if self.identity is not None:
            lines.append(f"Made: a check of the signature. {printable(self.identity)} signed these files.")
        else:
            lines.append("Not made: a check of who published it (--identity).")
        lines.append("Not made: an inference proof. That these weights are the ones somebody serves is not shown.")
        lines.append(
            "Not made: a comparison under a late projection. Matching pictures are not evidence of copying: "
            "weights can be built whose terms equal any target."
        )
        return lines

    def as_json(self) -> dict[str, Any]:
        """For machines. Keys are stable within a major version of `type`."""
        return {
            "type": "application/vnd.huref-zk.report+json;version=1",
            "bundle": self.bundle,
            **self.verdict_json(self.verdict_line()),
            "profile": self.profile,
            "profile_sha256": self.pinned.get("profile.json"),
            "development_srs": self.development_srs,
            "opened": self.opened,
            "commitment": self.commitment,
            "bundle_sha256": self.bundle_sha256,
            "files": self.files,
            "fingerprint": self.fingerprint.as_json() if self.fingerprint else None,
            "signer": self.signer,
            "identity": self.identity,
            "metadata_unverified": self.metadata,
            "seconds": round(self.seconds, 3),
            "checks": checks_json(self.checks, WHY),
            "not_proven": self.not_proven(),
        }


def step_text(check: Check) -> str:
    """A step in two or three lines."""
    return check_text(check, WHY)


def closing_text(report: Report) -> str:
    """What follows the steps; ends with the verdict line."""
    lines = [""]
    if report.metadata:
        given = ", ".join(f"{key} {printable(value)!r}" for key, value in report.metadata.items() if value)
        lines.append(f"The maker says, unchecked: {given or 'nothing'}")
    if report.commitment is not None:
        lines.append(f"Commitment cm {report.commitment}")
    if report.bundle_sha256 is not None:
        lines.append(f"Bundle digest {report.bundle_sha256}")
    lines += report.not_proven()
    if report.failure is not None and report.failure.hint:
        lines.append(f"Hint: {printable(report.failure.hint)}")
    lines.append(f"{report.seconds:.1f} seconds")
    lines.append(report.verdict_line())
    return "\n".join(lines)


def bundle_line(name: str, report: Report) -> str:
    """A bundle that something else is about: what was committed, if that was read, and what its maker says."""
    said = ", ".join(f"{key} {printable(value)!r}" for key, value in report.metadata.items() if value)
    cm = "no cm was read" if report.commitment is None else f"cm {report.commitment}"
    return f"{name}: {cm}; its maker says, unchecked: {said or 'nothing'}"


def worst_exit_code(reports: Sequence[Report]) -> int:
    """Of many bundles: rejected before undecided before accepted.

    >>> worst_exit_code([])
    0
    """
    return max((report.exit_code for report in reports), default=EXIT_ACCEPTED)


def summary_line(report: Report) -> str:
    """One bundle of many, on one line that begins with its verdict."""
    line = f"{report.verdict.upper():<9}  {printable(report.bundle)}"
    if report.failure is not None:
        line += f"  {report.failed_where()}: {printable(report.failure.message)}"
    return f"{line}  [development SRS]" if report.development_srs and report.failure is None else line


def counts_text(reports: Sequence[Report]) -> str:
    """The last line for many bundles."""
    count = {verdict: sum(report.verdict == verdict for report in reports) for verdict in VERDICTS}
    noun = "bundle" if len(reports) == 1 else "bundles"
    text = f"{len(reports)} {noun}: " + ", ".join(f"{number} {verdict}" for verdict, number in count.items())
    if any(report.development_srs and report.failure is None for report in reports):
        text += f". [development SRS]: {DEVELOPMENT_WARNING}"
    return text


def many_as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """For machines: the reports of many bundles in one document, in the order asked for."""
    return {
        "type": "application/vnd.huref-zk.reports+json;version=1",
        "exit_code": worst_exit_code(reports),
        "counts": {verdict: sum(report.verdict == verdict for report in reports) for verdict in VERDICTS},
        "reports": [report.as_json() for report in reports],
    }
