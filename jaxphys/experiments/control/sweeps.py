"""One choice after another is swept, all others left as they are: each value a row."""

from typing import Any, NamedTuple

from jaxphys.experiments.control.choices import (
    HALF,
    NUMBERS,
    PROBLEMS,
    Build,
    Choice,
    Setting,
    recipe_of,
)
from jaxphys.experiments.experiment import RunOptions
from jaxphys.learning import Learner
from jaxphys.names import check_known

__all__ = ["SWEEPS", "Sweep", "rows"]


class Sweep(NamedTuple):
    """What is changed.

    Attributes:
      label: of its axis.
      values: the attribute of the settings that has the values.
      field: what `Choice` calls it.
    """

    label: str
    values: str
    field: str


SWEEPS = {
    "kappa": Sweep("exponent κ [1]", "powers", "power"),
    "rcond": Sweep("cut-off of singular values, rcond [1]", "rconds", "rcond"),
    "batch": Sweep("batch size $b$ [samples]", "batches", "batch_size"),
    "width": Sweep("width of each hidden layer [units]", "widths", "hidden"),
    "damping": Sweep("λ, relative to tr $K/m$ [1]", "dampings", "damping"),
    "decay": Sweep("1 − μ [1]", "decays", "decay"),
}

#: The rows in their order: a kind, and a sweep of it, or none for the kind as it is.
_ORDER = (
    ("hig", "kappa"),
    ("hig", "rcond"),
    ("hig", "batch"),
    ("hig", "width"),
    ("adam", ""),
    ("levenberg_marquardt", ""),
    ("spring", ""),
    ("levenberg_marquardt", "damping"),
    ("spring", "damping"),
    ("spring", "decay"),
)

#: Learning rates of Adam to choose from.
_ADAM_RATES = (1e-3, 3e-3, 1e-2, 3e-2)


def rows(settings: Any, options: RunOptions | None = None) -> dict[str, Setting]:
    """All settings by name, each once: where sweeps cross, they have one in common.

    Args:
      settings: of `ablations`.
      options: the batch size in them, where there is one, is that of all rows but
        those of the sweep `batch`.

    Raises:
      ValueError: for an unknown problem or invalid rates.
    """
    module, rcond = PROBLEMS[check_known("problem", settings.problem, PROBLEMS)]
    for rates in (settings.rates, settings.near_rates):
        if not rates or min(rates) <= 0:
            raise ValueError(f"rates are {rates}; expected one or more, all > 0.")
    own, asked = module.Settings(), options and options.batch_size
    published = {kind: module.ROWS[kind].recipe(own) for kind in NUMBERS}
    bases = {
        kind: Choice(kind, asked or recipe.batch_size, own.hidden, NUMBERS[kind])
        for kind, recipe in published.items()
    }
    bases["hig"] = bases["hig"].changed("rcond", rcond)
    rates_of = {"hig": settings.near_rates, "adam": _ADAM_RATES}
    largest: dict[Learner, float] = {}
    found: dict[str, Setting] = {}
    for kind, sweep in _ORDER:
        rates = settings.rates if sweep == "kappa" else rates_of.get(kind, ())
        for name, choice in _choices(bases[kind], sweep, settings).items():
            found[name] = Setting(
                model=module.ROWS[kind].model,
                optimizer=name,
                build=Build(choice.hidden),
                target=module.ROWS[kind].target,
                recipe=recipe_of(choice, published[kind]),
                own_batch=True,
                choice=choice,
                at=_at(choice, bases[kind], sweep),
                rates=rates,
                largest=largest,
            )
    return found


def _choices(base: Choice, sweep: str, settings: Any) -> dict[str, Choice]:
    """Name → the base as it is, or with each value of a sweep that is not its own."""
    if not sweep:
        return {base.kind: base}
    values = getattr(settings, SWEEPS[sweep].values)
    if sweep == "kappa":
        values = sorted({*values, HALF}, reverse=True)
    prefix = sweep if base.kind == "hig" else f"{base.kind}_{sweep}"
    found = {}
    for value in values:
        changed = (value,) * len(base.hidden) if sweep == "width" else value
        choice = base.changed(SWEEPS[sweep].field, changed)
        # The base has a row already; of HIG it is that of its exponent.
        if choice != base or sweep == "kappa":
            number = f"{value:g}" if isinstance(value, float) else f"{value}"
            found[f"{prefix}_{number}"] = choice
    return found


def _at(choice: Choice, base: Choice, sweep: str) -> dict[str, float]:
    """Sweep → the place on its axis; of the base in all sweeps of its kind."""
    crossing = [swept for kind, swept in _ORDER if kind == base.kind and swept]
    found = {}
    for name in crossing if choice == base else [sweep]:
        value = choice.value(SWEEPS[name].field)
        if name == "width":
            if len(set(value)) > 1:
                continue  # layers of several widths are nowhere on the axis
            value = value[0]
        found[name] = 1 - value if name == "decay" else value
    return found
