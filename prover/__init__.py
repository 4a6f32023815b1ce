"""The prover: from a checkpoint to a proven fingerprint. numpy only, no torch.

- `families`, `checkpoint`           which tensor plays which role; reads a Hugging Face directory
- `tokens`, `quantization`, `terms`  docs/protocol.md section 3: from weights to projected invariant terms
- `field`, `salts`, `commitments`    vectors modulo p, what hides them, commitments to rows
- `transcript`, `link`, `prove`      sections 4 and 5; `FingerprintProver` is the whole run
- `statement`, `secret`, `bundle`    what is published, what is kept, how it is written
- `jobs`, `progress`, `fingerprint`  resuming, bars, z and the picture
- `metrics`                          ICS and PCS; `cli`, `prove_cli`, `ics_cli` are the commands
"""
