"""A model's fingerprint, proven: `run` (checkpoint to bundle), `prove` (its proofs), `link` (from rows to S').

`proving` (one proof as a part of a job), `statement`, `artefact` (writing bundles), `reader`, `secret`,
`profile_choice`, `picture`, `own_verifier`, `cli`.

>>> from prover.fingerprint.statement import METADATA_FIELDS
>>> METADATA_FIELDS
('name', 'version', 'maker')
"""
