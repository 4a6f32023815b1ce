"""Two bundles compared: `prove` (by proof, under a projection drawn late), `cli`, `published_cli` (`huref compare`).

>>> from prover.comparison.prove import MILLIONTHS
>>> MILLIONTHS
1000000
"""
