"""`jaxphys list`: what can be run, fitted and simulated, by question."""

from jaxphys import experiments, systems
from jaxphys.commands.fitting import MODELS
from jaxphys.commands.simulation.constants import summary
from jaxphys.experiments.comparing import METHODS

__all__ = ["listing"]


def listing(experiment: str | None = None) -> str:
    """All experiments by question, all models and all systems, one line each.

    Args:
      experiment: the name of one, whose methods are listed in place of all that.

    Raises:
      ValueError: for an unknown name, with the known ones and the nearest match.

    Example:
      >>> print(listing().splitlines()[1])
        oscillators           steer coupled oscillators back to where they started
      >>> print(listing("two_body").splitlines()[1])
        methods: mlp, hnn, hnn_levenberg_marquardt
    """
    if experiment is not None:
        found = experiments.get(experiment)
        rows = found.of("rows", found.settings())
        return "\n".join(
            [
                _line(experiment, found.summary).strip(),
                f"  methods: {', '.join(rows)}",
                f"  jaxphys run {experiment} --help lists its options.",
            ]
        )
    lines = []
    for question, names in experiments.by_question().items():
        lines.append(f"{question}? jaxphys run NAME")
        lines += [_line(name, experiments.get(name).summary) for name in names]
        lines.append("")
    lines.append("what is the law of my measurements? jaxphys fit MODEL --data FILE")
    lines += [_line(name, what) for name, what in MODELS.items()]
    lines += ["", "how does it move? jaxphys simulate SYSTEM"]
    lines.append("which constants has it? jaxphys identify SYSTEM --data FILE")
    for name in systems.names():
        lines.append(_line(name, summary(getattr(systems, name).__doc__ or "")))
    lines += ["", "jaxphys list NAME lists the methods of an experiment, such as"]
    lines.append(f"{', '.join(METHODS)}.")
    return "\n".join(lines)


def _line(name: str, what: str) -> str:
    return f"  {name:<21} {what}"
