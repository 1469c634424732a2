"""From an energy to its dynamics, by automatic differentiation.

An energy may be analytic or a network; it is a function of one state, unbatched, and
where it depends on time it takes t as a fourth argument.

| of a Hamiltonian H(params, q, p) | gives |
|---|---|
| `hamiltonian_vector_field` | dq/dt = ∂H/∂p, dp/dt = −∂H/∂q, with friction and forces |
| `controlled` | H − q·F(u), with a control u |
| `velocity`, `poisson_bracket` | ∂H/∂p, {f, g} |

| of a Lagrangian L(params, q, v) | gives |
|---|---|
| `acceleration`, `lagrangian_vector_field` | q̈ = M⁻¹ [∂L/∂q − (∂²L/∂q∂v) v] |
| `equations_of_motion` | M and h of M q̈ = h |
| `lattice_acceleration` | q̈ of a sum over the bonds of a ring, in linear time |
| `controlled_lagrangian` | L + q·F(u), with a control u |
| `inverse_dynamics` | the force that gives an acceleration |
| `torque_parts`, `split_torque` | its parts: inertia, Coriolis, gravity |
| `momentum`, `energy` | ∂L/∂v, v·∂L/∂v − L |
| `mass_matrix`, `mass_condition` | M = ∂²L/∂v∂v, and how near it is to singular |
| `constrained` | the motion under φ(q) = 0 |

| of either | gives |
|---|---|
| `legendre` | the other energy |
| `conjugate` | v of a momentum, p of a velocity |
| `natural` | H and L of a mass matrix and a potential |
| `vector_field` | the equations of motion of a `System` |
"""

from jaxphys.mechanics.constraints import Constrained, constrained
from jaxphys.mechanics.hamilton import (
    controlled,
    hamiltonian_vector_field,
    poisson_bracket,
    velocity,
)
from jaxphys.mechanics.lagrange import (
    TorqueParts,
    acceleration,
    controlled_lagrangian,
    energy,
    equations_of_motion,
    inverse_dynamics,
    lagrangian_vector_field,
    lattice_acceleration,
    mass_condition,
    mass_matrix,
    momentum,
    split_torque,
    torque_parts,
    vector_field,
)
from jaxphys.mechanics.legendre import conjugate, legendre, natural

__all__ = [
    "Constrained",
    "TorqueParts",
    "acceleration",
    "conjugate",
    "constrained",
    "controlled",
    "controlled_lagrangian",
    "energy",
    "equations_of_motion",
    "hamiltonian_vector_field",
    "inverse_dynamics",
    "lagrangian_vector_field",
    "lattice_acceleration",
    "legendre",
    "mass_condition",
    "mass_matrix",
    "momentum",
    "natural",
    "poisson_bracket",
    "split_torque",
    "torque_parts",
    "vector_field",
    "velocity",
]
