"""huref-verify: checks proven fingerprints. Written from docs/protocol.md alone; shares no code with the prover.

The rooms, each importing only those before it: `formats`, `algebra`, `trust`, `children`, `results`, `statement`,
`signature`, `opening`, `fingerprint`, `comparison` and `inference`, `many`; then the commands (docs/architecture.md).
For programs: the names below (docs/api.md). They are loaded when used.

>>> from pathlib import Path
>>> from verifier import Options, verify
>>> verify(Path("artifacts/bundles/base"), Options(allow_development_srs=True)).verdict
'accepted'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from verifier.version import __version__

if TYPE_CHECKING:
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

_PLACES = {
    "Comparison": "comparison.published:Comparison",
    "ComparisonReport": "comparison.report:ComparisonReport",
    "FeedForwardReport": "inference.report:FeedForwardReport",
    "Identity": "signature.identity:Identity",
    "Options": "fingerprint.options:Options",
    "Rejected": "formats.errors:Rejected",
    "Report": "fingerprint.report:Report",
    "Undecided": "formats.errors:Undecided",
    "VerifierError": "formats.errors:VerifierError",
    "compare": "comparison.published:compare_bundles",
    "find_bundles": "many.batch:find_bundles",
    "read_identity": "signature.identity:read_identity",
    "verify": "fingerprint.verify:verify_bundle",
    "verify_comparison": "comparison.verify:verify_comparison",
    "verify_feed_forward": "inference.verify:verify_feed_forward",
    "verify_many": "many.batch:verify_many",
}

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


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return value


def __dir__() -> list[str]:
    """The public names too, loaded or not."""
    return sorted({*globals(), *__all__})
