"""huref-verify: checks a proven fingerprint. Written from docs/protocol.md alone; shares no code with the
prover.

The way of the data: `cli` -> `verify` (the numbered procedure) -> `bundle`, `profile` (bytes to typed
values) ->
`statement`, `transcript`, `projection`, `link`, `encoder`, `image` (one check each, pure) -> `workers`,
`ezkl_child`
(the only door to ezkl) -> `report`. `opening` is the optional step 11.
"""

__all__ = ["__version__"]
__version__ = "0.1.0"
