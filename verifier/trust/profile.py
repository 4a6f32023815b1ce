"""Published profiles: what the verifier trusts, pinned by `trust.json` (docs/protocol.md section 8).

`trust.json` names each profile and the SHA-256 of its profile.json, which names every other file by digest. All of
them are read once and checked, wherever they lie; what is used later is the checked bytes, not the files.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from verifier.formats import limits, strict_json
from verifier.formats.errors import BadInstallation, Rejected, UnknownVersion, Unreadable
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

QUANTIZATION_RULE = "rms16-int8-v1"
TOKEN_RULE = "sha256-order-v1"  # noqa: S105 - a rule's name, not a password
LAYERS_RULE = "last-2"
OTHER_SECTIONS = ("comparisons", "activations")  # of trust.json: circuits that are no part of a profile
PACKAGE = Path(__file__).resolve().parent.parent  # verifier/, where trust.json lies
_REINSTALL = "reinstall huref-zk, or check the source out again"


@dataclass(frozen=True)
class Circuit:
    """A published circuit. `usable_rows`: rows before the blinding rows, which hold the constant 1."""

    digests: CircuitDigests
    proof_bytes: int
    usable_rows: int


@dataclass(frozen=True)
class Profile:
    """`profile.json`, typed."""

    name: str
    sha256: bytes
    folder: Path
    size_class: SizeClass
    srs: SrsDigests
    development_srs: bool
    link: Circuit
    encoder: Circuit
    fpm: FpmDigests
    projection: ProjectionRule
    quantization: str
    families: tuple[str, ...]
    token_rule: str
    k_min: int
    k_max: int
    shift: int
    c_min: int
    feature_count: int
    feature_scale: int
    width: int
    height: int
    tolerance: int

    def files(self) -> dict[str, bytes]:
        """Every file that the profile names: path in the folder -> SHA-256."""
        result = {
            f"srs/k{self.size_class.k}.srs": self.srs.sha256,
            "srs/k1.srs": self.srs.verify_sha256,
            "fpm/encoder.onnx": self.fpm.encoder,
            "fpm/head.npz": self.fpm.head,
            "fpm/generator.onnx": self.fpm.generator,
        }
        for name, circuit in (("link", self.link), ("encoder", self.encoder)):
            result[f"{name}/circuit.onnx"] = circuit.digests.onnx
            result[f"{name}/settings.json"] = circuit.digests.settings
            result[f"{name}/vk.key"] = circuit.digests.vk
        return result

    def path(self, name: str) -> Path:
        """Where a file of `files()` lies: in the folder, or, of `fpm/` only, in the one that profiles share."""
        own = self.folder / name
        return self.folder.parent / name if name.startswith("fpm/") and not own.exists() else own


@functools.cache
def trusted() -> dict[str, bytes]:
    """Name -> SHA-256 of profile.json, from `trust.json`.

    Raises:
        BadInstallation: the table is missing or damaged.
    """
    return trusted_section("profiles")


def trusted_section(section: str) -> dict[str, bytes]:
    """Name -> SHA-256 of one section of `trust.json`.

    Raises:
        BadInstallation: the table is missing or damaged.
    """
    path = PACKAGE / "trust.json"
    try:
        with path.open("rb") as stream:
            data = stream.read(limits.MAX_TRUST_BYTES + 1)
    except OSError as error:
        raise BadInstallation(f"{path}: {error.strerror}", hint=_REINSTALL) from None
    return parse_trusted(data, section)


def parse_trusted(data: bytes, section: str = "profiles") -> dict[str, bytes]:
    """The same for the bytes of `trust.json`, which has `profiles`, and may have the `OTHER_SECTIONS`.

    Raises:
        BadInstallation: they are damaged.
    """
    try:
        document = strict_json.parse(data, "trust.json", limits.MAX_TRUST_BYTES)
        fields = Reader(document, "trust.json")
        tables = {"profiles": fields.take("profiles"), **{other: {} for other in OTHER_SECTIONS}}
        for other in OTHER_SECTIONS:
            if isinstance(document, dict) and other in document:
                tables[other] = fields.take(other)
        fields.done()
        table = tables[section]
        if not isinstance(table, dict):
            fields.fail(section, "not an object")
        return {name: strict_json.hex64(digest, f"trust.json.{name}") for name, digest in table.items()}
    except (Rejected, Unreadable) as error:
        raise BadInstallation(error.message, hint=_REINSTALL) from None


def published_folder(installed: str, checkout: str) -> Path:
    """A folder of published files: `installed` in the package, or `checkout` in a source checkout's artifacts."""
    here = PACKAGE / installed
    return here if here.is_dir() else PACKAGE.parent / "artifacts" / checkout


def profiles_folder() -> Path:
    """Where profiles lie: inside the installed package, or in a source checkout's artifacts."""
    return published_folder("published", "profiles")


def load_stated_profile(name: str, sha256: bytes) -> Profile:
    """The published profile that a statement names, by name and by digest of its profile.json.

    Raises:
        UnknownVersion: this version does not know it, or pins another one under this name. The statement is not
            measured by that one: whatever differs would look like a forgery.
        Rejected: name and digest are those of two published profiles.
        BadInstallation: see `load_profile`.
    """
    profile = load_profile(name)
    if sha256 != profile.sha256:
        others = [other for other, digest in trusted().items() if digest == sha256]
        if others:
            raise Rejected(f"statement.json.profile: named {name}, with the digest of {others[0]}", code="statement")
        raise UnknownVersion(
            f"statement.json.profile.sha256: {sha256.hex()[:16]}..., this verifier pins another profile of the name "
            f"{name}: {profile.sha256.hex()[:16]}...",
            code="other-profile",
            hint="use the version of huref-zk that pins it: an older one, or a newer one",
        )
    return profile


def load_profile(name: str) -> Profile:
    """The published profile called `name`, from the table of trusted ones.

    Raises:
        UnknownVersion: this version does not know it.
        BadInstallation: its files are not the ones the table pins.
    """
    pinned = trusted().get(name)
    if pinned is None:
        raise UnknownVersion(
            f"profile {ascii(name)[:60]} is unknown; known: {', '.join(sorted(trusted())) or 'none'}",
            code="unknown-profile",
            hint="upgrade huref-zk if the profile is newer; otherwise nobody published its circuits",
        )
    folder = profiles_folder() / name
    data = read_trusted_file(folder / "profile.json", pinned, limits.MAX_PROFILE_BYTES)
    return parse_profile(data, folder)


def read_trusted_file(path: Path, sha256: bytes, max_bytes: int = limits.MAX_PROFILE_FILE_BYTES) -> bytes:
    """A file's bytes, which must have that digest.

    Raises:
        BadInstallation: missing, too large, or another file.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise BadInstallation(f"{path}: {error.strerror}", hint=_REINSTALL) from None
    if hashlib.sha256(data).digest() != sha256:
        raise BadInstallation(f"{path}: not the published file (SHA-256 differs)", hint=_REINSTALL)
    return data


def parse_profile(data: bytes, folder: Path) -> Profile:
    """Parse the bytes of profile.json.

    Raises:
        BadInstallation: it breaks the format, or asks for a rule this version does not have.
    """
    try:
        fields = Reader(strict_json.parse(data, "profile.json", limits.MAX_PROFILE_BYTES), "profile.json")
        return _read_profile(fields, hashlib.sha256(data).digest(), folder)
    except (Rejected, Unreadable) as error:
        raise BadInstallation(f"{folder}: {error.message}", hint=_REINSTALL) from None


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise Rejected(f"{where}: not a string")
    return value


def _read_profile(fields: Reader, sha256: bytes, folder: Path) -> Profile:
    fields.media_type("profile")
    size_class = read_size_class(fields.nested("size_class"))
    srs, circuits = fields.nested("srs"), fields.nested("circuits")
    trust = srs.text("trust")
    if trust not in ("development", "ceremony"):
        srs.fail("trust", "not development or ceremony")
    tokens, scale = fields.nested("tokens"), fields.nested("scale")
    features, image = fields.nested("features"), fields.nested("image")
    profile = Profile(
        name=fields.text("name"),
        sha256=sha256,
        folder=folder,
        size_class=size_class,
        srs=read_srs(srs),
        development_srs=trust == "development",
        link=read_published_circuit(circuits.nested("link"), size_class),
        encoder=read_published_circuit(circuits.nested("encoder"), size_class),
        fpm=read_fpm(fields.nested("fpm")),
        projection=read_projection(fields.nested("projection")),
        quantization=fields.text("quantization"),
        families=fields.array("families", _text),
        token_rule=tokens.text("rule"),
        k_min=tokens.integer("K_min", 1, limits.MAX_DIMENSION),
        k_max=tokens.integer("K_max", 1, limits.MAX_DIMENSION),
        shift=scale.integer("shift", 1, 128),
        c_min=scale.integer("c_min", 1, limits.C_LIMIT - 1),
        feature_count=features.integer("count", 1, 4096),
        feature_scale=features.integer("scale", 1, 60),
        width=image.integer("width", 1, limits.MAX_PICTURE_SIDE),
        height=image.integer("height", 1, limits.MAX_PICTURE_SIDE),
        tolerance=image.integer("tolerance", 0, 64),
    )
    if (fields.text("layers"), profile.quantization, profile.token_rule) != (
        LAYERS_RULE,
        QUANTIZATION_RULE,
        TOKEN_RULE,
    ):
        fields.fail("layers, quantization, tokens.rule", "a rule that this version does not have")
    for reader in (circuits, tokens, scale, features, image, fields):
        reader.done()
    return profile


def read_published_circuit(fields: Reader, size_class: SizeClass) -> Circuit:
    """A circuit's record in a document that pins it."""
    proof_bytes = fields.integer("proof_bytes", 1, limits.MAX_PROOF_FILE_BYTES)
    usable_rows = fields.integer("usable_rows", size_class.length, (1 << size_class.k) - 1)
    return Circuit(read_circuit(fields), proof_bytes, usable_rows)
