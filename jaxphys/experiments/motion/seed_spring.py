"""A mass on a spring with m = k = 1, as a notebook on Hamiltonian networks has it.

That notebook learns from one trajectory, of one energy, with ReLU, by gradients of H
alone, and ends with ∂H/∂p ≈ ±0.19 everywhere. Here the data have several energies, the
activation has derivatives, what is matched is the field, and its options are kept:
normalized inputs, a cosine schedule, L2, early stopping. The table at q = p must come
out as (p, −q).
"""

import dataclasses
import pathlib

import jax.numpy as jnp
import numpy as np

from jaxphys import models, plots, systems
from jaxphys.experiments import dynamics, hamiltonian, judging, runner
from jaxphys.experiments.dynamics import Material, Row
from jaxphys.experiments.hamiltonian import Judged
from jaxphys.experiments.runner import Trained
from jaxphys.learning import Recipe
from jaxphys.systems.record import ring
from jaxphys.types import Dynamics, PyTree


@dataclasses.dataclass(frozen=True)
class Config(hamiltonian.Config):
    """Learn H = (q² + p²)/2 well enough for a table of its derivatives."""

    noise: float = 0.0
    hidden: tuple[int, ...] = (128, 128, 128)


def spring():
    """m = k = 1, with states over the whole of what the table asks for."""
    return systems.mass_spring(1.0, 1.0)._replace(
        sample=lambda key: ring(key, 0.05, 1.6)
    )


#: Of data that fill a disk of radius 1.6: their root mean squares.
UNITS = models.Normalization(*(np.array([x]) for x in (0.0, 0.65, 0.65, 0.65, 0.65)))


def _network(config: Config, dtype: jnp.dtype) -> Dynamics:
    return models.dynamics(
        models.hnn(1, hidden=config.hidden, normalization=UNITS, dtype=dtype)
    )


def _compact(config: Config, dtype: jnp.dtype) -> Dynamics:
    model = models.hnn(
        1,
        hidden=(24, 24),
        normalization=UNITS,
        kernel_init="glorot_normal",
        dtype=dtype,
    )
    return models.dynamics(model)


def _mlp(config: Config, dtype: jnp.dtype) -> Dynamics:
    return models.neural_ode(1, hidden=config.hidden, normalization=UNITS, dtype=dtype)


def _recipe(config: Config) -> Recipe:
    recipe = Recipe(
        steps=5000,
        batch_size=100,
        schedule="cosine",
        weight_decay=1e-7,
        patience=50,
        look_every=100,
    )
    return dynamics.shortened(recipe) if config.fast else recipe


def _damped(config: Config) -> Recipe:
    recipe = Recipe(
        optimizer="levenberg_marquardt", batch_size=50, seconds=20.0, patience=50
    )
    return dynamics.shortened(recipe) if config.fast else recipe


METHODS = {
    "mlp": Row(_mlp, _recipe),
    "hnn": Row(_network, _recipe),
    "hnn_levenberg_marquardt": Row(_compact, _damped, "float64", "hnn"),
}

_STUDY = hamiltonian.study(
    "seed_spring",
    "mass on a spring, m = k = 1",
    spring(),
    METHODS,
    {},
    ts=np.linspace(0.0, 10.0, 40),
    judged=Judged(20.0, 401, 0.05, 15, hamiltonian.around_the_middle),
    extent=1.0,
)


def at_table(
    motion: Dynamics, params: PyTree, count: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q = p, ∂H/∂p and −∂H/∂q at `count` points from −1 to 1."""
    points = np.linspace(-1.0, 1.0, count)
    dq, dp = judging.field_grid(motion, params, (points, points))
    return points, np.diagonal(dq), np.diagonal(dp)


def measure(
    config: Config, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """What the other experiments measure, and the largest error of the table."""
    points, dq, dp = at_table(motion, params)
    worst = max(np.abs(dq - points).max(), np.abs(dp + points).max())
    rest = _STUDY.measure(config, motion, params, found)
    return rest | {"table_error": float(worst)}


def draw(
    config: Config,
    trained: judging.Models,
    found: Material,
    out: pathlib.Path,
) -> dict[str, plots.Figure]:
    """The figures of every one-coordinate experiment, and the table."""
    header = ["q = p", "expected"]
    columns = []
    for name, model in trained.items():
        header += [f"{plots.label(name)} dH/dp", "-dH/dq"]
        points, dq, dp = at_table(*model)
        columns += [dq, dp]
    rows = [
        [f"{x:+.2f}", f"{x:+.4f} {-x:+.4f}", *(f"{c[i]:+.4f}" for c in columns)]
        for i, x in enumerate(points)
    ]
    text = runner.aligned([header, *rows])
    print("\n" + text)
    (out / "table.txt").write_text(text + "\n")
    return _STUDY.draw(config, trained, found, out)


STUDY = _STUDY._replace(
    measure=measure,
    draw=draw,
    columns={"table_error": "largest error of the table", **_STUDY.columns},
    published={"hnn": {"table_error": 0.9}},
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the tables, write results and figures."""
    return dynamics.run(STUDY, config)
