"""Learning a motion from somebody's own measurements.

| module | what is in it |
|---|---|
| `options` | `MODELS`, what can be fitted, and `FitOptions`, how |
| `prepare` | from a file to data that are ready, and to a recipe and a model for them |
| `judge` | `Follower`: a model's motion beside what was measured |
| `report` | report.json, the report for people, and the figures |
| `pages` | report.html, all of it on one page |
| `resuming` | `stored`, the options of a fit that goes on |
| `choosing` | which law: several fitted, ranked, and one recommended |
| `command` | all of it in a row |
"""

from jaxphys.commands.fitting.choosing import AUTO, Chosen, fit_laws
from jaxphys.commands.fitting.command import Fitted, fit, look
from jaxphys.commands.fitting.judge import Follower
from jaxphys.commands.fitting.options import MODELS, FitOptions
from jaxphys.commands.fitting.prepare import (
    Prepared,
    arguments_of,
    columns_of,
    prepare,
    read_measured,
    recipe_of,
)
from jaxphys.commands.fitting.resuming import stored

__all__ = [
    "AUTO",
    "MODELS",
    "Chosen",
    "FitOptions",
    "Fitted",
    "Follower",
    "Prepared",
    "arguments_of",
    "columns_of",
    "fit",
    "fit_laws",
    "look",
    "prepare",
    "read_measured",
    "recipe_of",
    "stored",
]
