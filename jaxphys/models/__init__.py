"""Models: networks, and what makes a Hamiltonian or a vector field of one.

| name | what is learned | gives |
|---|---|---|
| `mlp`, `convolution`, `from_linen`, `from_nnx` | any function | a Model |
| `hnn` | H(q, p) | a Model, its `apply` a Hamiltonian |
| `separable` | T(p) + V(q) | the same |
| `pairwise` | equal bodies: Σ t(p) + Σ φ(distance) | the same |
| `structured` | ½ pᵀ M⁻¹(q) p + V(q) | the same, with its parts |
| `dissipative` | H and D, a field split after Helmholtz | a Dynamics |
| `port_hamiltonian` | H, R(q), G(q) and an external force | a Dynamics |
| `lnn` | L(q, v) | a Model, its `apply` a Lagrangian |
| `delan` | ½ vᵀ M(q) v − V(q) | the same, with its parts |
| `lattice` | Σ ℓ(bond), one density on a ring of nodes | the same, with its density |
| `forced` | a Lagrangian's motion with a friction R(q) and inputs | a Dynamics |
| `neural_ode`, `second_order` | the field, or the acceleration, directly | a Dynamics |

What is trained is a Dynamics: `dynamics` makes one of a Hamiltonian,
`lagrangian_dynamics` and `lattice_dynamics` of a Lagrangian.
"""

from jaxphys.models.baselines import neural_ode, second_order
from jaxphys.models.coordinates import Normalization, normalization
from jaxphys.models.delan import Delan, delan
from jaxphys.models.dissipative import HelmholtzParams, dissipative, helmholtz_field
from jaxphys.models.forced import forced
from jaxphys.models.hnn import dynamics, hnn
from jaxphys.models.lattice import FieldUnits, Lattice, lattice, lattice_dynamics
from jaxphys.models.lnn import lagrangian_dynamics, lnn
from jaxphys.models.networks import convolution, from_linen, from_nnx, mlp
from jaxphys.models.pairwise import pairwise
from jaxphys.models.port_hamiltonian import port_hamiltonian
from jaxphys.models.separable import separable
from jaxphys.models.structured import Structured, in_velocities, structured

__all__ = [
    "Delan",
    "FieldUnits",
    "HelmholtzParams",
    "Lattice",
    "Normalization",
    "Structured",
    "convolution",
    "delan",
    "dissipative",
    "dynamics",
    "forced",
    "from_linen",
    "from_nnx",
    "helmholtz_field",
    "hnn",
    "in_velocities",
    "lagrangian_dynamics",
    "lattice",
    "lattice_dynamics",
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
