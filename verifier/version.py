"""The version of verifier and prover."""

__version__ = "0.1.0"
