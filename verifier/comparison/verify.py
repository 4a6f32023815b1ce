"""Verify a proven comparison of two bundles: docs/comparison.md section 7, step by step, same numbers and names.

The two bundles are verified first, each by its own steps: only what they commit to can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from verifier.algebra.projection import projection
from verifier.children.workers import Keys, Workers
from verifier.comparison.artefact import Artefact, ComparisonStatement, check_points, draw_challenges, read_artefact
from verifier.comparison.circuit import SimilarityCircuit, fits, load_circuit
from verifier.comparison.ics import SIDES, SUMS, ProvenIcs, check_count, check_norms, check_sums, late_seed, proven_ics
from verifier.comparison.report import ComparisonReport
from verifier.comparison.steps import STEPS
from verifier.comparison.threshold import VALUES, ProvenAtLeast, check_missing, proven_at_least, threshold_input
from verifier.fingerprint.options import Options
from verifier.fingerprint.points import ExpectedPoints, LinkClaim, check_link_inputs, expected_points, public_points
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import Accepted, require_accepted, verify_with
from verifier.formats.encoding import POINT_BYTES
from verifier.formats.errors import NotComparable, Rejected, Undecided, VerifierError
from verifier.formats.limits import C_LIMIT
from verifier.results.procedure import Procedure
from verifier.results.steps import Check
from verifier.statement.rows import Points
from verifier.trust.profile import read_trusted_file


def verify_comparison(
    path: Path,
    bundles: tuple[Path, Path],
    options: Options = Options(),  # noqa: B008 - it is frozen
    on_check: Callable[[Check], None] | None = None,
    challenge: bytes | None = None,
) -> ComparisonReport:
    """Verify a proven comparison of two bundles; what is in them never raises.

    Args:
        path: the comparison, a directory or zip.
        bundles: sides a and b.
        options: what to trust; the time limit, in seconds, is for everything together.
        on_check: called with each check when it is done.
        challenge: the one that the comparison must be under, if any: 32 bytes.

    Returns:
        A `ComparisonReport`: `verdict`, and of an accepted one `ics` or `at_least`, which say what was shown.

    Source: docs/comparison.md section 7.

    >>> bundles = Path("artifacts/bundles/base"), Path("artifacts/bundles/offspring")
    >>> trusting = Options(allow_development_srs=True)
    >>> report = verify_comparison(Path("artifacts/compared/base-offspring.huref"), bundles, trusting)
    >>> report.verdict, round(report.ics.ics, 2)
    ('accepted', 0.97)
    """
    procedure = _ComparisonProcedure(path, bundles, options, on_check, challenge)
    return procedure.run(options.time_limit_s)


class _ComparisonProcedure(Procedure[ComparisonReport]):
    """Steps 1 to 10 on a comparison and its two bundles."""

    names = STEPS

    def __init__(
        self,
        path: Path,
        bundles: tuple[Path, Path],
        options: Options,
        on_check: Callable[[Check], None] | None,
        challenge: bytes | None,
    ) -> None:
        super().__init__(on_check)
        self.path, self.bundles, self.options = path, bundles, options
        self.challenge = challenge
        self.reports: list[Report] = []
        self.artefact: Artefact | None = None
        self.circuit: SimilarityCircuit | None = None
        self.shown: ProvenIcs | ProvenAtLeast | None = None

    def all_steps(self, workers: Workers) -> None:
        """Steps 1 to 10."""
        artefact, circuit = self.step_1_format()
        with ThreadPoolExecutor(max_workers=2) as pool:  # both at a time: each waits for ezkl most of its time
            pending = [pool.submit(verify_with, workers, path, self.options) for path in self.bundles]
            sides = [self.step_2_bundle_a(pending[0]), self.step_3_bundle_b(pending[1])]
        self.step_4_statement(artefact, sides, circuit)
        points = self.step_5_points(artefact, sides)
        costly = _start(workers, artefact, sides, points, circuit)
        self.step_6_similarity_inputs(artefact, costly)
        self.step_7_similarity_proof(artefact, costly)
        shown = self.step_8_norms(artefact, circuit, sides[0].bundle.statement.tokens.k)
        self.step_9_link_inputs(artefact, costly)
        self.step_10_link_proofs(artefact, costly)
        self.shown = shown

    def step_1_format(self) -> tuple[Artefact, SimilarityCircuit]:
        """Bytes become typed files; circuit and challenge are such as the statement says."""
        self.steps.begin(1)
        artefact = self.artefact = read_artefact(self.path)
        circuit = self.circuit = load_circuit(artefact.statement.circuit_name)
        if circuit.kind != artefact.statement.kind:
            raise Rejected(
                f"comparison.json.circuit: a {circuit.kind} circuit, a {artefact.statement.kind} circuit is needed",
                code="statement",
            )
        check_challenge(artefact.statement.challenge, self.challenge)
        self.steps.passed("five files, within their limits, canonical where the protocol says so")
        return artefact, circuit

    def step_2_bundle_a(self, verified: Future[tuple[Report, Accepted | None]]) -> Accepted:
        """Side a is an accepted bundle."""
        self.steps.begin(2)
        return self._side("a", verified)

    def step_3_bundle_b(self, verified: Future[tuple[Report, Accepted | None]]) -> Accepted:
        """Side b is one too."""
        self.steps.begin(3)
        return self._side("b", verified)

    def _side(self, name: str, verified: Future[tuple[Report, Accepted | None]]) -> Accepted:
        report, accepted = verified.result()
        self.reports.append(report)
        side = require_accepted(f"bundle {name}", report, accepted)
        self.steps.passed(f"side {name}: accepted, cm {side.cm.hex()[:16]}...")
        return side

    def step_4_statement(self, artefact: Artefact, sides: Sequence[Accepted], circuit: SimilarityCircuit) -> None:
        """It is about these two bundles, which can be compared."""
        self.steps.begin(4)
        check_statement(artefact, sides, circuit)
        self.steps.passed(
            "about these two bundles, in this order; one profile, one list of tokens; c_t in range; exact lengths"
        )

    def step_5_points(self, artefact: Artefact, sides: Sequence[Accepted]) -> tuple[Points, Points]:
        """Every committed point is one."""
        self.steps.begin(5)
        points = check_points(artefact.points, [side.points.rows for side in sides])
        self.steps.passed(
            f"{len(artefact.points) // POINT_BYTES} points: all canonical, on the curve, not the identity"
        )
        return points

    def step_6_similarity_inputs(self, artefact: Artefact, costly: _Costly) -> None:
        """The similarity proof is about both sides' S'', and about the threshold if there is one."""
        self.steps.begin(6)
        proof = artefact.similarity.proof
        columns = [proof[POINT_BYTES * i : POINT_BYTES * (i + 1)] for i in range(3)]
        for name, column, expected in zip(SIDES, columns, costly.expected, strict=False):
            if column != expected.result().s_input:
                raise Rejected(
                    f"the similarity proof's input {name} is another vector than the committed S''",
                    code="similarity-input",
                )
        if costly.threshold is not None and columns[2:] != costly.threshold.result():
            raise Rejected("the similarity proof's third input is another threshold", code="similarity-input")
        self.steps.passed("the similarity proof's two input columns = C(S'') + B_sim of sides a and b")

    def step_7_similarity_proof(self, artefact: Artefact, costly: _Costly) -> None:
        """The similarity proof verifies."""
        self.steps.begin(7)
        costly.similarity_proof.result()
        count = len(artefact.similarity.instances)
        self.steps.passed(f"{count} public values, proof verified by ezkl against the published key")

    def step_8_norms(self, artefact: Artefact, circuit: SimilarityCircuit, tokens: int) -> ProvenIcs | ProvenAtLeast:
        """Each side's terms have the prescribed size; with what is shown."""
        self.steps.begin(8)
        shown, worst = what_is_shown(artefact, circuit, tokens)
        found = f"ICS {shown.ics:+.5f}" if isinstance(shown, ProvenIcs) else "nothing is missing to the threshold"
        self.steps.passed(f"twelve norms within their bounds, {worst:.4%} off at most; {found}")
        return shown

    def step_9_link_inputs(self, artefact: Artefact, costly: _Costly) -> None:
        """Each side's link proof is about its bundle's rows and the challenges."""
        self.steps.begin(9)
        for name, link, points_of, public in zip(SIDES, artefact.links, costly.expected, costly.public, strict=True):
            try:
                check_link_inputs(link.proof, {**points_of.result().link_inputs, **public.result()})
            except Rejected as error:
                raise Rejected(f"side {name}: {error.message}", code=error.code) from None
        self.steps.passed("24 input columns a side = the points computed from its bundle's rows, S'', y and challenges")

    def step_10_link_proofs(self, artefact: Artefact, costly: _Costly) -> None:
        """Both link proofs verify, and their only public value is 0."""
        self.steps.begin(10)
        for name, link, verified in zip(SIDES, artefact.links, costly.link_proofs, strict=True):
            if link.instances != (0,):
                raise Rejected(f"link-{name}.json.instances: not exactly one, equal to 0", code="instances")
            try:
                verified.result()
            except Rejected as error:
                raise Rejected(f"side {name}: {error.message}", code=error.code) from None
        self.steps.passed("each side's only public value is 0, both proofs verified by ezkl against the published key")

    def report(self, failure: VerifierError | None, seconds: float) -> ComparisonReport:
        """Everything found, with the verdict."""
        checks = self.steps.end(failure)
        shown = self.shown if failure is None else None
        return ComparisonReport(
            comparison=str(self.path),
            paths=(str(self.bundles[0]), str(self.bundles[1])),
            reports=tuple(self.reports),
            checks=checks,
            failure=failure,
            ics=shown if isinstance(shown, ProvenIcs) else None,
            at_least=shown if isinstance(shown, ProvenAtLeast) else None,
            challenge=self.artefact.statement.challenge if self.artefact else None,
            challenge_expected=self.challenge is not None,
            seconds=seconds,
            files=dict(self.artefact.digests) if self.artefact else {},
            pinned=self.circuit.pinned() if self.circuit else {},
        )


# ---------------------------------------- step 4


def check_statement(artefact: Artefact, sides: Sequence[Accepted], circuit: SimilarityCircuit) -> None:
    """Step 4: the comparison is about these bundles in this order; they can be compared; c_t in range.

    Raises:
        NotComparable: the two bundles were made under different profiles or tokens, or commit to the very same rows.
        Rejected: naming the first field that differs.
    """
    check_comparable(sides)
    statement: ComparisonStatement = artefact.statement
    profile = sides[0].profile
    pinned: list[tuple[str, object, object]] = [
        ("profile.name", statement.profile_name, profile.name),
        ("profile.sha256", statement.profile_sha256, profile.sha256),
        ("circuit.sha256", statement.circuit_sha256, circuit.sha256),
    ]
    for name, claim, side in zip(SIDES, statement.sides, sides, strict=True):
        pinned.append((f"{name}.cm", claim.cm, side.cm))
        digest = bytes.fromhex(side.bundle.digests["statement.json"])
        pinned.append((f"{name}.statement", claim.statement_sha256, digest))
    for field, found, expected in pinned:
        if found != expected:
            raise Rejected(
                f"comparison.json.{field}: not that of the given bundle or of what is published",
                code="statement",
                hint="the comparison is about other bundles, or about these in the other order",
            )
    if not fits(circuit, profile):
        raise Rejected("comparison.json.circuit: not the circuit of this profile", code="statement")
    for name, claim in zip(SIDES, statement.sides, strict=True):
        for t, c in enumerate(claim.c):
            if not profile.c_min <= c < C_LIMIT:
                raise Rejected(
                    f"comparison.json.{name}.c[{t}]: {c} is not from {profile.c_min} to 2^32 - 1", code="statement"
                )
    lengths = [("similarity.json", artefact.similarity, circuit.circuit)]
    lengths += [(f"link-{name}.json", proof, profile.link) for name, proof in zip(SIDES, artefact.links, strict=True)]
    for file, proof, published in lengths:
        if len(proof.proof) != published.proof_bytes:
            raise Rejected(f"{file}.proof: {len(proof.proof)} bytes, {published.proof_bytes} expected", code="length")
    check_count(artefact.similarity.instances, SUMS if statement.at_least is None else VALUES)


def check_comparable(sides: Sequence[Accepted]) -> None:
    """Whether an ICS of the two means something.

    Raises:
        NotComparable: another profile (encoder, generator, projection, quantization), other tokens, or the same rows.
    """
    a, b = sides
    if a.profile.sha256 != b.profile.sha256:
        raise NotComparable(
            f"the bundles were made under different profiles ({a.profile.name}, {b.profile.name})",
            hint="prove both under one profile",
        )
    left, right = a.bundle.statement.tokens, b.bundle.statement.tokens
    if (left.rule, left.k, left.sha256) != (right.rule, right.k, right.sha256):
        raise NotComparable(
            f"the bundles' tokens are different strings (K = {left.k} and {right.k})",
            hint="models with different vocabularies cannot be compared by proof",
        )
    if a.cm == b.cm:
        raise NotComparable("both bundles commit to the very same rows (cm): there is nothing to compare")


def check_challenge(stated: bytes | None, expected: bytes | None) -> None:
    """Step 1: the challenge is the one that the verifier's user named, if he did.

    Raises:
        Undecided: he named one, and the comparison has none.
        Rejected: it has another.
    """
    if expected is None or stated == expected:
        return
    if stated is None:
        raise Undecided(
            "comparison.json: no challenge, and one was expected",
            code="challenge",
            hint="ask its makers for a comparison under your number: huref compare --prove ... --challenge HEX",
        )
    raise Rejected("comparison.json.challenge: not the one that was expected", code="challenge")


# ---------------------------------------- step 8


def what_is_shown(
    artefact: Artefact, circuit: SimilarityCircuit, tokens: int
) -> tuple[ProvenIcs | ProvenAtLeast, float]:
    """Step 8: the norms, and the ICS or that it reaches the threshold; with the norms' worst relative distance.

    Raises:
        Rejected: a norm out of its bound, an impossible product, or something is missing to the threshold.
    """
    instances, scale = artefact.similarity.instances, [side.c for side in artefact.statement.sides]
    if artefact.statement.at_least is None:
        worst = check_sums(instances, scale, circuit)
        return proven_ics(instances, circuit, tokens), worst
    worst = check_norms(instances, scale, circuit)
    check_missing(instances)
    return proven_at_least(instances, artefact.statement.at_least, circuit, tokens), worst


# ---------------------------------------- the costly parts


@dataclass(frozen=True)
class _Costly:
    """What ezkl is working on; sides a and b."""

    expected: tuple[Future[ExpectedPoints], ...]
    public: tuple[Future[dict[int, bytes]], ...]
    link_proofs: tuple[Future[None], ...]
    similarity_proof: Future[None]
    threshold: Future[list[bytes]] | None  # what the similarity proof's third column must be


def _start(
    workers: Workers,
    artefact: Artefact,
    sides: Sequence[Accepted],
    points: Sequence[Points],
    circuit: SimilarityCircuit,
) -> _Costly:
    profile = sides[0].profile
    pinned = profile.files()

    def trusted(name: str) -> bytes:
        return read_trusted_file(profile.path(name), pinned[name])

    srs_file = trusted(f"srs/k{profile.size_class.k}.srs")
    srs, small_srs = workers.write("srs", srs_file), workers.write("k1.srs", trusted("srs/k1.srs"))
    link = Keys(workers.write("settings", trusted("link/settings.json")), workers.write("vk", trusted("link/vk.key")))
    own = circuit.files()
    settings, vk = (read_trusted_file(circuit.folder / name, own[name]) for name in ("settings.json", "vk.key"))
    similarity = Keys(workers.write("similarity-settings", settings), workers.write("similarity-vk", vk))

    drawn = draw_challenges(artefact, [side.bundle.statement for side in sides], points)
    seed = late_seed(sides[0].cm, sides[1].cm, artefact.statement.challenge)
    claims = []
    for side, own_points, claim, challenges in zip(sides, points, artefact.statement.sides, drawn, strict=True):
        statement = side.bundle.statement
        p = projection(seed, statement.tokens.k, statement.projection.g)
        claims.append(LinkClaim(statement, own_points, claim.c, p, challenges))
    expected = tuple(
        workers.submit(partial(expected_points, workers, profile, one, circuit.circuit, link, srs_file))
        for one in claims
    )
    public = tuple(
        workers.submit(partial(public_points, workers, profile, one.statement, one.challenges, link, srs))
        for one in claims
    )
    proofs = tuple(
        workers.submit(partial(workers.check_proof, one.proof, one.instances, link, small_srs))
        for one in artefact.links
    )
    one = artefact.similarity
    judged = workers.submit(partial(workers.check_proof, one.proof, one.instances, similarity, small_srs))
    threshold = None
    if artefact.statement.at_least is not None:
        vector = [threshold_input(artefact.statement.at_least, circuit)]
        rows = circuit.circuit.usable_rows
        threshold = workers.submit(partial(workers.multiply, [vector], similarity, srs, rows))
    return _Costly(expected, public, proofs, judged, threshold)
