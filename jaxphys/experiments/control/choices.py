"""All that may be chosen of a method, and how it begins with what was chosen.

Hyperparameters live in the optimizer's state, so that rows which differ in these alone
share a compilation and begin with another state.
"""

import dataclasses
from collections.abc import Callable, Mapping
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
from jaxphys.experiments.experiment import Row
from jaxphys.learning import Learner, Recipe

__all__ = ["HALF", "NUMBERS", "PROBLEMS", "Build", "Choice", "Setting", "recipe_of"]

#: Problem → its experiment, and the rcond of HIG there.
PROBLEMS: dict[str, tuple[ModuleType, float]] = {
    "oscillators": (oscillators, 1e-10),
    "nonlinear_oscillators": (nonlinear_oscillators, 1e-6),
    "quantum_dipole": (quantum_dipole, 1e-5),
    "poisson": (poisson, 1e-5),
}

#: The exponent of half-inverse gradients.
HALF = -0.5

#: Kind → its hyperparameters where they are not what is changed.
NUMBERS: dict[str, Mapping[str, float]] = {
    "hig": {"power": HALF, "rcond": 0.0},
    "adam": {},
    "levenberg_marquardt": {"damping": 1.0},
    "spring": {"damping": 1e-7, "decay": 0.9},
}


def _spectral(
    learning_rate: Any, power: Any, rcond: Any
) -> optax.GradientTransformationExtraArgs:
    return optax.chain(
        optim.scale_by_spectral(power=power, rcond=rcond),
        optax.scale_by_learning_rate(learning_rate),
    )


def _adam(learning_rate: Any) -> optax.GradientTransformation:
    return optax.adam(learning_rate)


def _spring(damping: Any, decay: Any) -> optax.GradientTransformationExtraArgs:
    return optim.spring(damping=damping, decay=decay)


#: Kind → its transformation, by numbers that live in its state.
_MAKERS: dict[str, Any] = {
    "hig": optax.inject_hyperparams(_spectral),
    "adam": optax.inject_hyperparams(_adam),
    "levenberg_marquardt": optim.levenberg_marquardt,
    "spring": optax.inject_hyperparams(_spring),
}

#: What is compiled of a kind, whatever its numbers; of Levenberg–Marquardt that of the
#: problem. One function for all rows of a kind, so that their recipes are equal.
_COMPILED = {
    "hig": lambda batch_size: _MAKERS["hig"](learning_rate=0.0, **NUMBERS["hig"]),
    "adam": lambda batch_size: _MAKERS["adam"](learning_rate=0.0),
    "spring": lambda batch_size: _MAKERS["spring"](**NUMBERS["spring"]),
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

    def value(self, field: str) -> Any:
        """One of the hyperparameters, or of the other fields."""
        return self.numbers[field] if field in self.numbers else getattr(self, field)

    def changed(self, field: str, value: Any) -> "Choice":
        """The same with another value of one of these."""
        if field in self.numbers:
            return self._replace(numbers={**self.numbers, field: value})
        return self._replace(**{field: value})

    def start(self, **rate: float) -> optax.GradientTransformation:
        """The transformation whose first state has these numbers in it."""
        return _MAKERS[self.kind](**self.numbers, **rate)


@dataclasses.dataclass(frozen=True)
class Build:
    """`build(settings, dtype)` of a problem; equal where the hidden layers are."""

    hidden: tuple[int, ...]

    def __call__(self, settings: Any, dtype: jnp.dtype) -> Steering:
        module, _ = PROBLEMS[settings.problem]
        return module.build(module.Settings(hidden=self.hidden), dtype)


def recipe_of(choice: Choice, published: Recipe) -> Callable[[Any], Recipe]:
    """`recipe(settings)`: a problem's own, compiled for any numbers of its kind."""
    recipe = dataclasses.replace(
        published,
        optimizer=_COMPILED.get(choice.kind, published.optimizer),
        batch_size=choice.batch_size,
    )
    return lambda settings: recipe


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
