"""A bundle, verified: the picture is the proven fingerprint of the committed weights (docs/protocol.md section 9).

`artefact` (bytes to a typed bundle), `verify` (the twelve steps, named in `steps`), `link`, `points`, `encoder`,
`image` (one check each), `z` with `null_distribution` (what is compared later), `report`, `page`.

>>> from verifier.fingerprint.steps import STEPS
>>> STEPS[7]
'link inputs'
"""
