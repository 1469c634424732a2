"""Simulating a system by name.

| module | what is in it |
|---|---|
| `constants` | a system's constants as options, and a system made of them |
| `options` | `SimulateOptions`, the time grid, initial states, and what is invalid |
| `integration` | `integrate`: trajectories, and how it went |
| `command` | the same by name, with files, figures and an animation |
"""

from jaxphys.commands.simulation.command import Simulated, simulate
from jaxphys.commands.simulation.integration import SimulationInfo, integrate
from jaxphys.commands.simulation.options import (
    Grid,
    SimulateOptions,
    check_integrator,
    initial_states,
    time_grid,
)

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
