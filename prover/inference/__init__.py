"""A block's feed-forward part, proven: `prove`, `block` (its matrices), `fixed_point` (exact integers), `cli`.

>>> from prover.inference.prove import ROLES
>>> ROLES
('gate', 'up', 'down')
"""
