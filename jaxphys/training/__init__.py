"""One train step for every optimizer, and a loop that knows budgets, clocks and disks.

| module | what is in it |
|---|---|
| `step` | `make_train_step`, what it carries and reports, many trainings side by side |
| `loop` | the compiled loop over batches, and updates that are left out |
| `journal` | when to evaluate, the history, divergence, early stopping |
| `storage` | checkpoints: how often, and what may go on from one |
| `fit` | `Trainer` and `fit`: a budget, a progress bar, signals |
"""

from jaxphys.training._blas import one_blas_thread
from jaxphys.training.fit import HALVINGS, Budget, Fit, Trainer, fit
from jaxphys.training.journal import DIVERGED, NOT_FINITE, EarlyStopping, Looks
from jaxphys.training.loop import Skips, make_loop, no_skips, skip_update
from jaxphys.training.step import (
    Info,
    TrainState,
    best_of,
    init_side_by_side,
    init_state,
    make_evaluate,
    make_train_step,
    side_by_side,
)
from jaxphys.training.storage import Storage

__all__ = [
    "DIVERGED",
    "HALVINGS",
    "NOT_FINITE",
    "Budget",
    "EarlyStopping",
    "Fit",
    "Info",
    "Looks",
    "Skips",
    "Storage",
    "TrainState",
    "Trainer",
    "best_of",
    "fit",
    "init_side_by_side",
    "init_state",
    "make_evaluate",
    "make_loop",
    "make_train_step",
    "no_skips",
    "one_blas_thread",
    "side_by_side",
    "skip_update",
]
