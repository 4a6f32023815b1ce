"""Many bundles: `batch` (a process each), `child` (that process), and `junit` and `sarif` for CI systems.

>>> from verifier.many.batch import default_jobs
>>> default_jobs() >= 1
True
"""
