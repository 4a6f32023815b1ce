"""Steps: each has the time from its beginning to its end."""

from __future__ import annotations

from verifier.formats.errors import Rejected
from verifier.results.steps import Status, Steps


def test_a_steps_time_is_its_own(monkeypatch):
    """A clock that is read at known times."""
    now = [100.0]
    monkeypatch.setattr("verifier.results.steps.time.monotonic", lambda: now[0])
    steps = Steps({1: "format", 2: "statement", 3: "points"})
    for number, seconds in ((1, 0.25), (2, 4.0)):
        steps.begin(number)
        now[0] += seconds
        if number == 1:
            steps.passed("")
        now[0] += 0.5  # between two steps
    checks = steps.end(Rejected("no"))
    assert [(check.status, check.seconds) for check in checks] == [
        (Status.PASSED, 0.25),
        (Status.FAILED, 4.5),
        (Status.NOT_CHECKED, 0.0),
    ]


def test_a_failure_of_a_step_that_never_began_has_no_time():
    failure = Rejected("no", step=3)
    (failed, *_) = Steps({1: "format", 3: "points"}).end(failure)
    assert (failed.step, failed.seconds) == (3, 0.0)
