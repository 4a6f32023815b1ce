"""Whom is believed, by digest: `profile` (what `trust.json` pins), `published_circuit`, `records` that they share.

>>> from verifier.trust.profile import trusted
>>> sorted(trusted())
['large-dev', 'tiny-dev']
"""
