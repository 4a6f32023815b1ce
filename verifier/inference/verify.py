"""Verify a feed-forward proof: docs/inference-proof.md section 7, step by step, same numbers and names.

The bundle is verified first, by its own steps: up and down are rows that it commits to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from verifier.algebra.curve import make_bases, parse_srs, to_file_form
from verifier.children.workers import Keys, Workers
from verifier.fingerprint.options import Options
from verifier.fingerprint.points import check_link_inputs
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import Accepted, require_accepted, verify_with
from verifier.formats.encoding import POINT_BYTES, split_points, u32be
from verifier.formats.errors import Rejected, Undecided, VerifierError
from verifier.inference.artefact import INTEGER_BYTES, SECRET_POINTS, FeedForward, read_feed_forward
from verifier.inference.circuit import ActivationCircuit, fits, load_circuit
from verifier.inference.opening import check_feed_forward_opening
from verifier.inference.relation import (
    ROW_SUMS,
    SCALE_LIMIT,
    Claim,
    Points,
    draw,
    expected_instances,
    normalise,
    public_inputs,
    read_integers,
    real_output,
    row_sums,
    secret_inputs,
)
from verifier.inference.report import FeedForwardReport, Outcome
from verifier.inference.steps import OPENING_STEP, STEPS
from verifier.results.procedure import Procedure
from verifier.results.steps import Check
from verifier.trust.profile import read_trusted_file

FAMILIES = ("llama",)
"""Families whose feed-forward part is W_down (silu(W_gate n) * (W_up n)) behind an RMS norm, as far as reviewed."""


def verify_feed_forward(
    path: Path,
    bundle: Path,
    options: Options = Options(),  # noqa: B008 - it is frozen
    on_check: Callable[[Check], None] | None = None,
) -> FeedForwardReport:
    """Verify a feed-forward proof about a bundle; what is in them never raises.

    Args:
        path: the proof, a directory or zip.
        bundle: the bundle whose rows it is about.
        options: what to trust; the time limit, in seconds, is for everything together.
        on_check: called with each check when it is done.

    Returns:
        A `FeedForwardReport`: `verdict`, and of an accepted one the `outcome` with the outputs [activations, d].

    Source: docs/inference-proof.md section 7.

    >>> proof, bundle = Path("artifacts/feedforward/base"), Path("artifacts/bundles/base")
    >>> report = verify_feed_forward(proof, bundle, Options(allow_development_srs=True))
    >>> report.verdict, report.outcome.activations
    ('accepted', 8)
    """
    return _FeedForwardProcedure(path, bundle, options, on_check).run(options.time_limit_s)


class _FeedForwardProcedure(Procedure[FeedForwardReport]):
    """Steps 1 to 9 on a feed-forward proof and its bundle."""

    names = STEPS

    def __init__(self, path: Path, bundle: Path, options: Options, on_check: Callable[[Check], None] | None) -> None:
        super().__init__(on_check, left_out=() if options.weights is not None else (OPENING_STEP,))
        self.path, self.bundle, self.options = path, bundle, options
        self.bundle_report: Report | None = None
        self.proof: FeedForward | None = None
        self.circuit: ActivationCircuit | None = None
        self.outcome: Outcome | None = None

    def all_steps(self, workers: Workers) -> None:
        """Steps 1 to 9."""
        proof, circuit = self.step_1_format()
        side = self.step_2_bundle(workers)
        x, y = self.step_3_statement(proof, side, circuit)
        points = self.step_4_points(proof, side)
        model = side.bundle.statement.model
        claim = Claim(
            y=y,
            n=[normalise(row, proof.statement.epsilon) for row in x],
            c=proof.statement.scale[:2],
            rows=model.intermediate_size,
            challenges=draw(proof, points, side.profile.size_class, model.intermediate_size, model.hidden_size),
        )
        costly = _start(workers, proof, side, circuit, points, claim)
        self.step_5_activation_inputs(proof, costly)
        self.step_6_activation_proof(proof, claim, costly)
        self.step_7_link_inputs(proof, costly)
        self.step_8_link_proof(proof, costly)
        self.step_9_opening(proof, points, circuit, side, workers)
        self.outcome = _outcome(proof, side, circuit, points, claim)

    def step_1_format(self) -> tuple[FeedForward, ActivationCircuit]:
        """Bytes become typed files; the circuit is a published one."""
        self.steps.begin(1)
        proof = self.proof = read_feed_forward(self.path)
        circuit = self.circuit = load_circuit(proof.statement.circuit_name)
        self.steps.passed("five files, within their limits, canonical where the protocol says so")
        return proof, circuit

    def step_2_bundle(self, workers: Workers) -> Accepted:
        """The bundle is accepted by its own procedure."""
        self.steps.begin(2)
        self.bundle_report, accepted = verify_with(workers, self.bundle, self.options)
        side = require_accepted("the bundle is", self.bundle_report, accepted)
        self.steps.passed(f"accepted, cm {side.cm.hex()[:16]}...")
        return side

    def step_3_statement(
        self, proof: FeedForward, side: Accepted, circuit: ActivationCircuit
    ) -> tuple[list[list[int]], list[list[int]]]:
        """It is about a block of this bundle; with the public integers x and y, row by row."""
        self.steps.begin(3)
        check_statement(proof, side, circuit)
        x, y = read_integers(proof.integers, proof.statement.activations, side.bundle.statement.model.hidden_size)
        self.steps.passed(
            "about this bundle, one of its blocks, this circuit; scales and epsilon in range; exact lengths"
        )
        return x, y

    def step_4_points(self, proof: FeedForward, side: Accepted) -> Points:
        """Every committed point is one."""
        self.steps.begin(4)
        points = check_points(proof, side)
        self.steps.passed(f"{len(proof.points) // POINT_BYTES} points: all canonical, on the curve, not the identity")
        return points

    def step_5_activation_inputs(self, proof: FeedForward, costly: _Costly) -> None:
        """The activation proof is about the committed vectors."""
        self.steps.begin(5)
        for position, (label, expected) in enumerate(costly.secret.result().activation_inputs.items()):
            if proof.activation.proof[POINT_BYTES * position : POINT_BYTES * (position + 1)] != expected:
                raise Rejected(
                    f"the activation proof's input {label} is another vector than the committed one",
                    code="activation-input",
                )
        self.steps.passed(
            f"the activation proof's {len(SECRET_POINTS)} input columns = C(v) + B_act of the committed vectors"
        )

    def step_6_activation_proof(self, proof: FeedForward, claim: Claim, costly: _Costly) -> None:
        """The activation proof verifies, and its public values are those that y gives."""
        self.steps.begin(6)
        if proof.activation.instances != expected_instances(claim):
            raise Rejected(
                "activation.json.instances: not 0 and the sum that y gives: these are not the block's outputs",
                code="instances",
            )
        costly.activation_proof.result()
        self.steps.passed("nothing out of range, hidden entries sum up to what y gives; proof verified by ezkl")

    def step_7_link_inputs(self, proof: FeedForward, costly: _Costly) -> None:
        """The link proof is about the committed rows, x, y and the challenges."""
        self.steps.begin(7)
        check_link_inputs(proof.link.proof, {**costly.secret.result().link_inputs, **costly.public.result()})
        self.steps.passed("24 input columns = the points computed from the rows, x, y, the vectors and the challenges")

    def step_8_link_proof(self, proof: FeedForward, costly: _Costly) -> None:
        """The link proof verifies, and its only public value is 0."""
        self.steps.begin(8)
        if proof.link.instances != (0,):
            raise Rejected("link.json.instances: not exactly one, equal to 0", code="instances")
        costly.link_proof.result()
        self.steps.passed("the only public value is 0, proof verified by ezkl against the published key")

    def step_9_opening(
        self, proof: FeedForward, points: Points, circuit: ActivationCircuit, side: Accepted, workers: Workers
    ) -> None:
        """If checkpoint and secret are given: gate, scale integers and epsilon are computed again from them."""
        if self.options.weights is None or self.options.secret is None:
            return
        self.steps.begin(OPENING_STEP)
        opened = check_feed_forward_opening(
            proof.statement, points.gate, circuit, side, self.options.weights, self.options.secret, workers
        )
        self.steps.passed(opened)

    def report(self, failure: VerifierError | None, seconds: float) -> FeedForwardReport:
        """Everything found, with the verdict."""
        return FeedForwardReport(
            path=str(self.path),
            bundle_path=str(self.bundle),
            bundle=self.bundle_report,
            checks=self.steps.end(failure),
            failure=failure,
            outcome=self.outcome if failure is None else None,
            opened=failure is None and self.options.weights is not None,
            seconds=seconds,
            files=dict(self.proof.digests) if self.proof else {},
            pinned=self.circuit.pinned() if self.circuit else {},
        )


def check_statement(proof: FeedForward, side: Accepted, circuit: ActivationCircuit) -> None:
    """Step 3: about this bundle, one of its blocks and what is published; numbers in range; lengths exact.

    Raises:
        Undecided: a family whose feed-forward part is another.
        Rejected: naming the first field that differs.
    """
    stated, model = proof.statement, side.bundle.statement.model
    if model.family not in FAMILIES:
        raise Undecided(
            f"the bundle's family is {model.family}; a block is verified of {', '.join(FAMILIES)} only", code="family"
        )
    pinned: list[tuple[str, object, object]] = [
        ("profile.name", stated.profile_name, side.profile.name),
        ("profile.sha256", stated.profile_sha256, side.profile.sha256),
        ("circuit.sha256", stated.circuit_sha256, circuit.sha256),
        ("bundle.cm", stated.cm, side.cm),
        ("bundle.statement", stated.bundle_statement, bytes.fromhex(side.bundle.digests["statement.json"])),
    ]
    for field, found, expected in pinned:
        if found != expected:
            raise Rejected(
                f"feedforward.json.{field}: not that of the given bundle or of what is published", code="statement"
            )
    if not fits(circuit, side.profile):
        raise Rejected("feedforward.json.circuit: not a circuit of this profile", code="statement")
    if stated.layer not in model.layers:
        raise Rejected(f"feedforward.json.layer: the bundle commits to blocks {model.layers}", code="statement")
    if stated.activations * model.intermediate_size > circuit.entries:
        raise Rejected(
            f"feedforward.json.activations: {stated.activations} of {model.intermediate_size} hidden entries are more "
            f"than the circuit's {circuit.entries}",
            code="statement",
        )
    numbers = [*(("scale", c) for c in stated.scale), ("epsilon", stated.epsilon)]
    for field, number in numbers:
        if not 1 <= number < SCALE_LIMIT:  # a negative one would turn signs around, a zero takes a matrix out
            raise Rejected(f"feedforward.json.{field}: {number} is not from 1 to 2^32 - 1", code="statement")
    lengths = (
        ("activation.json.proof", len(proof.activation.proof), circuit.circuit.proof_bytes),
        ("link.json.proof", len(proof.link.proof), side.profile.link.proof_bytes),
        ("activations.bin", len(proof.integers), 2 * INTEGER_BYTES * stated.activations * model.hidden_size),
        ("points.bin", len(proof.points), POINT_BYTES * (model.intermediate_size + len(SECRET_POINTS))),
    )
    for file, found_bytes, expected_bytes in lengths:
        if found_bytes != expected_bytes:
            raise Rejected(f"{file}: {found_bytes} bytes, {expected_bytes} expected", code="length")


def check_points(proof: FeedForward, side: Accepted) -> Points:
    """Step 4: the gate's rows and the five vectors' points, each checked; the bundle's rows of up and down.

    Raises:
        Rejected: a point that is not canonical, not on the curve, or the identity.
    """
    statement = side.bundle.statement
    rows = statement.model.intermediate_size
    by_name = {matrix.name: points for matrix, points in zip(statement.matrices, side.points.rows, strict=True)}
    place = f"layers.{proof.statement.layer}"
    secret = split_points(proof.points, rows, len(SECRET_POINTS), "points.bin")
    return Points(
        gate=split_points(proof.points, 0, rows, "points.bin"),
        up=by_name[f"{place}.up"],
        down=by_name[f"{place}.down"],
        secret=dict(zip(SECRET_POINTS, secret, strict=True)),
    )


def _outcome(proof: FeedForward, side: Accepted, circuit: ActivationCircuit, points: Points, claim: Claim) -> Outcome:
    stated = proof.statement
    gate = b"huref-zk/v1/gate" + side.cm + u32be(stated.layer) + b"".join(points.gate)
    return Outcome(
        layer=stated.layer,
        activations=stated.activations,
        gate_commitment=hashlib.sha256(gate).hexdigest(),
        scale=stated.scale,
        epsilon=stated.epsilon,
        outputs=tuple(tuple(real_output(value, stated.scale[2], circuit) for value in row) for row in claim.y),
    )


# ---------------------------------------- the costly parts


@dataclass(frozen=True)
class _SecretPoints:
    """Columns that are sums of committed points: of the activation proof, by label, and of the link proof."""

    activation_inputs: dict[str, bytes]
    link_inputs: dict[int, bytes]


@dataclass(frozen=True)
class _Costly:
    """What ezkl is working on."""

    secret: Future[_SecretPoints]
    public: Future[dict[int, bytes]]
    activation_proof: Future[None]
    link_proof: Future[None]


def _start(
    workers: Workers, proof: FeedForward, side: Accepted, circuit: ActivationCircuit, points: Points, claim: Claim
) -> _Costly:
    profile = side.profile
    pinned, own = profile.files(), circuit.files()

    def trusted(name: str) -> bytes:
        return read_trusted_file(profile.path(name), pinned[name])

    srs_file = trusted(f"srs/k{profile.size_class.k}.srs")
    srs, small_srs = workers.write("srs", srs_file), workers.write("k1.srs", trusted("srs/k1.srs"))
    link = Keys(workers.write("settings", trusted("link/settings.json")), workers.write("vk", trusted("link/vk.key")))
    settings, vk = (read_trusted_file(circuit.folder / name, own[name]) for name in ("settings.json", "vk.key"))
    activation = Keys(workers.write("activation-settings", settings), workers.write("activation-vk", vk))

    def public() -> dict[int, bytes]:
        vectors = public_inputs(claim, profile.size_class.length)
        found = workers.multiply(list(vectors.values()), link, srs, profile.link.usable_rows)
        return dict(zip(vectors, found, strict=True))

    return _Costly(
        secret=workers.submit(partial(_secret_points, workers, side, circuit, points, claim, link, srs_file)),
        public=workers.submit(public),
        activation_proof=workers.submit(
            partial(workers.check_proof, proof.activation.proof, proof.activation.instances, activation, small_srs)
        ),
        link_proof=workers.submit(
            partial(workers.check_proof, proof.link.proof, proof.link.instances, link, small_srs)
        ),
    )


def _secret_points(
    workers: Workers,
    side: Accepted,
    circuit: ActivationCircuit,
    points: Points,
    claim: Claim,
    keys: Keys,
    srs_file: bytes,
) -> _SecretPoints:
    """The columns that are sums of committed points, each plus the B of its circuit."""
    profile = side.profile
    domain, usable = 1 << profile.size_class.k, profile.link.usable_rows
    unusable = domain - usable
    srs = parse_srs(srs_file, profile.size_class.k)
    named = {label: to_file_form(point) for label, point in points.secret.items()}
    sums = row_sums(claim)
    for name, rows in zip(ROW_SUMS, (points.gate, points.up, points.down), strict=True):
        bases = make_bases([to_file_form(point) for point in rows], srs.g2, unusable)
        (point,) = workers.multiply([sums[name]], keys, workers.write_bases(bases), bases.capacity)
        named[name] = to_file_form(point)

    tail_start = min(usable, circuit.circuit.usable_rows)
    small = make_bases([*named.values(), *srs.unusable_rows(tail_start)], srs.g2, unusable)

    def scalars(point_sum: dict[str, int], usable_rows: int) -> list[int]:
        b = [1 if row >= usable_rows else 0 for row in range(tail_start, domain)]
        return [point_sum.get(name, 0) for name in named] + b

    link_inputs = secret_inputs(claim, circuit)
    vectors = [scalars({label: 1}, circuit.circuit.usable_rows) for label in SECRET_POINTS]
    vectors += [scalars(one, usable) for one in link_inputs.values()]
    found = workers.multiply(vectors, keys, workers.write_bases(small), small.capacity)
    count = len(SECRET_POINTS)
    return _SecretPoints(
        dict(zip(SECRET_POINTS, found[:count], strict=True)), dict(zip(link_inputs, found[count:], strict=True))
    )
