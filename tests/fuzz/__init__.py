"""Fuzzing of every parser of the verifier: `python -m tests.fuzz --help`, docs/fuzzing.md.

`targets` says what is called and what it may do, `mutators` make inputs, `harness` judges one, `child` is a process
that runs one engine on one target within limits, `__main__` starts those and writes the record. `extremes` are the
worst inputs that the limits admit, one process each.
"""
