"""Step 2, statement: the typed statement, and what it must share with the pinned profile (docs/protocol.md
section 7).

Whoever lets the prover choose lets it shop: everything but the model's own shape, its tokens, c_t and the free
metadata must be equal to the profile's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from verifier import limits, strict_json
from verifier.encoding import POINT_BYTES
from verifier.errors import Rejected
from verifier.strict_json import Reader

if TYPE_CHECKING:
    from verifier.profile import Profile

TERMS = 6
ROLES = ("q", "k", "v", "o", "up", "down")
PAIRS = (("q", "k"), ("v", "o"), ("up", "down"))  # (U, V) of t = 3l + 0, 1, 2
Y_POINTS = 2 * TERMS


@dataclass(frozen=True)
class SizeClass:
    """A size class: `N = 2^k - 64` usable entries, the last 16 salt."""

    name: str
    k: int

    @property
    def length(self) -> int:
        """N."""
        return (1 << self.k) - 64

    @property
    def data_length(self) -> int:
        """M = N - 16."""
        return self.length - 16


@dataclass(frozen=True)
class CircuitDigests:
    """SHA-256 of a circuit's three files."""

    onnx: bytes
    settings: bytes
    vk: bytes


@dataclass(frozen=True)
class SrsDigests:
    """SHA-256 of the SRS file for k, and of the k=1 file that `ezkl.verify` reads."""

    sha256: bytes
    verify_sha256: bytes


@dataclass(frozen=True)
class FpmDigests:
    """SHA-256 of the encoder, the public last layer and the generator."""

    encoder: bytes
    head: bytes
    generator: bytes


@dataclass(frozen=True)
class ProjectionRule:
    """Seed of P, and its number of rows."""

    g: int
    seed: bytes


@dataclass(frozen=True)
class TokenChoice:
    """Which tokens X is made of."""

    rule: str
    k: int  # K
    candidates: int  # n
    sha256: bytes
    tokenizer: bytes


@dataclass(frozen=True)
class Model:
    """The model's architecture."""

    family: str
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    num_layers: int
    layers: tuple[int, ...]
    vocab_size: int

    @property
    def rep(self) -> int:
        """Query heads for each key/value head."""
        return self.heads // self.kv_heads

    def rows(self, role: str) -> int:
        """Rows of the matrix that plays `role`."""
        if role in ("k", "v"):
            return self.kv_heads * self.head_dim
        if role in ("q", "o"):
            return self.heads * self.head_dim
        return self.intermediate_size

    def term_rows(self, t: int) -> int:
        """e_t."""
        return self.intermediate_size if t % 3 == 2 else self.heads * self.head_dim


@dataclass(frozen=True)
class Matrix:
    """A committed matrix: name and number of rows."""

    name: str
    rows: int


@dataclass(frozen=True)
class Statement:
    """`statement.json`, typed; not yet compared with a profile."""

    profile_name: str
    profile_sha256: bytes
    size_class: SizeClass
    srs: SrsDigests
    link: CircuitDigests
    encoder: CircuitDigests
    fpm: FpmDigests
    projection: ProjectionRule
    quantization: str
    tokens: TokenChoice
    model: Model
    matrices: tuple[Matrix, ...]
    c: tuple[int, ...]
    metadata: dict[str, str]
    cm_part: bytes  # canonical JSON of {"matrices","model","quantization","tokens"}: what cm hashes

    @property
    def total_rows(self) -> int:
        """Rows of all 13 matrices together."""
        return sum(matrix.rows for matrix in self.matrices)


# ---------------------------------------- reading


def read_statement(data: bytes) -> Statement:
    """Parse `statement.json`.

    Raises:
        Unreadable, UnknownVersion, Rejected: see `strict_json`; Rejected also when the bytes are not
        canonical.
    """
    name = "statement.json"
    value = strict_json.parse(data, name, limits.MAX_STATEMENT_BYTES)
    fields = Reader(value, name)
    fields.media_type("statement")
    if strict_json.canonical(value) != data:
        raise Rejected(f"{name}: not equal to its own canonical form (RFC 8785)", code="not-canonical")
    profile = fields.nested("profile")
    circuits = fields.nested("circuits")
    metadata = fields.nested("metadata")
    whole = value if isinstance(value, dict) else {}
    parts = {key: whole.get(key) for key in ("matrices", "model", "quantization", "tokens")}
    result = Statement(
        profile_name=profile.text("name"),
        profile_sha256=profile.hex64("sha256"),
        size_class=read_size_class(fields.nested("size_class")),
        srs=read_srs(fields.nested("srs")),
        link=read_circuit(circuits.nested("link")),
        encoder=read_circuit(circuits.nested("encoder")),
        fpm=read_fpm(fields.nested("fpm")),
        projection=read_projection(fields.nested("projection")),
        quantization=fields.text("quantization"),
        tokens=_read_tokens(fields.nested("tokens")),
        model=_read_model(fields.nested("model")),
        matrices=fields.array("matrices", _read_matrix, 1 + 2 * len(ROLES)),
        c=fields.array("c", strict_json.decimal, TERMS),
        metadata={key: metadata.text(key, limits.MAX_METADATA_CHARACTERS) for key in ("name", "version", "maker")},
        cm_part=strict_json.canonical(parts),
    )
    for reader in (profile, circuits, metadata, fields):
        reader.done()
    return result


def read_size_class(fields: Reader) -> SizeClass:
    """`size_class`, shared by statement and profile."""
    result = SizeClass(fields.text("name"), fields.integer("k", 7, limits.MAX_K))
    fields.done()
    return result


def read_srs(fields: Reader) -> SrsDigests:
    """`srs`; the profile takes its further key first."""
    result = SrsDigests(fields.hex64("sha256"), fields.hex64("verify_sha256"))
    fields.done()
    return result


def read_circuit(fields: Reader) -> CircuitDigests:
    """One of `circuits`; the profile takes its further keys first."""
    result = CircuitDigests(fields.hex64("onnx"), fields.hex64("settings"), fields.hex64("vk"))
    fields.done()
    return result


def read_fpm(fields: Reader) -> FpmDigests:
    """`fpm`."""
    result = FpmDigests(fields.hex64("encoder"), fields.hex64("head"), fields.hex64("generator"))
    fields.done()
    return result


def read_projection(fields: Reader) -> ProjectionRule:
    """`projection`."""
    result = ProjectionRule(fields.integer("g", 1, 1024), fields.hex64("seed"))
    fields.done()
    return result


def _read_tokens(fields: Reader) -> TokenChoice:
    high = limits.MAX_DIMENSION
    result = TokenChoice(
        rule=fields.text("rule"),
        k=fields.integer("K", 1, high),
        candidates=fields.integer("candidates", 1, high),
        sha256=fields.hex64("sha256"),
        tokenizer=fields.hex64("tokenizer"),
    )
    fields.done()
    return result


def _read_model(fields: Reader) -> Model:
    high = limits.MAX_DIMENSION
    result = Model(
        family=fields.text("family"),
        hidden_size=fields.integer("hidden_size", 1, high),
        heads=fields.integer("heads", 1, high),
        kv_heads=fields.integer("kv_heads", 1, high),
        head_dim=fields.integer("head_dim", 1, high),
        intermediate_size=fields.integer("intermediate_size", 1, high),
        num_layers=fields.integer("num_layers", 1, high),
        layers=fields.array("layers", lambda v, where: strict_json.integer(v, where, 0, high), 2),
        vocab_size=fields.integer("vocab_size", 1, high),
    )
    fields.done()
    return result


def _read_matrix(value: object, where: str) -> Matrix:
    fields = Reader(value, where)
    result = Matrix(fields.text("name"), fields.integer("rows", 1, limits.MAX_ROWS))
    fields.done()
    return result


# ---------------------------------------- checking


def check_statement(statement: Statement, profile: Profile) -> None:
    """Step 2. Equal to the profile wherever a prover could shop; shapes consistent; size class fits; c_t in
    range.

    Raises:
        Rejected: naming the first field that differs.
    """
    _check_pinned(statement, profile)
    _check_tokens(statement, profile)
    _check_shapes(statement)
    for t, c in enumerate(statement.c):
        # c_min <= c_t < 2^32: a "negative" c_t would flip a term's sign with its norm unchanged
        if not profile.c_min <= c < limits.C_LIMIT:
            _fail(f"c[{t}]", f"{c} is not from {profile.c_min} to 2^32 - 1")


def _fail(field: str, what: str) -> None:
    raise Rejected(f"statement.json.{field}: {what}", code="statement")


def _check_pinned(statement: Statement, profile: Profile) -> None:
    pinned: tuple[tuple[str, object, object], ...] = (
        ("profile.name", statement.profile_name, profile.name),
        ("profile.sha256", statement.profile_sha256, profile.sha256),
        ("size_class", statement.size_class, profile.size_class),
        ("srs", statement.srs, profile.srs),
        ("circuits.link", statement.link, profile.link.digests),
        ("circuits.encoder", statement.encoder, profile.encoder.digests),
        ("fpm.encoder", statement.fpm.encoder, profile.fpm.encoder),
        ("fpm.head", statement.fpm.head, profile.fpm.head),
        ("fpm.generator", statement.fpm.generator, profile.fpm.generator),
        ("projection", statement.projection, profile.projection),
        ("quantization", statement.quantization, profile.quantization),
        ("tokens.rule", statement.tokens.rule, profile.token_rule),
    )
    for field, found, expected in pinned:
        if found != expected:
            _fail(field, f"differs from the published profile {profile.name}")
    if statement.model.family not in profile.families:
        _fail("model.family", f"not one of the profile's: {', '.join(profile.families)}")


def _check_tokens(statement: Statement, profile: Profile) -> None:
    tokens, g = statement.tokens, statement.projection.g
    # K = min(K_max, 2g floor(n / 2g)), K >= K_min
    expected = min(profile.k_max, 2 * g * (tokens.candidates // (2 * g)))
    if tokens.k != expected:
        _fail("tokens.K", f"{tokens.k}, the rule gives {expected} for {tokens.candidates} candidates")
    if tokens.k < max(profile.k_min, 2 * g):
        _fail("tokens.K", f"{tokens.k}, at least {profile.k_min} are needed")
    if tokens.candidates > statement.model.vocab_size:
        _fail("tokens.candidates", "more than the vocabulary has")


def _check_shapes(statement: Statement) -> None:
    model, data_length, g = statement.model, statement.size_class.data_length, statement.projection.g
    if model.heads % model.kv_heads:
        _fail("model.kv_heads", f"{model.kv_heads} does not divide heads = {model.heads}")
    if model.layers != (model.num_layers - 2, model.num_layers - 1):
        _fail("model.layers", "not the last two blocks")
    expected = [Matrix("embedding", statement.tokens.k)]
    expected += [Matrix(f"layers.{i}.{role}", model.rows(role)) for i in model.layers for role in ROLES]
    for position, (found, matrix) in enumerate(zip(statement.matrices, expected, strict=True)):
        if found != matrix:
            _fail(f"matrices[{position}]", f"not {matrix.name} with {matrix.rows} rows")
    longest = max(model.hidden_size, *(model.term_rows(t) for t in range(TERMS)), TERMS * g * g)
    if longest > data_length:
        _fail("size_class", f"vectors of {longest} entries do not fit in M = {data_length}")
    if POINT_BYTES * (statement.total_rows + 1 + Y_POINTS) > limits.MAX_COMMITMENTS_BYTES:
        _fail("matrices", f"{statement.total_rows} rows are too many")
