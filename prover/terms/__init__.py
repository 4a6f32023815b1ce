"""The invariant terms of a model: `quantization` (rows to bytes), `terms` (what is committed, and its projection).

>>> from prover.terms.terms import PAIRS
>>> PAIRS[0]
('q', 'k')
"""
