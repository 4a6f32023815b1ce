"""Who published a bundle: `signature` (step 12), `keys` (the door to cryptography), `identity` (who is asked for),
`sigstore_bundle` (the door to sigstore).

>>> from verifier.signature.identity import parse_identity
>>> parse_identity("nobody") is None
True
"""
