"""Circuits: graphs, settings, keys, SRS files, and the only door of the prover's side to ezkl.

- `size_classes`, `link_circuit`, `encoder_circuit`   what the two circuits of a profile are
- `similarity_circuit`, `threshold_circuit`, `comparisons`, `publish_comparison`   what compares two bundles' terms
- `ezkl_worker`, `curve_files`                        ezkl in child processes; SRS files as lists of bases
- `keys`, `proofs`, `srs`, `profiles`, `publish`      proving keys, one proof, SRS files, what is published and pinned
- `cli`                                               `huref circuits`, `huref srs`

>>> from circuits.size_classes import size_class
>>> size_class("tiny").length
4032
"""
