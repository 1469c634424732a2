"""What a person types after `jaxphys`, each also a function for a notebook.

| function | command | what it does |
|---|---|---|
| `listing` | `jaxphys list` | what can be run, fitted and simulated |
| `completion` | `jaxphys completion` | a script for bash or zsh |
| `show` | `--show` | opens figures |
| `run` | `jaxphys run` | a published experiment: every method side by side |
| `fit` | `jaxphys fit` | a motion from somebody's own measurements |
| `fit_laws` | `jaxphys fit auto` | which law: several fitted and ranked |
| `look` | `jaxphys fit --dry-run` | what these measurements are like |
| `identify_constants` | `jaxphys identify` | constants of a known law |
| `predict` | `jaxphys predict` | the motion of a fitted model or law from a state |
| `load_law` | | a law of `identify` with its constants, from its directory |
| `export` | `jaxphys export` | what was fitted, as a file that JAX alone runs |
| `simulate` | `jaxphys simulate` | a system by name: trajectories and figures |
| `plot` | `jaxphys plot` | the comparison of stored runs |
| `check_function` | `jaxphys check` | what is wrong with a function's gradient |

Each prints what the command prints and writes what it writes. Their options are
`RunOptions`, `FitOptions` and `SimulateOptions`; what `fit` and `simulate` are made of
is in `jaxphys.commands.fitting` and `jaxphys.commands.simulation`.
"""

from jaxphys.commands.checking import CheckOptions, check_function
from jaxphys.commands.completion import completion
from jaxphys.commands.exporting import ExportOptions, export
from jaxphys.commands.fitting import Chosen, FitOptions, Fitted, fit, fit_laws, look
from jaxphys.commands.identifying import (
    Identification,
    IdentifyOptions,
    identify_constants,
)
from jaxphys.commands.laws import load_law
from jaxphys.commands.listing import listing
from jaxphys.commands.plotting import plot
from jaxphys.commands.predicting import Predicted, PredictOptions, predict
from jaxphys.commands.showing import show
from jaxphys.commands.simulation import Simulated, SimulateOptions, simulate
from jaxphys.experiments import Run, RunOptions, run

__all__ = [
    "CheckOptions",
    "Chosen",
    "ExportOptions",
    "FitOptions",
    "Fitted",
    "Identification",
    "IdentifyOptions",
    "PredictOptions",
    "Predicted",
    "Run",
    "RunOptions",
    "SimulateOptions",
    "Simulated",
    "check_function",
    "completion",
    "export",
    "fit",
    "fit_laws",
    "identify_constants",
    "listing",
    "load_law",
    "look",
    "plot",
    "predict",
    "run",
    "show",
    "simulate",
]
