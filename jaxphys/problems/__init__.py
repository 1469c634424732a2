"""Simulators to train a network through, and objectives for motions to be learned.

| simulator | task |
|---|---|
| `oscillator_control` | steer a chain of oscillators by a force on its last mass |
| `quantum_dipole` | steer a particle in a box by a field |
| `poisson` | invert the Laplacian |
| `heat` | find the initial heat from the final one |
| `feedback` | a policy that acts at every step, for costs of your own |
| `residual` | a network that solves an equation, by its residual |
| `identification` | find a system's constants from noisy motions |
| `scaled_waves`, `rotated_sine`, `exponential` | small maps, badly conditioned |

| objective | matches |
|---|---|
| `derivative_matching` | time derivatives of states |
| `torque_matching` | forces of accelerations |
| `trajectory_matching` | states along trajectories |

A simulator is a `Problem`. `outputs` composes it with a network, for `make_train_step`;
`targets` has what either kind is to an optimizer.
"""

from jaxphys.problems.composed import closed_loop, network_for, outputs, residuals
from jaxphys.problems.feedback import feedback
from jaxphys.problems.heat import heat
from jaxphys.problems.identification import identification
from jaxphys.problems.maps import exponential, rotated_sine, scaled_waves
from jaxphys.problems.matching import (
    derivative_matching,
    torque_matching,
    trajectory_matching,
)
from jaxphys.problems.oscillator_control import oscillator_control
from jaxphys.problems.poisson import poisson
from jaxphys.problems.quantum_dipole import quantum_dipole
from jaxphys.problems.residual import Condition, derivatives, residual, solution
from jaxphys.problems.targets import Loss, Target, steered

__all__ = [
    "Condition",
    "Loss",
    "Target",
    "closed_loop",
    "derivative_matching",
    "derivatives",
    "exponential",
    "feedback",
    "heat",
    "identification",
    "network_for",
    "oscillator_control",
    "outputs",
    "poisson",
    "quantum_dipole",
    "residual",
    "residuals",
    "rotated_sine",
    "scaled_waves",
    "solution",
    "steered",
    "torque_matching",
    "trajectory_matching",
]
