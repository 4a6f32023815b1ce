"""Step 2, statement: what it must share with the pinned profile (docs/protocol.md section 7).

Whoever lets the prover choose lets it shop: everything but the model's own shape, its tokens, c_t and the free
metadata must be equal to the profile's.
"""

from __future__ import annotations

from verifier.formats import limits
from verifier.formats.encoding import POINT_BYTES
from verifier.formats.errors import Rejected
from verifier.statement.statement import ROLES, TERMS, Y_POINTS, Matrix, Statement
from verifier.trust.profile import Profile


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
