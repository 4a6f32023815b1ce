"""What programs import from `verifier`: the same functions that the command lines call (docs/api.md)."""

from __future__ import annotations

from verifier.comparison.published import Comparison
from verifier.comparison.published import compare_bundles as compare
from verifier.comparison.report import ComparisonReport
from verifier.comparison.verify import verify_comparison
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import verify_bundle as verify
from verifier.formats.errors import Rejected, Undecided, VerifierError
from verifier.inference.report import FeedForwardReport
from verifier.inference.verify import verify_feed_forward
from verifier.many.batch import find_bundles, verify_many
from verifier.signature.identity import Identity, read_identity
from verifier.version import __version__

__all__ = [
    "Comparison",
    "ComparisonReport",
    "FeedForwardReport",
    "Identity",
    "Options",
    "Rejected",
    "Report",
    "Undecided",
    "VerifierError",
    "__version__",
    "compare",
    "find_bundles",
    "read_identity",
    "verify",
    "verify_comparison",
    "verify_feed_forward",
    "verify_many",
]
