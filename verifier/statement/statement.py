"""The typed statement: what a bundle says it is about (docs/protocol.md section 7). `rules` compares it."""

from __future__ import annotations

from dataclasses import dataclass

from verifier.formats import limits, strict_json
from verifier.formats.errors import Rejected
from verifier.formats.strict_json import Reader
from verifier.trust.records import (
    CircuitDigests,
    FpmDigests,
    ProjectionRule,
    SizeClass,
    SrsDigests,
    read_circuit,
    read_fpm,
    read_projection,
    read_size_class,
    read_srs,
)

TERMS = 6
ROLES = ("q", "k", "v", "o", "up", "down")
PAIRS = (("q", "k"), ("v", "o"), ("up", "down"))  # (U, V) of t = 3l + 0, 1, 2
Y_POINTS = 2 * TERMS


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
