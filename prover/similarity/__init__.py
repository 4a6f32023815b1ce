"""How alike two checkpoints are, without a proof: `huref ics` and `huref profile`.

`metrics` (ICS and PCS), `blocks` (the best of all blocks), `attention_profile` (arXiv 2507.03014), `pairs` (many pairs
for `huref evaluate`), `null_distribution` and `verdict` (what unrelated models reach), `ics_cli`, `profile_cli`.

>>> from prover.similarity.verdict import DERIVED_P
>>> DERIVED_P < 1e-3
True
"""
