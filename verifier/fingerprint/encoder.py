"""Steps 4 to 6: what the encoder proof's public instances mean (docs/protocol.md section 6). Pure."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from verifier.formats import limits
from verifier.formats.encoding import signed
from verifier.formats.errors import BadInstallation, Rejected
from verifier.statement.statement import TERMS
from verifier.trust.profile import Profile

Float64Array = npt.NDArray[np.float64]

_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)"
    rb"\{'descr': '<(f[48])', 'fortran_order': False, 'shape': \((\d{1,8},(?: \d{1,8})?)\), \} *\n",
    re.DOTALL,
)


def check_instance_count(instances: Sequence[int], profile: Profile) -> None:
    """Exactly 6 norms and the features.

    Raises:
        Rejected: more, or fewer.
    """
    expected = TERMS + profile.feature_count
    if len(instances) != expected:
        raise Rejected(f"encoder.json: {len(instances)} instances instead of {expected}", code="instances")


def norm_target(profile: Profile) -> int:
    """`T = g^2 * 2^features.scale`."""
    return profile.projection.g**2 << profile.feature_scale


def check_norms(instances: Sequence[int], c: Sequence[int], profile: Profile) -> float:
    """Step 6: every norm within its bound of T; gives the largest `|norm_t / T - 1|`.

    Raises:
        Rejected: a norm outside its bound.
    """
    return check_six_norms(instances[:TERMS], c, norm_target(profile))


def check_six_norms(norms: Sequence[int], c: Sequence[int], target: int, whose: str = "") -> float:
    """`|norm_t - T| <= T/c_t + T/2^12 + 2`, in integers; gives the largest `|norm_t / T - 1|`.

    Raises:
        Rejected: a norm outside its bound.
    """
    worst = 0
    for t, norm in enumerate(norms):
        if norm >= limits.NORM_LIMIT:
            raise Rejected(f"norm of term {t}{whose}: not from 0 to 2^64 - 1", code="norm")
        # |norm - T| c 2^12 <= T 2^12 + T c + 2 c 2^12
        distance = abs(norm - target)
        if distance * c[t] << 12 > (target << 12) + target * c[t] + (2 * c[t] << 12):
            raise Rejected(
                f"norm of term {t}{whose}: {norm}, expected {target} within {1 / c[t] + 2**-12:.3%}",
                code="norm",
            )
        worst = max(worst, distance)
    return worst / target


def features(instances: Sequence[int], profile: Profile) -> Float64Array:
    """The features as float64: signed integers over `2^features.scale`.

    Raises:
        Rejected: one of them is not below 2^62 in magnitude.
    """
    values = [signed(value) for value in instances[TERMS:]]
    for position, value in enumerate(values):
        if abs(value) >= limits.FEATURE_LIMIT:
            raise Rejected(f"feature {position}: magnitude not below 2^62", code="feature")
    return np.array([math.ldexp(value, -profile.feature_scale) for value in values])


def latent(instances: Sequence[int], profile: Profile, head: bytes) -> Float64Array:
    """`z = W f + b`, `|z|_2` at least 8, then `z *= sqrt(512) / |z|_2` (512: how many entries z has).

    Raises:
        Rejected: z is too short for its direction to mean anything, or not finite.
        BadInstallation: the published last layer does not fit.
    """
    weight, bias = read_head(head, profile.feature_count)
    z: Float64Array = weight @ features(instances, profile) + bias
    norm = math.sqrt(math.fsum((z * z).tolist()))
    if not norm >= limits.MIN_LATENT_LENGTH or not math.isfinite(norm):
        raise Rejected(
            f"z has no direction: before it is scaled it is {norm:.3g} long, from {limits.MIN_LATENT_LENGTH:g} on are "
            "accepted; rounding would decide where a shorter one points",
            code="latent",
        )
    return z * (math.sqrt(len(z)) / norm)


def read_head(data: bytes, count: int) -> tuple[Float64Array, Float64Array]:
    """W float64 [512, count] and b float64 [512] of the published `head.npz`.

    Raises:
        BadInstallation: another shape.
    """
    if len(data) > limits.MAX_HEAD_BYTES:
        raise BadInstallation(f"head.npz: {len(data)} bytes, the limit is {limits.MAX_HEAD_BYTES}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # a zip from the first byte on: numpy takes other files for pickles
            if not data.startswith(b"PK\3\4") or sorted(archive.namelist()) != ["bias.npy", "weight.npy"]:
                raise ValueError
            weight, bias = (_read_array(archive, name) for name in ("weight.npy", "bias.npy"))
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError, ArithmeticError):
        raise BadInstallation("head.npz: not float arrays weight and bias, stored without compression") from None
    if weight.ndim != 2 or weight.shape[1] != count or bias.shape != (weight.shape[0],):
        raise BadInstallation(f"head.npz: shapes {weight.shape}, {bias.shape} do not fit {count} features")
    return weight, bias


def _read_array(archive: zipfile.ZipFile, name: str) -> Float64Array:
    """A .npy member, in the one form that `np.savez` writes for float arrays; ValueError and such for any other."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > limits.MAX_HEAD_BYTES:
        raise ValueError
    with archive.open(member) as stream:
        data = stream.read(limits.MAX_HEAD_BYTES)
    header = _NPY_HEADER.match(data)
    if header is None:
        raise ValueError
    shape = [int(side) for side in header[3].split(b",") if side.strip()]
    if header.end() != 10 + int.from_bytes(header[1], "little") or max(shape) > limits.MAX_DIMENSION:
        raise ValueError
    values = np.frombuffer(data, f"<{header[2].decode()}", offset=header.end())
    return values.reshape(shape).astype(np.float64)  # reshape: ValueError unless there are exactly as many
