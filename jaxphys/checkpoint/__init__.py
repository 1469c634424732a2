"""What is kept on disk: training states, and models that were trained.

| module | what is in it |
|---|---|
| `states` | training states, to go on from: `save`, `restore` |
| `learned` | models with their weights, to be used: `save_model`, `load` |
| `exported` | motions that JAX alone runs: `export_motion` |

All are written whole or not at all, and hold numbers and JSON, from which nothing is
run.
"""

from jaxphys.checkpoint.exported import EXPORT_FORMAT, PLATFORMS, export_motion
from jaxphys.checkpoint.learned import FORMAT, KINDS, Learned, build, load, save_model
from jaxphys.checkpoint.states import (
    STATE_FORMAT,
    clear,
    exists,
    latest_step,
    restore,
    save,
)

__all__ = [
    "EXPORT_FORMAT",
    "FORMAT",
    "KINDS",
    "PLATFORMS",
    "STATE_FORMAT",
    "Learned",
    "build",
    "clear",
    "exists",
    "export_motion",
    "latest_step",
    "load",
    "restore",
    "save",
    "save_model",
]
