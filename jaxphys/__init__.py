"""jaxphys: differentiable physics in JAX, and networks that learn from and through it.

A small functional library. An idea is one function, and a method is a composition:

    HNN = network ∘ hamiltonian_vector_field ∘ derivative loss ∘ any optimizer
    LNN = network ∘ acceleration             ∘ derivative loss ∘ any optimizer
    HIG = any problem's outputs ∘ spectral step

| namespace | what is there |
|---|---|
| `types` | states, energies and the records `System`, `Model`, `Dynamics`, `Problem` |
| `mechanics` | equations of motion of a Hamiltonian or a Lagrangian |
| `integrators`, `ode` | steps of fixed length, `rollout`; adaptive integration |
| `systems` | mechanical systems by name |
| `models` | networks, Hamiltonian and Lagrangian networks |
| `problems` | simulators to train through, motions to learn |
| `optim`, `linalg` | second-order optimizers, and their linear algebra |
| `motion` | trajectories of systems and of learned motions |
| `data` | trajectories from files, and the samples of a training |
| `training`, `learning` | the training loop, and recipes for learning a motion |
| `metrics`, `plots` | errors of a motion, figures |
| `devices` | many devices, and many processes |
| `checkpoint` | training states and models on disk |
| `experiments` | published experiments, also by the command `jaxphys run` |
| `commands` | what the command `jaxphys` does, as functions: fit, simulate, … |
| `doctor` | what is wrong with the gradient of a function, and where |
| `compare` | a function: methods side by side on a problem of your own |
| `check` | a function: the doctor's examination of a function of your own |

A namespace is imported when it is first used, so `import jaxphys` does not import JAX.

Example:
  >>> import jaxphys
  >>> jaxphys.systems.double_pendulum.params.gravity
  9.8
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxphys import (
        checkpoint,
        commands,
        curvature,
        data,
        devices,
        doctor,
        experiments,
        integrators,
        learning,
        linalg,
        losses,
        mechanics,
        metrics,
        models,
        motion,
        ode,
        optim,
        plots,
        precision,
        problems,
        roots,
        scalars,
        systems,
        training,
        trees,
        types,
    )
    from jaxphys.doctor import check
    from jaxphys.experiments.comparing import compare

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "check",
    "checkpoint",
    "commands",
    "compare",
    "curvature",
    "data",
    "devices",
    "doctor",
    "experiments",
    "integrators",
    "learning",
    "linalg",
    "losses",
    "mechanics",
    "metrics",
    "models",
    "motion",
    "ode",
    "optim",
    "plots",
    "precision",
    "problems",
    "roots",
    "scalars",
    "systems",
    "training",
    "trees",
    "types",
]


#: What stands beside the namespaces, and where it is defined.
_FUNCTIONS = {"check": "doctor", "compare": "experiments.comparing"}


# Hidden from type checkers, which would take any attribute for known.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A namespace, imported when it is first used (PEP 562)."""
        if name in _FUNCTIONS:
            module = importlib.import_module(f"jaxphys.{_FUNCTIONS[name]}")
            return globals().setdefault(name, getattr(module, name))
        # The import sets the attribute, so this is called once for each name.
        if name in __all__:
            return importlib.import_module(f"jaxphys.{name}")
        raise AttributeError(f"module 'jaxphys' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
