"""What a feed-forward proof showed, as text for people and as JSON for machines. Pure. docs/inference-proof.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from verifier.fingerprint.report import Report, bundle_line
from verifier.formats.errors import VerifierError
from verifier.formats.text import printable
from verifier.inference.steps import STEPS, WHY
from verifier.results.steps import Check, check_text, checks_json
from verifier.results.verdict import DEVELOPMENT_WARNING, Judged

NOT_PROVEN = (
    "That the rest of the model computes as it should, or that these weights are the ones somebody serves: this is one "
    "feed-forward block.",
    "How near a model that is served in floating point comes to these outputs: here rows are rounded to bytes, and all "
    "is in integers.",
)
NOT_PROVEN_UNOPENED = (
    "That the gate belongs to the model: no term of the fingerprint holds it, so the bundle does not commit to it. "
    "Its commitment is named here; a maker who publishes that name with the bundle cannot change the gate later.",
    "The scale integers and the norm's epsilon: the maker states them.",
    "That the rows are bytes, and which checkpoint they are from. An opening shows that, and the two before it: "
    "huref-verify PROOF BUNDLE --weights DIR --opening FILE.",
)


@dataclass(frozen=True)
class Outcome:
    """What is proven. `outputs`: what the block adds to the residual stream, as real numbers, a row an activation."""

    layer: int
    activations: int
    gate_commitment: str
    scale: tuple[int, int, int]
    epsilon: int
    outputs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class FeedForwardReport(Judged):
    """A whole verification. `bundle`: the report on the bundle, if it was reached."""

    steps = STEPS

    path: str
    bundle_path: str
    bundle: Report | None
    checks: tuple[Check, ...]
    failure: VerifierError | None
    outcome: Outcome | None
    seconds: float
    files: dict[str, str] = field(default_factory=dict)
    pinned: dict[str, str] = field(default_factory=dict)
    opened: bool = False

    @property
    def not_proven(self) -> tuple[str, ...]:
        """What it does not show."""
        return NOT_PROVEN if self.opened else NOT_PROVEN + NOT_PROVEN_UNOPENED

    @property
    def development_srs(self) -> bool:
        """The proofs rest on a development SRS."""
        return self.bundle is not None and bool(self.bundle.development_srs)

    def verdict_line(self) -> str:
        """The one line that counts."""
        warning = f" [{DEVELOPMENT_WARNING}]" if self.development_srs else ""
        if self.failure is not None or self.outcome is None:
            message = printable(self.failure.message) if self.failure else "no outcome"
            return f"{self.verdict.upper()} {self.failed_where()}: {message}{warning}"
        one = self.outcome
        return (
            f"ACCEPTED: the feed-forward part of block {one.layer}, with the committed up and down rows and the gate "
            f"{one.gate_commitment[:16]}..., takes the {one.activations} public inputs to the public outputs{warning}"
        )

    def as_json(self) -> dict[str, Any]:
        """For machines. Keys are stable within a major version of `type`."""
        one = self.outcome
        return {
            "type": "application/vnd.huref-zk.feedforwardreport+json;version=1",
            "feed_forward": self.path,
            **self.verdict_json(self.verdict_line()),
            "layer": one.layer if one else None,
            "activations": one.activations if one else None,
            "gate_commitment": one.gate_commitment if one else None,
            "scale": [str(c) for c in one.scale] if one else [],
            "epsilon": str(one.epsilon) if one else None,
            "outputs": [list(row) for row in one.outputs] if one else [],
            "opened": self.opened,
            "development_srs": self.development_srs,
            "commitment": self.bundle.commitment if self.bundle else None,
            "files": self.files,
            "pinned": self.pinned,
            "seconds": round(self.seconds, 3),
            "checks": checks_json(self.checks, WHY),
            "not_proven": list(self.not_proven),
            "bundle": self.bundle.as_json() if self.bundle else None,
        }


def step_text(check: Check) -> str:
    """A step in two or three lines."""
    return check_text(check, WHY)


def closing_text(report: FeedForwardReport) -> str:
    """What follows the steps; ends with the verdict line."""
    lines = [""]
    if report.bundle is not None:
        lines.append(bundle_line("Bundle", report.bundle))
    if report.outcome is not None:
        one = report.outcome
        whose = (
            "of the given checkpoint" if report.opened else "the maker's word unless it was published with the bundle"
        )
        lines.append(f"Gate: commitment {one.gate_commitment}, {whose}")
        first = ", ".join(f"{value:+.4f}" for value in one.outputs[0][:4])
        lines.append(f"Outputs: {one.activations} x {len(one.outputs[0])}, the first begins {first}; --json has all")
    lines += [f"Not proven: {line}" for line in report.not_proven]
    if report.failure is not None and report.failure.hint:
        lines.append(f"Hint: {printable(report.failure.hint)}")
    lines.append(f"{report.seconds:.1f} seconds")
    lines.append(report.verdict_line())
    return "\n".join(lines)
