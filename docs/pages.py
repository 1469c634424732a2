"""Pages that are made of records: systems, models, experiments, names of the API.

`python docs/pages.py` writes them; a test compares what is stored with what this makes.
The equations are in `equations.py`, all else comes from the records themselves, from
docstrings, and from the results that the benchmarks keep. A page of the API is written
by hand, but for its list of names.
"""

import functools
import importlib
import inspect
import pathlib
import re

import equations
import numpy as np

from benchmarks import report
from jaxphys import experiments, models, systems
from jaxphys.commands.simulation.constants import summary

__all__ = ["PAGES", "main"]

DOCS = pathlib.Path(__file__).parent
_GENERATED = "<!-- Written by `python docs/pages.py`; change the records it reads. -->"

#: No other page is beside these: what a navigation would take is left to their tables.
_FRONT = ["---", "hide:", "  - navigation", "---", ""]


def _symbol(name: str) -> str:
    return f"${name}$"


def _prose(text: str) -> str:
    """Text of a docstring, its p_i and x^(1/2) outside of code lowered and raised."""
    parts = re.split(r"(`[^`]*`)", text)
    for i in range(0, len(parts), 2):
        lowered = r"\1<sub>\2\3</sub>"
        part = re.sub(r"\b(\w)_(?:\{([^}]+)\}|([A-Za-zα-ω]+))", lowered, parts[i])
        parts[i] = re.sub(r"\^\(([^)]+)\)", r"<sup>\1</sup>", part)
    return "".join(parts)


def _constants(system) -> str:
    """The constants with their defaults."""
    cells = []
    for name, value in system.params._asdict().items():
        numbers = np.ravel(value)
        shown = ", ".join(f"{number:g}" for number in numbers)
        cells.append(
            f"`{name}` {shown}" if np.ndim(value) == 0 else f"`{name}` ({shown})"
        )
    return ", ".join(cells)


def _coordinates(system) -> str:
    """Each coordinate with its unit; of a chain the first and the last."""
    pairs = list(zip(system.coordinates, system.units, strict=True))
    shown = [
        _symbol(name) + ("" if unit == "1" else f" [{unit}]") for name, unit in pairs
    ]
    if len(shown) > 6:
        return f"{shown[0]} … {shown[-1]}, n = {len(shown)}"
    return ", ".join(shown)


def _aligned(hamiltonian: str, lagrangian: str) -> list[str]:
    lines = rf"H &= {hamiltonian} \\[2pt] L &= {lagrangian}"
    return ["$$", rf"\begin{{aligned}} {lines} \end{{aligned}}", "$$"]


def systems_page() -> str:
    """Every system: energies, coordinates, constants, a picture."""
    lines = [
        *_FRONT,
        "# Systems",
        "",
        _GENERATED,
        "",
        "Mechanical systems by name. `systems.get(name)`, or a function of its",
        "constants such as `systems.double_pendulum(mass2=2.0)`, gives a record of",
        "both energies, constants, and a sampler of initial states; `jaxphys simulate",
        "NAME` makes its motion, figures and an animation. How to add one is shown in",
        "[Contributing](contributing.md#add-a-system).",
        "",
        "```python",
        "import jax",
        "from jaxphys import mechanics, systems",
        "",
        "swing = systems.double_pendulum(mass2=2.0)",
        "q, v = swing.sample_tangent(jax.random.key(0))",
        "accelerate = mechanics.acceleration(swing.lagrangian)",
        "print(accelerate(swing.params, q, v))",
        "```",
        "",
        "| system | what it is |",
        "|---|---|",
    ]
    for name in systems.names():
        what = _prose(summary(getattr(systems, name).__doc__ or ""))
        lines.append(f"| [`{name}`](#{name}) | {what.replace('|', chr(92) + '|')} |")
    lines += [
        "",
        "Below, p is the momentum that belongs to each coordinate. *Separable*",
        "energies, H = T(p) + V(q), take the explicit symplectic steps.",
        "",
    ]
    for name in systems.names():
        system, own = systems.get(name), equations.SYSTEMS[name]
        doc = inspect.cleandoc(getattr(systems, name).__doc__ or "")
        lines += [f"## `{name}` {{#{name}}}", "", _prose(summary(doc)), ""]
        lines += _aligned(own.hamiltonian, own.lagrangian)
        if own.where:
            lines += ["", f"with {own.where}."]
        angles = [
            _symbol(symbol)
            for symbol, turns in zip(system.coordinates, system.periodic, strict=True)
            if turns
        ]
        lines += [
            "",
            f"- Coordinates: {_coordinates(system)}"
            + (f"; angles: {', '.join(angles)}" if angles else ""),
            f"- Constants: {_constants(system)}",
            f"- H is {'separable' if system.separable else 'not separable'}; followed "
            f"for {system.duration:g} by steps of {system.dt:g}",
            "",
            f"![Motion of {name}](figures/systems/{name}.png){{ loading=lazy }}",
            "",
        ]
    lines += [
        "## The pictures",
        "",
        "One motion each from a random state: the coordinates in time, and the path of",
        "its points in the plane, or the phase space where it has none.",
        "",
        "```console",
        "$ python docs/figures.py systems",
        "```",
    ]
    return "\n".join(lines) + "\n"


def models_page() -> str:
    """Every model: equation, guarantee, source, experiments."""
    lines = [
        *_FRONT,
        "# Models",
        "",
        _GENERATED,
        "",
        "What is learned is an energy, a Lagrangian or a field; all else follows from",
        "it by differentiation. Which one fits your data is a",
        "[guide of its own](guides/which_model.md). Each row of",
        "[Experiments](experiments.md) compares some of them with what was published.",
        "",
        "```python",
        "from jaxphys import models, systems",
        "",
        "arm = systems.double_pendulum()",
        "model = models.delan(2, hidden=(32, 32), periodic=arm.periodic)",
        "dynamics = models.lagrangian_dynamics(model)  # what `learning.learn` takes",
        "```",
        "",
        "Networks of your own are taken in place of the perceptrons: `own=` of `hnn`",
        "and `lnn`, `models.from_equinox`, `from_nnx`, `from_linen`.",
        "",
    ]
    for name, own in equations.MODELS.items():
        doc = _prose(summary(inspect.getdoc(getattr(models, name)) or ""))
        runs = ", ".join(f"[`{run}`](experiments.md#{run})" for run in own.experiments)
        lines += [f"## `{name}` {{#{name}}}", "", doc, "", "$$", own.equation, "$$", ""]
        lines += [f"- **Holds for any weights.** {own.guarantee}"]
        lines += [f"- **Source.** {own.source}"]
        lines += [f"- **Experiments.** {runs}"] if runs else []
        lines += [f"- **Call.** [`models.{name}`](api/models.md)", ""]
    return "\n".join(lines)


_PICTURES = {
    "oscillators": "oscillators.png",
    "nonlinear_oscillators": "nonlinear_oscillators.png",
    "quantum_dipole": "quantum_dipole_motion.png",
    "poisson": "poisson_fields.png",
    "heat": "heat.png",
    "waves": "waves.png",
    "rotated_sine": "rotated_sine.png",
    "exponential": "exponential.png",
    "van_der_pol": "van_der_pol_motion.png",
    "swing_up": "swing_up_motion.png",
    "ablations": "ablations.png",
    "logistic": "logistic_solution.png",
    "burgers": "burgers_solution.png",
}


def _room(experiment) -> str:
    """The docstring of the experiment's module."""
    place = inspect.getmodule(experiment.settings)
    return inspect.cleandoc((place.__doc__ if place else "") or "")


def experiments_page() -> str:
    """Every experiment: what it is, its command, what was published and reached."""
    tables = report.experiment_tables()
    questions = experiments.by_question()
    lines = [
        *_FRONT,
        "# Experiments",
        "",
        _GENERATED,
        "",
        "Each is one command, which leaves a table, `results.json` and figures in",
        "`runs/`. The tables here are what the benchmarks reached, beside the",
        "published figures; settings, machines and dates are in the",
        "[benchmarks](benchmarks.md).",
        "",
        "```console",
        "$ jaxphys run oscillators --method adam hig levenberg_marquardt --seconds 15",
        "$ jaxphys run mass_spring --seeds 5",
        "$ jaxphys run NAME --help      # all settings of an experiment",
        "```",
        "",
        "| experiment | what it does |",
        "|---|---|",
    ]
    lines += [
        f"| [`{name}`](#{name}) | {experiments.get(name).summary} |"
        for name in experiments.names()
    ]
    lines.append("")
    for question, names in questions.items():
        lines += [f"## {question[0].upper()}{question[1:]}?", ""]
        for name in names:
            experiment = experiments.get(name)
            lines += [f"### `{name}` {{#{name}}}", "", _prose(_room(experiment)), ""]
            lines += ["```console", f"$ jaxphys run {name}", "```", ""]
            for key in tables:
                if key == name or re.fullmatch(rf"{name}_(\d|many|seeds|tanh)", key):
                    lines += [*tables[key], ""]
            if name in _PICTURES:
                lines += [f"![{name}]({_PICTURES[name]}){{ loading=lazy }}", ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


_NAMES = "<!-- Names, written by `python docs/pages.py` from the docstrings. -->"


def _names_of(module_name: str) -> list[str]:
    """A line for each public function and class of a module."""
    module, lines = importlib.import_module(module_name), []
    for name in module.__all__:
        thing = getattr(module, name)
        own = getattr(thing, "__module__", "").startswith("jaxphys")
        if own and callable(thing) and hasattr(thing, "__name__"):
            # Outside of code Markdown reads a star as emphasis, and < as HTML.
            parts = summary(thing.__doc__ or "").split("`")
            parts[::2] = [re.sub(r"([*<\[_])", r"\\\1", part) for part in parts[::2]]
            lines.append(f"- `{name}`: {'`'.join(parts)}")
    return lines


def api_page(path: pathlib.Path) -> str:
    """A page of the API with the names of its modules, for readers of the Markdown."""
    text = path.read_text(encoding="utf-8")
    written = re.compile(rf"{re.escape(_NAMES)}\n.*?(?=\n:::|\n## )", re.DOTALL)
    text = written.sub("", text)
    head, mark, rest = text.partition("\n:::")
    modules = re.findall(r"(?m)^::: (\S+)", mark + rest)
    lines = [_NAMES, ""]
    for module in modules:
        # What is below a package that is shown is imported from there.
        if not any(module.startswith(f"{other}.") for other in modules):
            own = _names_of(module)
            lines += [f"`{module}`:", "", *own, ""] if own else []
    return f"{head.rstrip()}\n\n" + "\n".join(lines) + mark + rest


#: File → what makes it.
PAGES = {
    "systems.md": systems_page,
    "models.md": models_page,
    "experiments.md": experiments_page,
    **{
        f"api/{path.name}": functools.partial(api_page, path)
        for path in sorted((DOCS / "api").glob("*.md"))
    },
}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
