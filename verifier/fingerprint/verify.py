"""Verify a bundle: docs/protocol.md section 9, step by step, same numbers and names.

Costly parts (ezkl, the generator) start as soon as what they read is typed; each is judged at its step. The first
step that fails ends the procedure, and the report shows the rest as not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from verifier.algebra.projection import projection
from verifier.children.workers import Keys, Workers
from verifier.fingerprint import encoder, image, link
from verifier.fingerprint.artefact import Bundle, read_bundle
from verifier.fingerprint.options import Options
from verifier.fingerprint.points import ExpectedPoints, LinkClaim, check_link_inputs, expected_points, public_points
from verifier.fingerprint.report import Report
from verifier.fingerprint.steps import OPENING_STEP, STEPS
from verifier.fingerprint.z import Fingerprint, fingerprint_of
from verifier.formats.encoding import POINT_BYTES, split_points
from verifier.formats.errors import Rejected, Undecided, UntrustedSrs, VerifierError
from verifier.opening.check import check_opening
from verifier.results.procedure import Procedure
from verifier.results.steps import Check
from verifier.signature.signature import Facts, Signed, check_signature
from verifier.statement.rows import Points, arrange_points, commitment_digest, draw_challenges
from verifier.statement.rules import check_statement
from verifier.statement.statement import Y_POINTS
from verifier.trust.profile import Profile, load_stated_profile, read_trusted_file


def verify_bundle(
    path: Path,
    options: Options = Options(),  # noqa: B008 - it is frozen
    on_check: Callable[[Check], None] | None = None,
) -> Report:
    """Verify a bundle; what is in it never raises.

    Args:
        path: a directory or zip.
        options: what to check and to trust; the time limit is in seconds.
        on_check: called with each check when it is done.

    Returns:
        A `Report`: `verdict` (accepted, rejected or undecided), `exit_code`, `checks`, `failure`, and of an accepted
        bundle the `fingerprint` with its z, float64 [512].

    Source: docs/protocol.md section 9.

    >>> report = verify_bundle(Path("artifacts/bundles/base"), Options(allow_development_srs=True))
    >>> report.verdict, report.fingerprint.z.shape
    ('accepted', (512,))
    """
    return _BundleProcedure(path, options, on_check).run(options.time_limit_s)


@dataclass(frozen=True)
class Accepted:
    """What an accepted bundle leaves for further proofs about the same rows."""

    bundle: Bundle
    profile: Profile
    points: Points
    cm: bytes


def verify_with(workers: Workers, path: Path, options: Options) -> tuple[Report, Accepted | None]:
    """`verify_bundle` by workers that are there already; what was accepted, if it was."""
    procedure = _BundleProcedure(path, options)
    report = procedure.run_with(workers)
    return report, procedure.accepted if report.failure is None else None


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
    return _BundleProcedure(path, options).report(failure, seconds)


class _BundleProcedure(Procedure[Report]):
    """Steps 1 to 12 on a bundle. `accepted`: what it leaves, once all of them passed."""

    names = STEPS

    def __init__(self, path: Path, options: Options, on_check: Callable[[Check], None] | None = None) -> None:
        super().__init__(on_check, left_out=() if options.weights is not None else (OPENING_STEP,))
        self.path, self.options = path, options
        self.bundle: Bundle | None = None
        self.profile: Profile | None = None
        self.cm: bytes | None = None
        self.fingerprint: Fingerprint | None = None
        self.signed: Signed | None = None
        self.accepted: Accepted | None = None

    def all_steps(self, workers: Workers) -> None:
        """Steps 1 to 12."""
        bundle, profile = self.step_1_format()
        self.step_2_statement(bundle, profile)
        points, cm = self.step_3_points(bundle)
        costly = _start(workers, bundle, profile, points)
        self.step_4_encoder_input(bundle, costly)
        self.step_5_encoder_proof(bundle, profile, costly)
        self.step_6_norms(bundle, profile)
        self.step_7_link_inputs(bundle, costly)
        self.step_8_link_proof(bundle, costly)
        self.step_9_image(bundle, profile, costly)
        self.step_10_srs(profile)
        accepted = Accepted(bundle, profile, points, cm)
        self.step_11_opening(accepted, workers)
        self.step_12_signature(accepted)
        self.accepted = accepted

    def step_1_format(self) -> tuple[Bundle, Profile]:
        """Bytes become typed files; the profile that the statement names is one of the published ones."""
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
        return bundle, profile

    def step_2_statement(self, bundle: Bundle, profile: Profile) -> None:
        """The statement is the profile's wherever a maker could shop."""
        self.steps.begin(2)
        check_statement(bundle.statement, profile)
        self.steps.passed(f"equal to the pinned profile {profile.name}; shapes, tokens and c_t as its rules give them")

    def step_3_points(self, bundle: Bundle) -> tuple[Points, bytes]:
        """Every committed point is one, and their number is exact; with cm, which names them."""
        self.steps.begin(3)
        points = _check_points(bundle)
        cm = self.cm = commitment_digest(bundle.statement, points)
        self.steps.passed(
            f"{bundle.statement.total_rows} rows, S', {Y_POINTS} y: all canonical, on the curve, not the identity"
        )
        return points, cm

    def step_4_encoder_input(self, bundle: Bundle, costly: _Costly) -> None:
        """The encoder proof is about the committed S'."""
        self.steps.begin(4)
        if bundle.encoder.proof[:POINT_BYTES] != costly.expected.result().s_input:
            raise Rejected("the encoder proof is about another vector than the committed S'", code="encoder-input")
        self.steps.passed("the encoder proof's input column = C(S') + B_enc")

    def step_5_encoder_proof(self, bundle: Bundle, profile: Profile, costly: _Costly) -> None:
        """The encoder proof verifies."""
        self.steps.begin(5)
        encoder.check_instance_count(bundle.encoder.instances, profile)
        costly.encoder_proof.result()
        self.steps.passed(
            f"{len(bundle.encoder.instances)} public values, proof verified by ezkl against the published key"
        )

    def step_6_norms(self, bundle: Bundle, profile: Profile) -> None:
        """Each term has the prescribed size."""
        self.steps.begin(6)
        worst = encoder.check_norms(bundle.encoder.instances, bundle.statement.c, profile)
        encoder.features(bundle.encoder.instances, profile)  # refused here if one is out of range
        self.steps.passed(f"six norms within their bounds, {worst:.4%} off at most; features in range")

    def step_7_link_inputs(self, bundle: Bundle, costly: _Costly) -> None:
        """The link proof is about the committed rows and the challenges."""
        self.steps.begin(7)
        check_link_inputs(bundle.link.proof, {**costly.expected.result().link_inputs, **costly.public.result()})
        self.steps.passed(f"{link.INPUTS} input columns = the points computed from rows, S', y and challenges")

    def step_8_link_proof(self, bundle: Bundle, costly: _Costly) -> None:
        """The link proof verifies, and its only public value is 0."""
        self.steps.begin(8)
        if bundle.link.instances != (0,):
            raise Rejected("link.json.instances: not exactly one, equal to 0", code="instances")
        costly.link_proof.result()
        self.steps.passed("the only public value is 0, proof verified by ezkl against the published key")

    def step_9_image(self, bundle: Bundle, profile: Profile, costly: _Costly) -> None:
        """The picture is G(z)."""
        self.steps.begin(9)
        z, pixels = costly.rendered.result()
        worst_channel = image.compare(bundle.picture.pixels, pixels, profile)
        self.fingerprint = fingerprint_of(z, bundle.statement, profile)
        self.steps.passed(
            f"{profile.width} x {profile.height} pixels equal G(z): {worst_channel} of 255 off at most, "
            f"{profile.tolerance} allowed"
        )

    def step_10_srs(self, profile: Profile) -> None:
        """The setup behind every proof is the public ceremony's, or one that the caller trusts."""
        self.steps.begin(10)
        if profile.development_srs and not self.options.allow_development_srs:
            raise UntrustedSrs(
                "the profile's SRS is a development one: whoever made it can forge proofs",
                hint="give --allow-dev-srs if you trust whoever made it",
            )
        self.steps.passed(
            "a development SRS, allowed by --allow-dev-srs" if profile.development_srs else "public ceremony"
        )

    def step_11_opening(self, accepted: Accepted, workers: Workers) -> None:
        """If checkpoint and secret are given: the commitments are computed again from them."""
        if self.options.weights is None or self.options.secret is None:
            return
        self.steps.begin(OPENING_STEP)
        opened = check_opening(
            accepted.bundle.statement,
            accepted.points,
            accepted.cm,
            accepted.profile,
            self.options.weights,
            self.options.secret,
            workers,
        )
        self.steps.passed(opened)

    def step_12_signature(self, accepted: Accepted) -> None:
        """A signature that is there must be good; the identity asked for must have made it."""
        self.steps.begin(12)
        bundle, profile = accepted.bundle, accepted.profile
        facts = Facts(bundle.digest, bundle.digests, accepted.cm, profile.name, profile.sha256)
        self.signed = check_signature(bundle.signature, facts, self.options.identity)
        if self.options.identity is not None:
            self.steps.passed(self.signed.words)

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
