"""Simulators to train a network through, and motions to learn from their trajectories.

A simulator is a function that returns a `Problem`; `matching` has what a learned motion
is trained on; `targets` what either is to an optimizer.
"""

from jaxphys.problems.composed import outputs, residuals
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
from jaxphys.problems.targets import Loss, Target, steered


__all__ = [
    "Loss",
    "Target",
    "derivative_matching",
    "exponential",
    "heat",
    "identification",
    "oscillator_control",
    "outputs",
    "poisson",
    "quantum_dipole",
    "residuals",
    "rotated_sine",
    "scaled_waves",
    "steered",
    "torque_matching",
    "trajectory_matching",
]
