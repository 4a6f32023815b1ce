"""The prover: from a checkpoint to a proven fingerprint. numpy only, no torch.

- `families`    which tensor of an architecture plays which role (tables)
- `checkpoint`  reads a Hugging Face directory: config, weights, tokenizer
- `tokens`, `quantization`, `terms`  docs/protocol.md section 3, from weights to projected invariant terms
- `metrics`     ICS and PCS between two checkpoints; `ics_cli` is the command around it
"""
