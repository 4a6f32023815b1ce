"""What is computed over the field and the curve: `curve` (bases files), `transcript`, `projection`. Pure.

>>> from verifier.algebra.transcript import Transcript
>>> len(Transcript().challenge("sigma", 2))
2
"""
