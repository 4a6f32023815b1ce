"""ezkl in processes of its own: `workers` start, limit and end them; `ezkl_child` is what they run.

>>> from verifier.children.workers import EZKL_VERSION
>>> EZKL_VERSION
'23.0.5'
"""
