"""Simulating a system by name.

| module | what is in it |
|---|---|
| `constants` | a system's constants as options, and a system made of them |
| `options` | `SimulateOptions`, the time grid, initial states, and what is invalid |
| `integrate` | `integrate`: trajectories, and how it went |
| `simulate` | the same by name, with files, figures and an animation |
"""

from jaxphys.commands.simulation.integrate import SimulationInfo, integrate
from jaxphys.commands.simulation.options import (
    Grid,
    SimulateOptions,
    check_integrator,
    initial_states,
    time_grid,
)
from jaxphys.commands.simulation.simulate import Simulated, simulate

__all__ = [
    "Grid",
    "SimulateOptions",
    "Simulated",
    "SimulationInfo",
    "check_integrator",
    "initial_states",
    "integrate",
    "simulate",
    "time_grid",
]
