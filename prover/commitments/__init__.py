"""Rows to points: `rows` (shards of salted rows), `salts`, `field`, `transcript`, `workers` (processes, a cluster),
`jobs` (a run that resumes).

>>> from prover.commitments.transcript import field_elements
>>> field_elements(bytes(63) + bytes([5]))
[5]
"""
