"""Fixed-step integrators as functions, and the two ways to apply one many times.

A maker such as `rk4(f)` or `leapfrog(H)` gives a step `step(t, y, dt, args) -> y`;
`rollout` keeps the trajectory, `repeat` only the end, and `rollout_at` goes by given
times. Each is one `lax.scan`, differentiable both ways. Symplectic methods need a fixed
step: with a step that varies with the state they lose what they conserve.

| method | order | from | symplectic | for |
|---|---|---|---|---|
| `euler` | 1 | any vector field | no | comparisons |
| `rk4` | 4 | any vector field | no | most things, over short times |
| `implicit_midpoint` | 2 | any vector field | yes | stiff or non-separable |
| `gauss4` | 4 | any vector field | yes | the same, more precisely |
| `symplectic_euler` | 1 | H = T(p) + V(q) | yes | comparisons |
| `leapfrog` | 2 | H = T(p) + V(q) | yes | long times |
| `yoshida4`, `yoshida6` | 4, 6 | H = T(p) + V(q) | yes | long times, more precisely |
| `splitting` | any | H = T(p) + V(q) | yes | your own coefficients |
| `variational` | 2 | a Lagrangian | yes | where only L is known |

`projected` follows any step by a projection onto constraints.
"""

from jaxphys.integrators.at_times import rollout_at
from jaxphys.integrators.implicit import (
    ImplicitStep,
    gauss4,
    implicit_midpoint,
    projected,
    variational,
)
from jaxphys.integrators.rollout import RolloutInfo, check_time_step, repeat, rollout
from jaxphys.integrators.steps import euler, rk4
from jaxphys.integrators.symplectic import (
    leapfrog,
    splitting,
    symplectic_euler,
    yoshida4,
    yoshida6,
)

__all__ = [
    "ImplicitStep",
    "RolloutInfo",
    "check_time_step",
    "euler",
    "gauss4",
    "implicit_midpoint",
    "leapfrog",
    "projected",
    "repeat",
    "rk4",
    "rollout",
    "rollout_at",
    "splitting",
    "symplectic_euler",
    "variational",
    "yoshida4",
    "yoshida6",
]
