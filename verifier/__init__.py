"""huref-verify: checks a proven fingerprint. Written from docs/protocol.md alone; shares no code with the prover.

`cli` -> `verify` (the numbered procedure) -> `bundle`, `profile` (bytes to typed values) -> `statement`, `transcript`,
`projection`, `link`, `encoder`, `image` (one check each, pure) -> `workers`, `ezkl_child` (the only door to ezkl) ->
`report`. `opening` is the optional step 11, with `checkpoint`, `model_config`, `families`, `folding`. Around it:
`batch` (many bundles, a process each); `junit`, `sarif`, `page` (what is written); `profiles_cli`. Two bundles are
compared by `comparison` (their z, without a proof) and by `late_verify` (a proof under a projection drawn late).

>>> from verifier.errors import STEP_NAMES
>>> STEP_NAMES[7]
'link inputs'
"""

__all__ = ["__version__"]
__version__ = "0.1.0"
