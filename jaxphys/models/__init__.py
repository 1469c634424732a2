"""Models: networks, and what makes a Hamiltonian or a Lagrangian of one."""

from jaxphys.models.networks import from_linen, from_nnx, mlp

__all__ = ["from_linen", "from_nnx", "mlp"]
