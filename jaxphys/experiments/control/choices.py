"""What `ablations` compares: one choice after another, each a row.

Hyperparameters live in the optimizer's state, so that rows which differ in these alone
share a compilation and begin with another state.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxphys import optim
from jaxphys.experiments.control import (
    nonlinear_oscillators,
    oscillators,
    poisson,
    quantum_dipole,
)
from jaxphys.experiments.control.rows import Steering
from jaxphys.experiments.experiment import Row, RunOptions
from jaxphys.learning import Learner, Recipe
from jaxphys.names import check_known

__all__ = [
    "HALF",
    "PROBLEMS",
    "SWEEPS",
    "Choice",
    "Setting",
    "Settings",
    "chosen",
    "rows",
]

#: Problem → its experiment, and the rcond of HIG there.
PROBLEMS: dict[str, tuple[ModuleType, float]] = {
    "oscillators": (oscillators, 1e-10),
    "nonlinear_oscillators": (nonlinear_oscillators, 1e-6),
    "quantum_dipole": (quantum_dipole, 1e-5),
    "poisson": (poisson, 1e-5),
}

#: What is changed → the label of its axis.
SWEEPS = {
    "kappa": "exponent κ [1]",
    "rcond": "cut-off of singular values, rcond [1]",
    "batch": "batch size $b$ [samples]",
    "width": "width of each hidden layer [units]",
    "damping": "λ, relative to tr $K/m$ [1]",
    "decay": "1 − μ [1]",
}

#: The exponent of half-inverse gradients.
HALF = -0.5

#: Learning rates of Adam to choose from.
_ADAM_RATES = (1e-3, 3e-3, 1e-2, 3e-2)

#: λ and μ of Levenberg–Marquardt and SPRING where they are not what is changed.
LM_DAMPING, SPRING_DAMPING, SPRING_DECAY = 1.0, 1e-7, 0.9


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


def _step(
    learning_rate: Any = 0.0, power: Any = HALF, rcond: Any = 0.0
) -> optax.GradientTransformationExtraArgs:
    return optax.chain(
        optim.scale_by_spectral(power=power, rcond=rcond),
        optax.scale_by_learning_rate(learning_rate),
    )


#: Kind → its transformation, by numbers that live in its state.
_MAKERS: dict[str, Any] = {
    "hig": optax.inject_hyperparams(_step),
    "adam": optax.inject_hyperparams(
        optax.adam, static_args=("b1", "b2", "eps", "eps_root")
    ),
    "spring": optax.inject_hyperparams(
        optim.spring,
        static_args=("learning_rate", "max_step", "iterations", "tolerance"),
    ),
    "levenberg_marquardt": optim.levenberg_marquardt,
}

#: What is compiled of a kind, whatever its numbers; of Levenberg–Marquardt that of the
#: problem. One function for all rows of a kind, so that their recipes are equal.
_COMPILED = {
    "hig": lambda batch_size: _MAKERS["hig"](),
    "adam": lambda batch_size: _MAKERS["adam"](0.0),
    "spring": lambda batch_size: _MAKERS["spring"](
        damping=SPRING_DAMPING, decay=SPRING_DECAY
    ),
}


class Choice(NamedTuple):
    """All that may be chosen but a learning rate.

    Attributes:
      kind: `hig` for the spectral step of any exponent, `adam`, `levenberg_marquardt`
        or `spring`.
      batch_size: samples an update.
      hidden: units of each hidden layer.
      numbers: hyperparameters of the kind: power and rcond, or damping and decay.
    """

    kind: str
    batch_size: int
    hidden: tuple[int, ...]
    numbers: Mapping[str, float]

    def changed(self, **numbers: float) -> "Choice":
        """The same with other hyperparameters."""
        return self._replace(numbers={**self.numbers, **numbers})

    def start(self, **rate: float) -> optax.GradientTransformation:
        """The transformation whose first state has these numbers in it."""
        return _MAKERS[self.kind](**self.numbers, **rate)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting(Row):
    """A row, with what was chosen.

    Attributes:
      choice: all of it.
      at: sweep → the value that this row has in it.
      rates: learning rates to choose from, relative where there is an exponent; none
        where the method finds its own step.
      largest: learner → σ_max of its first Jacobian, filled by training; one dict for
        all rows of a run.
    """

    choice: Choice
    at: Mapping[str, float]
    rates: tuple[float, ...] = ()
    largest: dict[Learner, float]

    @property
    def power(self) -> float | None:
        """κ, to which the rates are relative; None where they are absolute."""
        return self.choice.numbers.get("power")


@dataclasses.dataclass(frozen=True)
class _Build:
    """`build(settings, dtype)` with these hidden layers; equal where they are equal."""

    hidden: tuple[int, ...]

    def __call__(self, settings: Settings, dtype: jnp.dtype) -> Steering:
        module, _ = PROBLEMS[settings.problem]
        return module.build(module.Settings(hidden=self.hidden), dtype)


def rows(settings: Settings, options: RunOptions | None = None) -> dict[str, Setting]:
    """All settings by name, each once: where sweeps cross, they have one in common.

    Args:
      settings: what is compared.
      options: the batch size in them, where there is one, is that of all rows but
        those of the sweep `batch`.

    Raises:
      ValueError: for an unknown problem or invalid rates.
    """
    module, _ = PROBLEMS[check_known("problem", settings.problem, PROBLEMS)]
    for rates in (settings.rates, settings.near_rates):
        if not rates or min(rates) <= 0:
            raise ValueError(f"rates are {rates}; expected one or more, all > 0.")
    published = module.ROWS
    recipes = {kind: published[kind].recipe(module.Settings()) for kind in _MAKERS}
    asked = options and options.batch_size
    sizes = {kind: asked or recipe.batch_size for kind, recipe in recipes.items()}
    largest: dict[Learner, float] = {}
    found = {}
    for choices in (_spectral_choices, _damped_choices):
        for name, choice, at, rates in choices(settings, sizes):
            row, recipe = published[choice.kind], recipes[choice.kind]
            optimizer = _COMPILED.get(choice.kind, recipe.optimizer)
            recipe = dataclasses.replace(
                recipe, optimizer=optimizer, batch_size=choice.batch_size
            )
            found[name] = Setting(
                model=row.model,
                optimizer=name,
                build=_Build(choice.hidden),
                target=row.target,
                recipe=_given(recipe),
                own_batch=True,
                choice=choice,
                at=at,
                rates=rates,
                largest=largest,
            )
    return found


def _given(recipe: Recipe):
    return lambda settings: recipe


#: A name, its choice, its values in sweeps, and its rates.
_Named = Iterator[tuple[str, Choice, dict[str, float], tuple[float, ...]]]


def _spectral_choices(settings: Settings, sizes: Mapping[str, int]) -> _Named:
    """The exponents, what is changed at κ = −1/2, and Adam."""
    module, rcond = PROBLEMS[settings.problem]
    hidden, size = module.Settings().hidden, sizes["hig"]
    half = Choice("hig", size, hidden, {"power": HALF, "rcond": rcond})
    crossing: dict[str, float] = {"kappa": HALF, "rcond": rcond, "batch": size}
    crossing |= {"width": hidden[0]} if len(set(hidden)) == 1 else {}
    for power in sorted({*settings.powers, HALF}, reverse=True):
        at = crossing if power == HALF else {"kappa": power}
        yield f"kappa_{power:g}", half.changed(power=power), at, settings.rates
    near = settings.near_rates
    for cut in settings.rconds:
        if cut != rcond:
            yield f"rcond_{cut:g}", half.changed(rcond=cut), {"rcond": cut}, near
    for batch in settings.batches:
        if batch != size:
            choice = half._replace(batch_size=batch)
            yield f"batch_{batch}", choice, {"batch": batch}, near
    for width in settings.widths:
        if width != crossing.get("width"):
            choice = half._replace(hidden=(width,) * len(hidden))
            yield f"width_{width}", choice, {"width": width}, near
    yield "adam", Choice("adam", sizes["adam"], hidden, {}), {}, _ADAM_RATES


def _damped_choices(settings: Settings, sizes: Mapping[str, int]) -> _Named:
    """Levenberg–Marquardt and SPRING, by λ and by μ."""
    module, _ = PROBLEMS[settings.problem]
    hidden = module.Settings().hidden
    name = "levenberg_marquardt"
    damped = Choice(name, sizes[name], hidden, {"damping": LM_DAMPING})
    numbers = {"damping": SPRING_DAMPING, "decay": SPRING_DECAY}
    spring = Choice("spring", sizes["spring"], hidden, numbers)
    yield name, damped, {"damping": LM_DAMPING}, ()
    at = {"damping": SPRING_DAMPING, "decay": 1 - SPRING_DECAY}
    yield "spring", spring, at, ()
    for damping in settings.dampings:
        if damping != LM_DAMPING:
            choice = damped.changed(damping=damping)
            yield f"{name}_damping_{damping:g}", choice, {"damping": damping}, ()
    for damping in settings.dampings:
        if damping != SPRING_DAMPING:
            choice = spring.changed(damping=damping)
            yield f"spring_damping_{damping:g}", choice, {"damping": damping}, ()
    for decay in settings.decays:
        if decay != SPRING_DECAY:
            choice = spring.changed(decay=decay)
            yield f"spring_decay_{decay:g}", choice, {"decay": 1 - decay}, ()


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
