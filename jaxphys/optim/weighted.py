"""A batch's Jacobian, weighted by a root of the curvature of the objective: J̃ = S J.

With S² = ∂²ℓ/∂y² of each sample, J̃ᵀ J̃ is the generalized Gauss–Newton matrix of the
loss (Schraudolph, Fast curvature matrix-vector products for second-order gradient
descent, 2002), and a step in J̃ that of least squares, whatever the objective. S couples
outputs of one sample, if any, and is applied to the rows of what J has made.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxphys import devices
from jaxphys.linalg import Blocks, Roots, positive_roots
from jaxphys.optim.factors import pull_back
from jaxphys.optim.linearise import Linearisation
from jaxphys.types import Array, PyTree

__all__ = ["Weighted", "per_largest", "roots_of"]


def roots_of(curvature: Any, cotangent: Array, wide: jnp.dtype) -> Roots:
    """The roots of a batch's curvature in a wide dtype.

    Args:
      curvature: ∂²ℓ/∂y² as `linalg.Blocks`; or the diagonal, (b, d), or the matrices,
        (b, d, d), as arrays.
      cotangent: ∂ℓ/∂y, shape (b, d).
      wide: the dtype.

    Raises:
      ValueError: for another shape.
    """
    batch, d = cotangent.shape
    if not isinstance(curvature, Blocks):
        curvature = jnp.asarray(curvature)
        if curvature.shape == (batch, d, d):
            curvature = Blocks(curvature[:, None], (tuple(range(d)),))
        elif curvature.shape == (batch, d):
            curvature = Blocks(curvature)
        else:
            raise ValueError(
                f"curvature_fn() gave shape {curvature.shape}; expected the diagonal "
                f"{(batch, d)}, matrices {(batch, d, d)}, or linalg.Blocks."
            )
    wider = Blocks(curvature.entries.astype(wide), curvature.groups)
    rounding = float(jnp.finfo(cotangent.dtype).eps)
    return positive_roots(wider, cotangent.astype(wide), 1 / batch, rounding)


def per_largest(roots: Roots) -> tuple[Blocks, Blocks]:
    """S/√c and √c S⁻¹, c the largest curvature: one, where it is the same for all."""
    unit = jnp.sqrt(jnp.where(roots.largest > 0, roots.largest, 1))
    root = Blocks(roots.root.entries / unit, roots.root.groups)
    return root, Blocks(roots.inverse.entries * unit, roots.inverse.groups)


class Weighted(NamedTuple):
    """J̃ = S J of a batch, in the forms that the routes ask for.

    Attributes:
      linearisation: of the batch.
      root: S, in the dtype of the solve; None for J itself.
    """

    linearisation: Linearisation
    root: Blocks | None

    def weigh(self, w: Array) -> Array:
        """S w for w of shape (m, …)."""
        if self.root is None:
            return w
        shape = (*self.linearisation.values.shape, *w.shape[1:])
        return self.root.apply(w.reshape(shape)).reshape(w.shape)

    def gram(self, dtype: jnp.dtype) -> Array:
        """J̃ J̃ᵀ, shape (m, m)."""
        matrix = self.linearisation.gram(dtype)
        if self.root is None:
            return matrix
        # By a root in parts the matrix would be cut into parts once more.
        root = devices.whole(self.root)
        if root.groups is None:
            scale = root.entries.reshape(-1)
            return matrix * scale[:, None] * scale[None, :]
        whole = Weighted(self.linearisation, root)
        return whole.weigh(whole.weigh(matrix).T)

    def normal(self, dtype: jnp.dtype) -> Array:
        """J̃ᵀ J̃, shape (P, P)."""
        return self.linearisation.normal(dtype, self.root)

    def dense(self) -> Array:
        """J̃, shape (m, P)."""
        return self.weigh(self.linearisation.jacobian())

    def product(self, dtype: jnp.dtype) -> Callable[[Array], Array]:
        """w ↦ J̃ J̃ᵀ w, w of shape (m,)."""
        product = self.linearisation.product(dtype)
        return lambda w: self.weigh(product(self.weigh(w)))

    def pull(self, w: Array) -> PyTree:
        """J̃ᵀ w from the factors of J, w of shape (m,)."""
        return pull_back(self.linearisation.factors(), self.weigh(w))

    def vjp(self, w: Array) -> PyTree:
        """J̃ᵀ w by a reverse pass."""
        return self.linearisation.vjp(self.weigh(w))
