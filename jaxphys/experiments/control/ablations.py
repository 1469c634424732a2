"""Why half-inverse gradients: one choice after another changed, the rest left alone.

The step V Λ^κ Uᵀ g runs from gradient descent, κ = 1, over HIG, κ = −1/2, to
Gauss–Newton, κ = −1. In function space it is `δe = −η K^((κ+1)/2) g`, so that of the
spread of singular values the power κ + 1 is left, and a rate that suits one exponent
suits no other. Each therefore has the same rates to choose from, in units of the step
that solves the direction of largest singular value, η = c (b/2) / σ_max^(κ+1), and all
have the same training time. At κ = −1 a rate c = 1 is the true step b/2 of
Gauss–Newton, and the published one is c = 2/b, down to which the rates go. What else is
changed, at κ = −1/2: rcond, batch size and width; and what damped methods have in its
place.

Exponents: Schnell, Holl & Thuerey, ICLR 2022, https://arxiv.org/abs/2203.10131.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from jaxphys.experiments.control.ablation_figures import budget_of, compared, figures
from jaxphys.experiments.control.choices import PROBLEMS, Setting
from jaxphys.experiments.control.rates import train_by_rates
from jaxphys.experiments.control.rows import Steering, steering
from jaxphys.experiments.control.sweeps import SWEEPS, rows
from jaxphys.experiments.experiment import Experiment, Run, RunOptions
from jaxphys.names import check_known

__all__ = ["EXPERIMENT", "Settings", "build", "chosen"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Change the exponent of the spectral step, and all else that a user may choose.

    A method is one setting; the name of a sweep, `kappa`, `rcond`, `batch`, `width`,
    `damping` or `decay`, stands for all of its settings. Seconds or steps are those of
    each learning rate that a setting tries, and a batch size that of all settings but
    those of the sweep `batch`.

    Attributes:
      problem: what is trained through: `oscillators`, `nonlinear_oscillators`,
        `quantum_dipole` or `poisson`.
      samples: size of the training set, and of the test set; by default those of the
        problem.
      rates: c, learning rates relative to the step that solves the direction of the
        largest singular value; beyond 2 a quadratic has no descent. The lowest train
        loss at the end decides between them.
      near_rates: those of settings at κ = −1/2 that change something else.
      powers: exponents κ; −1/2 is always among them.
      rconds: cut-offs of small singular values.
      batches: batch sizes.
      widths: units of each hidden layer.
      dampings: λ, of Levenberg–Marquardt at the start and of SPRING throughout.
      decays: momentum μ of SPRING.
    """

    problem: str = "oscillators"
    samples: int | None = None
    rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0)
    near_rates: tuple[float, ...] = (0.1, 0.3, 1.0)
    powers: tuple[float, ...] = (1.0, 0.5, 0.0, -0.25, -0.5, -0.75, -1.0)
    rconds: tuple[float, ...] = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
    batches: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    widths: tuple[int, ...] = (5, 10, 20, 40, 80)
    dampings: tuple[float, ...] = (1e-7, 1e-5, 1e-3, 1e-1, 1.0)
    decays: tuple[float, ...] = (0.0, 0.5, 0.9, 0.99)


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The problem with its own network."""
    module, _ = PROBLEMS[check_known("problem", settings.problem, PROBLEMS)]
    return module.build(module.Settings(), dtype)


def _prepare(
    experiment: Experiment, settings: Settings, options: RunOptions
) -> tuple[Experiment, Settings, RunOptions]:
    """Rows by the batch size of the options, sweeps and samples written out."""
    every = rows(settings, options)
    options = dataclasses.replace(options, method=chosen(options.method, every))
    if settings.samples is None:
        module, _ = PROBLEMS[settings.problem]
        settings = dataclasses.replace(settings, samples=module.Settings().samples)
    return dataclasses.replace(experiment, rows=every), settings, options


def chosen(wanted: Sequence[str], every: Mapping[str, Setting]) -> tuple[str, ...]:
    """The names of settings, with the name of a sweep written out as its settings.

    Example:
      >>> chosen(("decay", "adam"), rows(Settings()))[:2]
      ('spring', 'spring_decay_0')
    """
    names: list[str] = []
    for name in wanted:
        swept = [each for each, setting in every.items() if name in setting.at]
        if name not in SWEEPS and name not in every:
            check_known("method", name, [*SWEEPS, *every, "all"])
        names += swept or [name]
    return tuple(dict.fromkeys(names))


def _finish(run: Run) -> None:
    print(f"each rate: {budget_of(run)}; the lowest train loss is shown")


EXPERIMENT = steering(
    "ablations",
    "change the exponent of HIG, and all else that one may choose",
    Settings,
    build,
    rows,
    prepare=_prepare,
    train=train_by_rates,
    finish=_finish,
    compared=compared,
    figures=figures,
    columns={
        "rate": "rate c",
        "learning_rate": "rate η",
        "train_loss": "train loss",
        "test_loss": "test loss",
    },
    milestones=(),
    seconds=5.0,
)
