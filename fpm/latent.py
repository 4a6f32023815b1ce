"""z-space: what the head maps the circuit's features to, and what drawer and generator read.

z is any vector of R^512 of norm sqrt(512); independent models should fall on that sphere evenly. A rotation Q, fixed
here by a seed before anything is trained, names its coordinates u = Q^T z: the head ends in Q, and the drawer's
parameters are functions of the first columns' coordinates, so encoder and generator can be trained apart.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Z_DIM = 512
BASIS_SEED = 20240
MIXING_SEED = 20241

Array = npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def head_basis() -> Array:
    """The rotation Q whose columns are the latent coordinates' directions.

    Returns:
        float64 [512, 512], `Q.T @ Q = I`; the same on every machine up to rounding.
    """
    basis = rotation(Z_DIM, BASIS_SEED)
    basis.setflags(write=False)
    return basis


def rotation(size: int, seed: int) -> Array:
    """A random rotation or reflection, float64 [size, size], decided by the seed."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    # The sign of each column is LAPACK's choice; fix it.
    out: Array = q * np.sign(np.diag(r))
    return out


def coordinates(z: Array) -> Array:
    """Standard-normal coordinates of z, u = Q^T z.

    Args:
        z: [..., 512], of norm sqrt(512).

    Returns:
        [..., 512], of the same norm.
    """
    u: Array = z @ head_basis()
    return u


def sample_z(count: int, seed: int) -> Array:
    """Draws z as an ideal encoder would: uniform on the sphere of radius sqrt(512).

    Returns:
        float64 [count, 512].
    """
    u = np.random.default_rng(seed).standard_normal((count, Z_DIM))
    u *= np.sqrt(Z_DIM) / np.linalg.norm(u, axis=1, keepdims=True)
    z: Array = u @ head_basis().T
    return z
