"""huref-verify: checks proven fingerprints. Written from docs/protocol.md alone; shares no code with the prover.

Rooms, each importing only those before it: formats, algebra, trust, children, results, statement, signature, opening,
fingerprint, comparison and inference, many (docs/architecture.md). For programs: what `public` lists (docs/api.md).

>>> from pathlib import Path
>>> from verifier import Options, verify
>>> verify(Path("artifacts/bundles/base"), Options(allow_development_srs=True)).verdict
'accepted'
"""

from verifier.public import *  # noqa: F403
from verifier.public import __all__ as __all__
