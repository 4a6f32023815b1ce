"""What goes with a release: `signing` with `keys` and `sigstore_signing`, `card` (a model card's block), `sign_cli`,
`card_cli`.

>>> from prover.release.signing import SIGNATURE_FILE
>>> SIGNATURE_FILE
'signature.json'
"""
