"""Linear algebra of Jacobians: powers of singular values, Krylov spaces, small solves.

| module | what is there |
|---|---|
| `spectral` | J^κ g = V Λ^κ Uᵀ g by SVD, QR, the Gram matrix, or products of matrices |
| `krylov` | powers, solves and traces of a matrix that is known by its products alone |
| `small` | closed forms up to 3 × 3, rings, and damped solves by one factorization |
"""

from jaxphys.linalg.blocks import Blocks, Roots, positive_roots
from jaxphys.linalg.krylov import (
    Krylov,
    Solved,
    hutchinson_trace,
    lanczos,
    lanczos_power,
    lanczos_solve,
)
from jaxphys.linalg.small import (
    cyclic_solve,
    damped_root_solver,
    damped_solver,
    double,
    self_product,
    symmetric_solve,
    tall_product,
)
from jaxphys.linalg.spectral import (
    METHODS,
    Spectrum,
    auto_method,
    check_rcond,
    default_rcond,
    gram_power,
    gram_rcond,
    inverse_fourth_root,
    masked_power,
    newton_power,
    quarters,
    spectral,
    spectral_direction,
)

__all__ = [
    "METHODS",
    "Blocks",
    "Krylov",
    "Roots",
    "Solved",
    "Spectrum",
    "auto_method",
    "check_rcond",
    "cyclic_solve",
    "damped_root_solver",
    "damped_solver",
    "default_rcond",
    "double",
    "gram_power",
    "gram_rcond",
    "hutchinson_trace",
    "inverse_fourth_root",
    "lanczos",
    "lanczos_power",
    "lanczos_solve",
    "masked_power",
    "newton_power",
    "positive_roots",
    "quarters",
    "self_product",
    "spectral",
    "spectral_direction",
    "symmetric_solve",
    "tall_product",
]
