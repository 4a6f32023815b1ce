"""The table of targets: one for each parser of the verifier."""

from __future__ import annotations

from tests.fuzz import bundle_targets as bundles
from tests.fuzz import checkpoint_targets as checkpoints
from tests.fuzz import signature_targets as signatures
from tests.fuzz.harness import Target
from tests.fuzz.mutators import change_bytes, change_json, change_png, change_safetensors, change_zip

_STATEMENT, _ZIP = bundles.seeds_statement, bundles.seeds_zip

_ROWS = (
    # name, what, run, seeds, change, share, longest input
    ("strict_json", "JSON of bundles and profiles", bundles.run_json, _STATEMENT, change_json, 4, 4096),
    (
        "statement",
        "statement.json, steps 1 and 2",
        bundles.run_statement,
        _STATEMENT,
        bundles.change_statement,
        4,
        4096,
    ),
    (
        "comparison",
        "comparison.json of a proven comparison",
        bundles.run_comparison,
        bundles.seeds_comparison,
        bundles.change_statement,
        3,
        4096,
    ),
    (
        "feedforward",
        "feedforward.json and activations.bin of a proven block",
        bundles.run_feedforward,
        bundles.seeds_feedforward,
        bundles.change_statement,
        3,
        4096,
    ),
    ("proof", "link.json, encoder.json", bundles.run_proof, bundles.seeds_proof, change_json, 8, 4096),
    ("points", "commitments.bin", bundles.run_points, bundles.seeds_points, bundles.change_points, 30, 512),
    (
        "encoding",
        "field elements, base64, hex, decimal",
        bundles.run_encoding,
        bundles.seeds_encoding,
        change_bytes,
        32,
        200,
    ),
    ("picture", "fingerprint.png", bundles.run_picture, bundles.seeds_picture, change_png, 8, 4096),
    ("zip", "a bundle as a zip: its members' bytes", bundles.run_zip, _ZIP, change_zip, 3, 8192),
    ("bundle", "a bundle as a zip, parsed whole", bundles.run_bundle, _ZIP, change_zip, 1, 8192),
    (
        "directory",
        "a bundle as a folder: links, pipes, sizes, names",
        bundles.run_directory,
        bundles.seeds_directory,
        change_bytes,
        1,
        36,
    ),
    ("profile", "profile.json", bundles.run_profile, bundles.seeds_profile, change_json, 2, 4096),
    ("trust", "trust.json", bundles.run_trust, bundles.seeds_trust, change_json, 6, 4096),
    ("head", "head.npz", bundles.run_head, bundles.seeds_head, bundles.change_head, 2, 4096),
    ("secret", "the secret file", checkpoints.run_secret, checkpoints.seeds_secret, change_json, 6, 4096),
    (
        "config",
        "config.json of a checkpoint, all families",
        checkpoints.run_config,
        checkpoints.seeds_config,
        change_json,
        5,
        4096,
    ),
    ("tokenizer", "tokenizer.json", checkpoints.run_tokenizer, checkpoints.seeds_tokenizer, change_json, 3, 4096),
    (
        "safetensors",
        "a safetensors file: header, places, values",
        checkpoints.run_safetensors,
        checkpoints.seeds_safetensors,
        change_safetensors,
        3,
        4096,
    ),
    ("index", "model.safetensors.index.json", checkpoints.run_index, checkpoints.seeds_index, change_json, 5, 4096),
    (
        "signature",
        "signature.json: envelope, Statement, signature",
        signatures.run_signature,
        signatures.seeds_signature,
        signatures.change_signature,
        3,
        4096,
    ),
    ("key", "public keys, DER and PEM; identities", signatures.run_key, signatures.seeds_key, change_bytes, 10, 300),
)
TARGETS = {row[0]: Target(*row) for row in _ROWS}
