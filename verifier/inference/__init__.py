"""A block's feed-forward part, proven on public activations (docs/inference-proof.md).

`artefact`, `circuit`, `relation` (what is claimed, as sums), `verify` (the nine steps, named in `steps`), `opening`,
`report`, `page`, `cli`.

>>> from verifier.inference.steps import STEPS
>>> STEPS[5]
'activation inputs'
"""
