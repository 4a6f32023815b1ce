"""The procedure: docs/protocol.md section 9, step by step, same numbers and names.

Costly parts (ezkl, the generator) start as soon as what they read is typed; each is judged at its step. The first
step that fails ends the procedure, and the report shows the rest as not checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from verifier import encoder, image, link
from verifier.bundle import Bundle, read_bundle
from verifier.encoding import POINT_BYTES, split_points
from verifier.errors import STEP_NAMES, Rejected, Undecided, UntrustedSrs, VerifierError
from verifier.expected import ExpectedPoints, LinkClaim, check_link_inputs, expected_points, public_points
from verifier.fingerprint import Fingerprint, fingerprint_of
from verifier.identity import Identity
from verifier.limits import DEFAULT_TIME_LIMIT_S
from verifier.opening import check_opening
from verifier.profile import Profile, load_stated_profile, read_trusted_file
from verifier.projection import projection
from verifier.report import Check, Report
from verifier.signature import Facts, Signed, check_signature
from verifier.statement import Y_POINTS, check_statement
from verifier.steps import Steps
from verifier.transcript import Points, arrange_points, commitment_digest, draw_challenges
from verifier.workers import Deadline, Keys, Workers


@dataclass(frozen=True)
class Options:
    """What the caller asks for. `weights` and `secret` come together: they ask for step 11; `identity` for step 12."""

    allow_development_srs: bool = False
    weights: Path | None = None
    secret: Path | None = None
    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    identity: Identity | None = None

    def __post_init__(self) -> None:
        """Refuse half of an opening."""
        if (self.weights is None) != (self.secret is None):
            raise ValueError("weights and secret come together")


def verify_bundle(path: Path, options: Options, on_check: Callable[[Check], None] | None = None) -> Report:
    """Verify a bundle; never raises on what is in it.

    Args:
        path: a directory or zip.
        options: what to check and to trust.
        on_check: called with each check when it is done.
    """
    started = time.monotonic()
    run = _Run(path, options, on_check)
    failure: VerifierError | None = None
    try:
        with Workers(Deadline(options.time_limit_s)) as workers:
            run.all_steps(workers)
    except VerifierError as error:
        failure = error
    return run.report(failure, time.monotonic() - started)


@dataclass(frozen=True)
class Accepted:
    """What an accepted bundle leaves for further proofs about the same rows."""

    bundle: Bundle
    profile: Profile
    points: Points
    cm: bytes


def verify_with(workers: Workers, path: Path, options: Options) -> tuple[Report, Accepted | None]:
    """`verify_bundle` by workers that are there already; what was accepted, if it was."""
    started = time.monotonic()
    run = _Run(path, options)
    failure: VerifierError | None = None
    try:
        run.all_steps(workers)
    except VerifierError as error:
        failure = error
    return run.report(failure, time.monotonic() - started), run.accepted if failure is None else None


def require_accepted(what: str, report: Report, accepted: Accepted | None) -> Accepted:
    """The accepted bundle; `what` it is, for messages.

    Raises:
        Rejected, Undecided: as the bundle was.
    """
    if accepted is not None:
        return accepted
    failure = report.failure
    message, hint = (failure.message, failure.hint) if failure else ("no verdict", "")
    kind = Rejected if report.verdict == "rejected" else Undecided
    raise kind(f"{what} {report.verdict} {report.failed_where()}: {message}", hint=hint, code="bundle")


def not_verified(path: Path, options: Options, failure: VerifierError, seconds: float) -> Report:
    """The report of a bundle that could not be tried at all, or whose process was lost."""
    return _Run(path, options).report(failure, seconds)


class _Run:
    """One verification under way."""

    def __init__(self, path: Path, options: Options, on_check: Callable[[Check], None] | None = None) -> None:
        self.path, self.options = path, options
        asked = {step: name for step, name in STEP_NAMES.items() if step != 11 or options.weights is not None}
        self.steps = Steps(Check, asked, on_check)
        self.bundle: Bundle | None = None
        self.profile: Profile | None = None
        self.cm: bytes | None = None
        self.fingerprint: Fingerprint | None = None
        self.signed: Signed | None = None
        self.accepted: Accepted | None = None

    def all_steps(self, workers: Workers) -> None:
        """Steps 1 to 12."""
        self.steps.begin(1)
        bundle = self.bundle = read_bundle(self.path)
        stated = bundle.statement
        profile = self.profile = load_stated_profile(stated.profile_name, stated.profile_sha256)
        for name, proof, circuit in (
            ("link.json", bundle.link, profile.link),
            ("encoder.json", bundle.encoder, profile.encoder),
        ):
            if len(proof.proof) != circuit.proof_bytes:
                raise Rejected(f"{name}.proof: {len(proof.proof)} bytes, {circuit.proof_bytes} expected", code="length")
        self.steps.passed(
            "five files, within their limits, canonical where the protocol says so, proofs of exact length"
        )

        self.steps.begin(2)
        check_statement(bundle.statement, profile)
        self.steps.passed(f"equal to the pinned profile {profile.name}; shapes, tokens and c_t as its rules give them")

        self.steps.begin(3)
        points = _check_points(bundle)
        self.cm = commitment_digest(bundle.statement, points)
        self.steps.passed(
            f"{bundle.statement.total_rows} rows, S', {Y_POINTS} y: all canonical, on the curve, not the identity"
        )

        costly = _start(workers, bundle, profile, points)

        self.steps.begin(4)
        if bundle.encoder.proof[:POINT_BYTES] != costly.expected.result().s_input:
            raise Rejected("the encoder proof is about another vector than the committed S'", code="encoder-input")
        self.steps.passed("the encoder proof's input column = C(S') + B_enc")

        self.steps.begin(5)
        encoder.check_instance_count(bundle.encoder.instances, profile)
        costly.encoder_proof.result()
        self.steps.passed(
            f"{len(bundle.encoder.instances)} public values, proof verified by ezkl against the published key"
        )

        self.steps.begin(6)
        worst = encoder.check_norms(bundle.encoder.instances, bundle.statement.c, profile)
        encoder.features(bundle.encoder.instances, profile)  # refused here if one is out of range
        self.steps.passed(f"six norms within their bounds, {worst:.4%} off at most; features in range")

        self.steps.begin(7)
        check_link_inputs(bundle.link.proof, {**costly.expected.result().link_inputs, **costly.public.result()})
        self.steps.passed(f"{link.INPUTS} input columns = the points computed from rows, S', y and challenges")

        self.steps.begin(8)
        if bundle.link.instances != (0,):
            raise Rejected("link.json.instances: not exactly one, equal to 0", code="instances")
        costly.link_proof.result()
        self.steps.passed("the only public value is 0, proof verified by ezkl against the published key")

        self.steps.begin(9)
        z, pixels = costly.rendered.result()
        worst_channel = image.compare(bundle.picture.pixels, pixels, profile)
        self.fingerprint = fingerprint_of(z, bundle.statement, profile)
        self.steps.passed(
            f"{profile.width} x {profile.height} pixels equal G(z): {worst_channel} of 255 off at most, "
            f"{profile.tolerance} allowed"
        )

        self.steps.begin(10)
        if profile.development_srs and not self.options.allow_development_srs:
            raise UntrustedSrs(
                "the profile's SRS is a development one: whoever made it can forge proofs",
                hint="give --allow-dev-srs if you trust whoever made it",
            )
        self.steps.passed(
            "a development SRS, allowed by --allow-dev-srs" if profile.development_srs else "public ceremony"
        )

        if self.options.weights is not None and self.options.secret is not None:
            self.steps.begin(11)
            opened = check_opening(
                bundle.statement, points, self.cm, profile, self.options.weights, self.options.secret, workers
            )
            self.steps.passed(opened)

        self.steps.begin(12)
        facts = Facts(bundle.digest, bundle.digests, self.cm, profile.name, profile.sha256)
        self.signed = check_signature(bundle.signature, facts, self.options.identity)
        if self.options.identity is not None:
            self.steps.passed(self.signed.words)
        self.accepted = Accepted(bundle, profile, points, self.cm)

    def report(self, failure: VerifierError | None, seconds: float) -> Report:
        """Everything found, with the verdict."""
        asked = self.options.weights is not None
        checks = self.steps.end(failure, {12: self.signed.words} if self.signed is not None else {})
        statement = self.bundle.statement if self.bundle else None
        return Report(
            bundle=str(self.path),
            checks=checks,
            failure=failure,
            profile=self.profile.name if self.profile else None,
            development_srs=self.profile.development_srs if self.profile else None,
            opened=failure is None and asked,
            metadata=statement.metadata if statement else {},
            commitment=self.cm.hex() if self.cm else None,
            seconds=seconds,
            files=dict(self.bundle.digests) if self.bundle else {},
            pinned=_pinned(self.profile) if self.profile else {},
            picture=self.bundle.picture if self.bundle else None,
            fingerprint=self.fingerprint if failure is None else None,
            bundle_sha256=self.bundle.digest.hex() if self.bundle else None,
            signer=self.signed.signer if self.signed else None,
            identity=str(self.options.identity) if failure is None and self.options.identity else None,
        )


def _pinned(profile: Profile) -> dict[str, str]:
    return {"profile.json": profile.sha256.hex()} | {name: sha.hex() for name, sha in sorted(profile.files().items())}


def _check_points(bundle: Bundle) -> Points:
    """Step 3: the count is exact, every point canonical, on the curve, not the identity."""
    expected = bundle.statement.total_rows + 1 + Y_POINTS
    found = len(bundle.commitments) // POINT_BYTES
    if found != expected:
        raise Rejected(f"commitments.bin: {found} points instead of {expected}", code="point-count")
    return arrange_points(bundle.statement, split_points(bundle.commitments, 0, expected, "commitments.bin"))


# ---------------------------------------- the costly parts


@dataclass(frozen=True)
class _Costly:
    """What ezkl and onnxruntime are working on."""

    expected: Future[ExpectedPoints]
    public: Future[dict[int, bytes]]
    encoder_proof: Future[None]
    link_proof: Future[None]
    rendered: Future[tuple[encoder.Float64Array, image.Pixels]]  # z and G(z)


def _start(workers: Workers, bundle: Bundle, profile: Profile, points: Points) -> _Costly:
    files = {name: read_trusted_file(profile.path(name), digest) for name, digest in sorted(profile.files().items())}
    ready = {
        name: workers.write(name.replace("/", "-"), data)
        for name, data in files.items()
        if name.startswith("srs/") or name.endswith((".json", ".key"))
    }
    keys = {c: Keys(ready[f"{c}/settings.json"], ready[f"{c}/vk.key"]) for c in ("link", "encoder")}
    k, small_srs = profile.size_class.k, ready["srs/k1.srs"]
    encoder_proof = workers.submit(
        lambda: workers.check_proof(bundle.encoder.proof, bundle.encoder.instances, keys["encoder"], small_srs)
    )
    link_proof = workers.submit(
        lambda: workers.check_proof(bundle.link.proof, bundle.link.instances, keys["link"], small_srs)
    )
    rendered = workers.submit(lambda: _render(bundle, profile, files))
    challenges = draw_challenges(
        bundle.statement, bundle.statement_bytes, points, bundle.encoder.proof, bundle.encoder.instances
    )
    statement = bundle.statement
    p = projection(statement.projection.seed, statement.tokens.k, statement.projection.g)
    claim = LinkClaim(statement, points, statement.c, p, challenges)
    expected = workers.submit(
        lambda: expected_points(workers, profile, claim, profile.encoder, keys["link"], files[f"srs/k{k}.srs"])
    )
    public = workers.submit(
        lambda: public_points(workers, profile, statement, challenges, keys["link"], ready[f"srs/k{k}.srs"])
    )
    return _Costly(expected, public, encoder_proof, link_proof, rendered)


def _render(bundle: Bundle, profile: Profile, files: Mapping[str, bytes]) -> tuple[encoder.Float64Array, image.Pixels]:
    z = encoder.latent(bundle.encoder.instances, profile, files["fpm/head.npz"])
    return z, image.render(files["fpm/generator.onnx"], z)
