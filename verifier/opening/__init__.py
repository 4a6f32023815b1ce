"""The committed rows computed again from a checkpoint: `check` (step 11), with the verifier's own reader.

`checkpoint` (tensors, tokens), `model_config`, `families` (which tensor plays which role), `folding`.

>>> from verifier.opening.families import FAMILIES
>>> FAMILIES[0].name
'llama'
"""
