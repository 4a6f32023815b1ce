"""The error tree, the steps' names, and how an error becomes a verdict (docs/protocol.md section 9).

A `Rejected` says that the bundle is wrong; an `Undecided` that this machine could not tell. Both carry `code`
(stable, for machines), `step` (a number of section 9, 0 before step 1) and `hint` (what a person can do).
"""

from __future__ import annotations


class VerifierError(Exception):
    """Anything that keeps a bundle from being accepted."""

    code = "error"

    def __init__(self, message: str, *, step: int = 0, hint: str = "", code: str | None = None) -> None:
        """Make an error; `step` 0 is filled in by the procedure with the step that was under way."""
        super().__init__(message)
        self.message = message
        self.step = step
        self.hint = hint
        if code is not None:
            self.code = code


class Rejected(VerifierError):
    """A check of the protocol failed: the bundle does not show what it claims."""

    code = "rejected"


class Undecided(VerifierError):
    """The checks could not be carried out, or what they rest on is not trusted."""

    code = "undecided"


class Unreadable(Undecided):
    """A file is missing, over its limit, of another kind, or cannot be parsed at all."""

    code = "unreadable"


class UnknownVersion(Undecided):
    """A format or profile that this version does not know: upgrade."""

    code = "unknown-version"


class UntrustedSrs(Undecided):
    """The profile's SRS is a development one and nobody said to accept that."""

    code = "untrusted-srs"


class TimeLimit(Undecided):
    """The time limit ran out."""

    code = "time-limit"


class ToolFailure(Undecided):
    """ezkl or onnxruntime crashed, ran out of memory or gave nonsense."""

    code = "tool-failure"


class BadInstallation(Undecided):
    """Files that ship with the verifier are missing or damaged."""

    code = "bad-installation"


class BadOpening(Undecided):
    """The checkpoint or the secret file given for an opening cannot be read."""

    code = "bad-opening"


class NotComparable(Undecided):
    """Two accepted bundles whose z mean different things: another encoder, projection or other tokens."""

    code = "not-comparable"
