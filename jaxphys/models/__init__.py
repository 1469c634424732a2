"""Models: networks, and Hamiltonians, Lagrangians and vector fields made of them.

| name | learned | result | parts |
|---|---|---|---|
| `mlp`, `convolution` | any function | a Model | |
| `from_equinox`, `from_nnx`, `from_linen` | your own module | a Model | module |
| `hnn` | H(q, p) | a Model, its `apply` a Hamiltonian | |
| `separable` | T(p) + V(q) | the same | kinetic, potential |
| `pairwise` | equal bodies: Σ t(p) + Σ φ(distance) | the same | |
| `structured` | ½ pᵀ M⁻¹(q) p + V(q) | the same | inverse_mass, mass, potential, momentum, lagrangian |
| `dissipative` | H and D, a field split after Helmholtz | a Dynamics | |
| `port_hamiltonian` | H, a friction R(q), inputs by G(q) | a Dynamics | |
| `lnn` | L(q, v) | a Model, its `apply` a Lagrangian | |
| `delan` | ½ vᵀ M(q) v − V(q) | the same | mass, potential, hamiltonian |
| `lattice` | Σ ℓ(bond), one density on a ring of nodes | the same | density |
| `forced` | a Lagrangian's motion with a friction R(q) and inputs | a Dynamics | |
| `neural_ode`, `second_order` | the field, or the acceleration, directly | a Dynamics | |

The parts of a Model are functions of the same params, `model.parts["mass"](params, q)`.
Training takes a Dynamics: `dynamics` makes one of a Hamiltonian, `lagrangian_dynamics`
of a Lagrangian, and `in_velocities` one in q and v of one in q and p.
"""  # noqa: E501

from jaxphys.models.adapters import from_equinox, from_linen, from_nnx
from jaxphys.models.baselines import neural_ode, second_order
from jaxphys.models.coordinates import Normalization, normalization
from jaxphys.models.delan import delan
from jaxphys.models.dissipative import HelmholtzParams, dissipative
from jaxphys.models.forced import forced
from jaxphys.models.hnn import dynamics, hnn
from jaxphys.models.lattice import FieldUnits, lattice
from jaxphys.models.lnn import lagrangian_dynamics, lnn
from jaxphys.models.networks import convolution, mlp
from jaxphys.models.pairwise import pairwise
from jaxphys.models.port_hamiltonian import port_hamiltonian
from jaxphys.models.separable import separable
from jaxphys.models.structured import in_velocities, structured

__all__ = [
    "FieldUnits",
    "HelmholtzParams",
    "Normalization",
    "convolution",
    "delan",
    "dissipative",
    "dynamics",
    "forced",
    "from_equinox",
    "from_linen",
    "from_nnx",
    "hnn",
    "in_velocities",
    "lagrangian_dynamics",
    "lattice",
    "lnn",
    "mlp",
    "neural_ode",
    "normalization",
    "pairwise",
    "port_hamiltonian",
    "second_order",
    "separable",
    "structured",
]
