"""Limits, applied before anything is parsed. Each with its reason."""

KIB = 1 << 10
MIB = 1 << 20

# Bundle (docs/protocol.md section 7).
MAX_STATEMENT_BYTES = 64 * KIB  # a real one has 3 kB
MAX_ROWS = 2_000_000  # a 70B model has about 240,000
MAX_POINTS = 2_000_000  # section 7: the limit of commitments.bin, in points
MAX_COMMITMENTS_BYTES = 64 * MAX_POINTS
MAX_PROOF_FILE_BYTES = 4 * MIB  # real ones have 70 kB
MAX_PICTURE_BYTES = 4 * MIB  # 512 x 512 x 3 stored raw is 0.8 MB
MAX_PICTURE_SIDE = 2048  # pixels; a profile says the exact size, this holds before one is known
MAX_ZIP_BYTES = MAX_COMMITMENTS_BYTES + 2 * MAX_PROOF_FILE_BYTES + MAX_PICTURE_BYTES + MIB
MAX_ZIP_DIRECTORY_BYTES = 64 * KIB  # zip's list of members: about 80 bytes each
MAX_ENTRIES = 16  # files in a bundle: five, and a signature; more is something else
MAX_SIGNATURE_BYTES = 64 * KIB  # an envelope has 2 kB, a Sigstore bundle about 10

# --identity.
MAX_KEY_FILE_BYTES = 16 * KIB  # a public key in PEM form has 200
MAX_IDENTITY_CHARACTERS = 1000

# Comparison artefact (docs/comparison.md section 5).
MAX_COMPARISON_POINTS_BYTES = 4 * KIB  # exactly 26 points; a zip may hold them a little longer than they are

# Feed-forward proof (docs/inference-proof.md section 5).
MAX_ACTIVATIONS_BYTES = 8 * MIB  # x and y: 16 kB for the shipped models, 0.3 MB for 8 activations of width 2,560
MAX_FEED_FORWARD_POINTS_BYTES = 4 * MIB  # a point for each row of the gate, and five

# Many bundles.
MAX_BUNDLES = 100_000  # found below one folder; more is a mistake
MAX_FOLDERS = 1_000_000  # looked into for them; a link to `/` leads to more
MAX_FOLDER_DEPTH = 100  # below the folder given: far from Python's own limit on recursion
MAX_JOBS = 256

# JSON.
MAX_JSON_DEPTH = 8  # a statement has 4
MAX_CHECKPOINT_JSON_DEPTH = 64  # config.json, tokenizer.json, headers of tensors: real ones nest less than 10 deep
MAX_JSON_DIGITS = 20  # integers beyond 2^64 are decimal strings in this protocol
MAX_JSON_KEYS = 64  # in one object; the largest has 12

# Statement.
MAX_DIMENSION = 1 << 24  # any size of a model; keeps products far below 2^63
MAX_METADATA_CHARACTERS = 200
MAX_DECIMAL_DIGITS = 80  # p has 77: a c_t given "negative modulo p" must be read to be refused
C_LIMIT = 1 << 32  # c_t < 2^32
FEATURE_LIMIT = 1 << 62  # magnitude of a feature as a signed integer
NORM_LIMIT = 1 << 64
# |W f + b|: models' are 16 to 27 (docs/fpm.md), that of six multiples of the identity at least 10. A prover's choice of
# rounding turns a shorter z further.
MIN_LATENT_LENGTH = 8.0

# Profile: shipped with the verifier and pinned by digest, so these only catch accidents.
MAX_PROFILE_BYTES = 64 * KIB
MAX_PROFILE_FILE_BYTES = 512 * MIB
MAX_TRUST_BYTES = 64 * KIB
MAX_HEAD_BYTES = 64 * MIB  # head.npz: 4096 features would have 8
MAX_PAGE_BYTES = 256 * KIB  # page.html
MAX_K = 20

# Child processes that run ezkl.
CHILD_ADDRESS_SPACE = 4 << 30  # bytes of address space (Rust's threads reserve far more than they use)
CHILD_FILE_BYTES = 64 * MIB  # the largest file a child may write; it writes none
CHILD_THREADS = 8
MAX_CHILD_ANSWER_BYTES = 64 * MIB  # one line; the longest, of an opening, has about 1
MAX_CHILD_LOG_BYTES = MIB
DEFAULT_TIME_LIMIT_S = 300.0  # a verification takes 2
DEFAULT_OPENING_TIME_LIMIT_S = 4 * 3600.0  # a 7B model takes half a minute; to name a row that differs, minutes
MAX_CHILD_MESSAGE_CHARACTERS = 400  # of what a failing child printed, in a message

# Opening.
MAX_SECRET_BYTES = 4 * KIB
MAX_CONFIG_BYTES = 1 * MIB  # real ones have a few kB
MAX_INDEX_BYTES = 48 * MIB  # the largest published ones have about 10 MB
MAX_TOKENIZER_BYTES = 48 * MIB  # the largest published ones have about 35 MB
MAX_CHECKPOINT_JSON_PARTS = 5_000_000  # Gemma 3's tokenizer.json has about 3.2 million; keeps memory below 1 GB
MAX_VOCABULARY = 1 << 20  # entries of model.vocab; the largest published ones have 260,000
MAX_HEADER_BYTES = 48 * MIB  # about 120 bytes a tensor; the format allows 100 MB
MAX_TENSOR_AXES = 8  # weights have one or two; keeps products of hostile shapes small
