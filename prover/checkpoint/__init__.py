"""Hugging Face checkpoints, mapped and never loaded whole.

`tensors` (safetensors files), `config` (sizes), `family_table` (which tensor plays which role; `family` is what a row
can say, `families` looks one up), `folding` with `folded_matrix` (norms into matrices), `tokens`, `spill` (large arrays
in nameless files).

>>> from prover.checkpoint.families import FAMILY_NAMES
>>> "llama" in FAMILY_NAMES
True
"""
