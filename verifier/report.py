"""What was checked, why it matters, and the verdict: as text for people and as JSON for machines. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from verifier.errors import STEP_NAMES, Rejected, VerifierError

if TYPE_CHECKING:
    from verifier.fingerprint import Fingerprint
    from verifier.image import Picture

EXIT_ACCEPTED, EXIT_USAGE, EXIT_UNDECIDED, EXIT_REJECTED = 0, 2, 3, 4
VERDICTS = ("accepted", "undecided", "rejected")

WHY = {
    1: "Every byte must have one meaning: two readers must not see two bundles in it.",
    2: "Whoever may choose tokens, layers, projection or circuits can shop for a fingerprint; all are fixed.",
    3: "Sums over points that are not on the curve prove nothing.",
    4: "Ties the encoder's run to the committed terms S'.",
    5: "The public features really are the published encoder's output for that input.",
    6: "The scale integers c_t leave the maker no freedom: each term enters at the same size.",
    7: "Ties the link proof to the committed weight rows and to challenges drawn after them.",
    8: "Shows that S' is the HuRef terms of the committed rows, projected by P.",
    9: "The picture is the generator's output for the proven features, not one somebody drew.",
    10: "Whoever knows the secret behind an SRS can forge every proof above.",
    11: "The committed rows are those of this checkpoint.",
    12: "Only a signature shows who published it; proofs do not.",
}

DEVELOPMENT_WARNING = "convinces only those who trust the generator of its development SRS"


class Status(Enum):
    """Outcome of a step."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    NOT_CHECKED = "not checked"


_MARKS = {Status.PASSED: "ok  ", Status.FAILED: "FAIL", Status.UNDECIDED: "??  ", Status.NOT_CHECKED: "--  "}


@dataclass(frozen=True)
class Check:
    """One step: what it compared (or how it failed)."""

    step: int
    status: Status
    compared: str

    @property
    def name(self) -> str:
        """The step's name in docs/protocol.md section 9."""
        return STEP_NAMES.get(self.step, "start")


class Judged:
    """What every report has that ends with a verdict: `failure`, or None when accepted."""

    failure: VerifierError | None
    steps: ClassVar[Mapping[int, str]] = STEP_NAMES

    @property
    def verdict(self) -> str:
        """accepted, rejected or undecided."""
        if self.failure is None:
            return "accepted"
        return "rejected" if isinstance(self.failure, Rejected) else "undecided"

    @property
    def exit_code(self) -> int:
        """0 accepted, 3 undecided, 4 rejected."""
        return {"accepted": EXIT_ACCEPTED, "undecided": EXIT_UNDECIDED, "rejected": EXIT_REJECTED}[self.verdict]

    def failed_where(self) -> str:
        """At which step it ended without being accepted."""
        step = self.failure.step if self.failure else 0
        return f"at step {step} ({self.steps[step]})" if step in self.steps else "before step 1"

    def verdict_json(self, line: str) -> dict[str, Any]:
        """What every report says of its verdict to machines; `line`: the verdict line."""
        failure = self.failure
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "verdict_line": line,
            "step": failure.step if failure else None,
            "code": failure.code if failure else None,
            "message": failure.message if failure else None,
            "hint": failure.hint if failure else None,
        }


def checks_json(checks: Sequence[Check], why: Mapping[int, str]) -> list[dict[str, Any]]:
    """The steps of a report for machines; `why` each of them matters."""
    return [
        {
            "step": check.step,
            "name": check.name,
            "status": check.status.value,
            "compared": check.compared,
            "why": why.get(check.step, ""),
        }
        for check in checks
    ]


@dataclass(frozen=True)
class Report(Judged):
    """A whole verification.

    `files`: name -> SHA-256 of the bundle's files. `pinned`: the same of what the profile names, and of the profile.
    `fingerprint`: of an accepted bundle alone.
    `signer`: whose signature is good, if one was checked. `identity`: the one asked for, if the bundle was accepted.
    """

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


def check_text(check: Check, why_of: Mapping[int, str] = WHY) -> str:
    """A step in two or three lines; `why_of`: why it matters, by step."""
    if check.status is Status.NOT_CHECKED:
        said = printable(check.compared) or "not checked"
        return f"{_MARKS[check.status]} {check.step:>2}  {check.name}: {said}"
    lines = textwrap.wrap(
        f"{check.name}: {printable(check.compared)}",
        108,
        initial_indent="",
        subsequent_indent="",
        break_long_words=True,
    )
    first = f"{_MARKS[check.status]} {check.step:>2}  " + "\n         ".join(lines)
    why = why_of.get(check.step)
    return f"{first}\n         {why}" if why else first


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


def printable(text: str) -> str:
    """Text from a bundle without control characters: a terminal must not obey it.

    >>> printable("a\\x1b[2Jb\\nc")
    'a?[2Jb?c'
    """
    return "".join(character if character.isprintable() else "?" for character in text)
