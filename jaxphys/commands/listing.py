"""`jaxphys list`: what can be run, fitted and simulated."""

from jaxphys import experiments, systems
from jaxphys.commands.fitting import MODELS
from jaxphys.commands.simulation.constants import summary

__all__ = ["listing"]


def listing() -> str:
    """All experiments with their methods, all models and all systems, as text.

    Example:
      >>> print(listing().splitlines()[1])
        oscillators           steer coupled oscillators back to where they started
    """
    lines = ["experiments, for jaxphys run:"]
    for name in experiments.names():
        experiment = experiments.get(name)
        rows = experiment.of("rows", experiment.settings())
        lines.append(_line(name, experiment.summary))
        lines.append(_line("", f"methods: {', '.join(rows)}"))
    lines += ["", "models, for jaxphys fit:"]
    lines += [_line(name, what) for name, what in MODELS.items()]
    lines += ["", "systems, for jaxphys simulate:"]
    for name in systems.names():
        lines.append(_line(name, summary(getattr(systems, name).__doc__ or "")))
    return "\n".join(lines)


def _line(name: str, what: str) -> str:
    return f"  {name:<21} {what}"
