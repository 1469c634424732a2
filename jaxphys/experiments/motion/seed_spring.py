"""A mass on a spring with m = k = 1, as a notebook on Hamiltonian networks has it.

That notebook learns from one trajectory, of one energy, with ReLU, by gradients of H
alone, and ends with ∂H/∂p ≈ ±0.19 everywhere. Here the data have several energies, the
activation has derivatives, what is matched is the field, and its options are kept:
normalized inputs, a cosine schedule, L2, early stopping. The table at q = p must come
out as (p, −q).
"""

import dataclasses

import numpy as np

from jaxphys import files, models, systems
from jaxphys.experiments import measures, record
from jaxphys.experiments.experiment import Run, Trained
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion import hamiltonian
from jaxphys.experiments.motion.rows import damped, damped_row, network, row
from jaxphys.learning import Recipe
from jaxphys.systems.record import ring
from jaxphys.types import Dynamics, PyTree

__all__ = ["EXPERIMENT", "Settings", "derivatives"]


@dataclasses.dataclass(frozen=True)
class Settings(hamiltonian.Settings):
    """Learn H = (q² + p²)/2 well enough for a table of its derivatives."""

    noise: float = 0.0
    hidden: tuple[int, ...] = (128, 128, 128)


#: States over the whole of what the table asks for.
_SYSTEM = systems.mass_spring(1.0, 1.0)._replace(
    sample=lambda key: ring(key, 0.05, 1.6)
)

#: Of data that fill a disk of radius 1.6: their root mean squares.
_UNITS = models.Normalization(*(np.array([x]) for x in (0.0, 0.65, 0.65, 0.65, 0.65)))


_SHAPE = {"num_coordinates": 1, "normalization": _UNITS}
_COMPACT = {**_SHAPE, "hidden": (24, 24), "kernel_init": "glorot_normal"}

_ADAM = Recipe(
    steps=5000,
    batch_size=100,
    schedule="cosine",
    weight_decay=1e-7,
    patience=50,
    look_every=100,
)

_ROWS = {
    "mlp": row("mlp", "adam", network("neural_ode", _SHAPE), _ADAM),
    "hnn": row("hnn", "adam", network("hnn", _SHAPE), _ADAM),
    "hnn_levenberg_marquardt": damped_row(
        "hnn",
        network("hnn", _COMPACT),
        damped(50, seconds=20.0, patience=50),
        time_of="hnn",
    ),
}

_USUAL = hamiltonian.experiment(
    Judge(_SYSTEM, 20.0, 401, 0.05, 15, hamiltonian.around_the_middle),
    _ROWS,
    name="seed_spring",
    summary="learn a unit spring's energy, and tabulate its derivatives",
    title="mass on a spring, m = k = 1",
    settings=Settings,
    ts=np.linspace(0.0, 10.0, 40),
    extent=1.0,
)


def derivatives(
    motion: Dynamics, params: PyTree, count: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q = p, ∂H/∂p and −∂H/∂q at `count` points from −1 to 1."""
    points = np.linspace(-1.0, 1.0, count)
    dq, dp = measures.field_grid(motion, params, (points, points))
    return points, np.diagonal(dq), np.diagonal(dp)


def _measured(trained: Trained) -> dict[str, float]:
    """What the other experiments measure, and the largest error of the table."""
    points, dq, dp = derivatives(trained.subject.built.dynamics, trained.params)
    worst = max(np.abs(dq - points).max(), np.abs(dp + points).max())
    return _USUAL.measures(trained) | {"table_error": float(worst)}


def _write_table(run: Run) -> None:
    """The derivatives of every row beside the true ones, printed and in table.txt."""
    header = ["q = p", "expected"]
    columns: list[np.ndarray] = []
    for name, params in run.params.items():
        header += [f"{run.looks[name].label} dH/dp", "-dH/dq"]
        columns += derivatives(run.subjects[name].built.dynamics, params)[1:]
    rows = [
        [f"{x:+.2f}", f"{x:+.4f} {-x:+.4f}", *(f"{c[i]:+.4f}" for c in columns)]
        for i, x in enumerate(np.linspace(-1.0, 1.0, 10))
    ]
    text = record.aligned([header, *rows])
    print("\n" + text)
    with files.replacing(run.out / "table.txt") as file:
        file.write(f"{text}\n".encode())


EXPERIMENT = dataclasses.replace(
    _USUAL,
    measures=_measured,
    finish=_write_table,
    columns={"table_error": "largest error of the table", **_USUAL.columns},
    published={"hnn": {"table_error": 0.9}},
)
