"""A chain of pendula, chaotic, learned from pieces of five points.

Angles and velocities are measured, momenta are not; H = ½ pᵀ M⁻¹(q) p + V(q) is learned
with its mass matrix by matching trajectories through RK4. 800 pieces 0.03 apart;
predictions are followed for T = 3 and judged in Cartesian coordinates by the geometric
mean of the relative error. Levenberg–Marquardt matches accelerations, which the pieces
give almost exactly wherever they resolve the motion. Published figures: Finzi, Wang &
Wilson, Simplifying Hamiltonian and Lagrangian Neural Networks via Explicit Constraints,
2020; their HNN of 3 × 200 units trains for 8000 updates of Adam, as does ours of
2 × 64.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxphys import optim
from jaxphys.experiments.experiment import Experiment, Keys, Samples
from jaxphys.experiments.motion import chain_judging, chain_pieces
from jaxphys.experiments.motion.rows import (
    Make,
    damped,
    damped_row,
    embedded,
    network,
    row,
)
from jaxphys.learning import Recipe
from jaxphys.types import TangentState

__all__ = ["EXPERIMENT", "Settings", "sample"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn the energy of a chain of pendula from short pieces of motion.

    Attributes:
      links: number of pendula.
      pieces: of five points, for training; a trajectory gives one.
      hidden: units of each hidden layer of the networks that Adam trains.
      compact: of those that Levenberg–Marquardt trains.
      test: trajectories of the test.
      fast: a twentieth of the updates, and fewer pieces.
    """

    links: int = 3
    pieces: int = 800
    hidden: tuple[int, ...] = (64, 64)
    compact: tuple[int, ...] = (32, 32)
    test: int = 100
    fast: bool = False


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Five points of each of many trajectories; whole ones for the test."""
    del dtype
    count, test = (40, 8) if settings.fast else (settings.pieces, settings.test)
    return chain_pieces.pieces(settings.links, keys, count, test)


def _shape(settings: Settings) -> dict[str, Any]:
    """The arguments of a network for so many links."""
    return {
        "num_coordinates": settings.links,
        "periodic": (True,) * settings.links,
        "kernel_init": "glorot_normal",
    }


def _naive(settings: Settings) -> dict[str, Any]:
    return {**_shape(settings), "state": TangentState}


_ADAM = Recipe(
    mode="trajectories",
    chunk=4,
    batch_size=200,
    steps=8000,
    learning_rate=1e-2,
    schedule="cosine",
)
#: A Lagrangian network does not bear the rate of the others; one without a mass matrix
#: that is positive by construction ends no better than it began.
_GENTLE = dataclasses.replace(_ADAM, learning_rate=2e-3)
_DAMPED = damped(64, 256, 1024, seconds=120.0, max_bend=optim.USUAL_BEND)

_NAMES = ("naive", "second_order", "structured", "delan")
_DAMPED_NAMES = ("structured", "delan")


def _made(name: str, layers: str) -> Make:
    """The network of a row, in angles and velocities."""
    if name == "naive":
        return network("neural_ode", _naive, layers)
    return network(name, _shape, layers, velocities=name == "structured")


_ROWS = {
    name: row(
        name,
        "adam",
        _made(name, "hidden"),
        _GENTLE if name == "delan" else _ADAM,
        observe=embedded,
    )
    for name in _NAMES
} | {
    f"{name}_levenberg_marquardt": damped_row(
        name,
        _made(name, "compact"),
        _DAMPED,
        view=chain_pieces.accelerated,
    )
    for name in _DAMPED_NAMES
}

#: Links → what was published: of networks for the vector field and for H, and of ones
#: for H in Cartesian coordinates with explicit constraints.
_PUBLISHED = {
    2: (6.5e-2, 1.9e-3, 1.2e-4),
    3: (0.27, 4.7e-2, 3.4e-4),
    5: (0.44, 0.34, 1.1e-3),
}


def _title(settings: Settings) -> str:
    """Above tables and figures."""
    return f"chain of {settings.links} pendula"


def _published(settings: Settings) -> dict[str, dict[str, float]]:
    """The figures of so many links; by Levenberg–Marquardt those of networks with
    explicit constraints."""
    if settings.links not in _PUBLISHED:
        return {}
    field, energy, constrained = _PUBLISHED[settings.links]
    errors = {"naive": field, "structured": energy}
    errors |= {f"{name}_levenberg_marquardt": constrained for name in _DAMPED_NAMES}
    return {name: {"rollout_error": x} for name, x in errors.items()}


EXPERIMENT = Experiment(
    name="pendulum_chain",
    summary="learn the energy of a chain of pendula from pieces of motion",
    title=_title,
    settings=Settings,
    sample=sample,
    rows=_ROWS,
    columns={"rollout_error": "rel. rollout error", "valid_time": "valid time"},
    measures=chain_judging.errors,
    figures=chain_judging.draw,
    published=_published,
)
