"""What a bundle says it is about: `statement` (typed), `rules` (step 2), `rows` (its points, and what they draw). Pure.

>>> from verifier.statement.statement import PAIRS
>>> PAIRS[0]
('q', 'k')
"""
