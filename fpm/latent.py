"""The part of z-space that fingerprints live in.

The encoder's circuit has 128 public outputs f; the head maps them to z = W f + b with 512 entries. So z lies in a
128-dimensional subspace, fixed here by a seed before anything is trained: the range of `head_basis()`. The drawer's
parameters and the head both use it, so encoder and generator can be trained apart.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Z_DIM = 512
FEATURES = 128
BASIS_SEED = 20240

Array = npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def head_basis() -> Array:
    """Orthonormal columns spanning the latent subspace.

    Returns:
        float64 [512, 128], `Q.T @ Q = I`; the same on every machine up to rounding.
    """
    gauss = np.random.default_rng(BASIS_SEED).standard_normal((Z_DIM, FEATURES))
    q, r = np.linalg.qr(gauss)
    # The sign of each column is LAPACK's choice; fix it.
    basis: Array = q * np.sign(np.diag(r))
    basis.setflags(write=False)
    return basis


def coordinates(z: Array) -> Array:
    """Standard-normal coordinates of z in the latent subspace, u = Q^T z / 2.

    Args:
        z: [..., 512], of norm sqrt(512).

    Returns:
        [..., 128], of norm sqrt(128) when z lies in the subspace.
    """
    u: Array = z @ head_basis() / 2.0
    return u


def sample_z(count: int, seed: int) -> Array:
    """Draws z as an ideal encoder would: uniform on the sphere of radius sqrt(512) in the subspace.

    Returns:
        float64 [count, 512].
    """
    u = np.random.default_rng(seed).standard_normal((count, FEATURES))
    u *= np.sqrt(FEATURES) / np.linalg.norm(u, axis=1, keepdims=True)
    z: Array = 2.0 * u @ head_basis().T
    return z
