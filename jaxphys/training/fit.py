"""Training until a budget is spent, watched from outside a compiled loop.

A `Trainer` owns what it compiled and serves many seeds; `fit` is one training with a
trainer of its own. Between two chunks of steps the clock is read, losses are evaluated
when due, the bar moves, the state goes to disk, and a signal is heeded.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
from tqdm import tqdm

from jaxphys import checks, devices, stopping
from jaxphys import data as datasets
from jaxphys.training._blas import one_blas_thread
from jaxphys.training.journal import CHUNK_SECONDS, Journal, Looks, shown_loss, verdict
from jaxphys.training.loop import make_loop, no_skips
from jaxphys.training.step import TrainState
from jaxphys.training.storage import Disk, Storage
from jaxphys.types import Array, PyTree

__all__ = ["CURE", "HALVINGS", "Budget", "Fit", "Trainer", "fit"]

#: How often the rate is halved where an update or a loss is not finite.
HALVINGS = 12
#: What to try where that does not help.
CURE = (
    "Try a smaller rate, more damping or a larger rcond, float64, or a smaller time "
    "step of the simulator."
)


class Budget(NamedTuple):
    """When to stop: exactly one of steps, epochs and seconds of training time."""

    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None

    def check(self) -> "Budget":
        """This budget, or a ValueError where it is invalid."""
        given = {k: v for k, v in self._asdict().items() if v is not None}
        if len(given) != 1:
            raise ValueError(
                f"got the budgets {given or 'none'}; expected exactly one of steps, "
                "epochs and seconds."
            )
        ((name, value),) = given.items()
        checks.check_positive(name, value)
        if name == "steps":
            checks.check_count(name, value)
        return self

    def in_steps(self, batches: int) -> int | None:
        """The number of updates, or None where the clock decides."""
        if self.steps is not None:
            return int(self.steps)
        return None if self.epochs is None else math.ceil(self.epochs * batches)


class Fit(NamedTuple):
    """What `fit` leaves.

    Attributes:
      state: the last state; the best one where training diverged or stopped early.
      history: one dict a look: step, epoch, seconds, and the evaluation's losses.
      seconds: training time, without compilation and evaluation.
      compile_seconds: time to compile the training loop.
      status: "finished", "diverged" or "interrupted".
      message: what happened, in words.
    """

    state: TrainState
    history: list[dict[str, float]]
    seconds: float
    compile_seconds: float
    status: str
    message: str

    @property
    def verdict(self) -> str:
        """What the loss did, and what to do about it: "still falling: more time …".

        One of stuck where it began, worse than at the start, still falling, converged,
        stalled; with the updates that were skipped. Empty without losses.
        """
        return verdict(self.history, int(self.state.step))


class Trainer:
    """A train step with the loop that is compiled for it, for any number of trainings.

    Args:
      step: `step(state, batch) -> (state, Info)`, from `make_train_step`.
      batch_size: samples an update; must divide the data.
      skips: how many updates in a row, and how many looks, may fail to be finite. Such
        an update is left out: the weights stay, a damped method damps more. Where there
        may be some, the history counts them as `skipped`, and a loss that is not finite
        stands in it as `NOT_FINITE`.

    Example:
      >>> import optax
      >>> from jaxphys import losses, training
      >>> tx = optax.sgd(0.1)
      >>> outputs = lambda w, x: w * x
      >>> step = training.make_train_step(outputs, losses.squared_error, tx)
      >>> trainer = Trainer(step, batch_size=4)
      >>> pair = (jnp.ones((8, 1)), jnp.full((8, 1), 3.0))
      >>> for weight in (0.0, 5.0):
      ...     start = training.init_state(jnp.full(1, weight), tx)
      ...     fit = trainer.fit(start, pair, Budget(epochs=20), progress=False)
      ...     print(fit.status, fit.state.params.round(2))
      finished [3.]
      finished [3.]
    """

    def __init__(self, step: Callable, batch_size: int, *, skips: int = 0):
        self.batch_size = checks.check_count("batch_size", batch_size)
        self.skips = checks.check_count("skips", skips, 0)
        self._loop = make_loop(step, self.batch_size, self.skips)
        # Compiled for the first training that needs it.
        self._slowed_loop = make_loop(step, self.batch_size, self.skips, slowed=True)

    def fit(
        self,
        state: TrainState,
        data: tuple[PyTree, PyTree],
        budget: Budget,
        *,
        key: Array | None = None,
        looks: Looks | None = None,
        storage: Storage | None = None,
        progress: bool | str = True,
    ) -> Fit:
        """Train from one state; the arguments are those of `jaxphys.training.fit`."""
        budget = budget.check()
        batches = datasets.num_batches(data, self.batch_size)
        datasets.check_finite(data)
        about = {
            "samples": datasets.num_samples(data),
            "batch_size": self.batch_size,
            "order": None if key is None else jax.random.key_data(key).tolist(),
        }
        disk = Disk(storage, about)
        training = _Training(self, state, batches, budget, looks, disk)
        if training.finished:
            return training.ended()
        try:
            training.compile(devices.whole(jax.tree.map(_array, data)), key)
            with one_blas_thread():
                training.run(progress)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if not _out_of_memory(error):
                raise
            training.out_of_memory(error)
        return training.ended()


class _Training:
    """One training as it goes on: state, clock, journal and disk."""

    def __init__(self, trainer, state, batches, budget, looks, disk):
        self.loops, self.skips = (trainer._loop, trainer._slowed_loop), trainer.skips
        self.state, self.budget, self.disk = state, budget, disk
        self.limit = budget.in_steps(batches)
        self.journal = Journal(looks or Looks(), batches, self.skips, state)
        self.spent = self.compile_seconds = 0.0
        self.status, self.message = "finished", ""
        self.rate, self.slowed = 1.0, ""
        self._unresolved = ""  # what went wrong, until an update is finite again
        left_out = self._restore()
        self.number = int(self.state.step)
        self.skipped = no_skips(*left_out)

    @property
    def resumed(self) -> bool:
        return bool(self.journal.history)

    @property
    def over(self) -> bool:
        by_clock = self.budget.seconds is not None and self.spent >= self.budget.seconds
        by_count = self.limit is not None and self.number >= self.limit
        return by_clock or by_count or self.journal.given_up

    @property
    def finished(self) -> bool:
        """Whether an earlier run has already spent the budget."""
        return self.resumed and self.over

    def compile(self, data: PyTree, key: Array | None) -> None:
        """Compile by a loop of no steps: the clock of training starts after it."""
        started = time.perf_counter()
        self.state, self.skipped, key = devices.whole((self.state, self.skipped, key))
        self._data = data, key
        # What comes out may be of another type than what went in, weakly typed say, or
        # on a device of its own, and would then be compiled for again.
        for _ in range(2):
            self.state, _, _, self.skipped = self.steps(self.state, 0)
        (took,) = devices.agreed(time.perf_counter() - started)
        self.compile_seconds += took

    def steps(self, state: TrainState, count: int) -> tuple:
        """So many steps, at the present rate."""
        data, key = self._data
        loop = self.loops[self.rate < 1]
        rate = (jnp.asarray(self.rate),) if self.rate < 1 else ()
        return jax.block_until_ready(
            loop(state, data, key, jnp.asarray(count, jnp.int32), self.skipped, *rate)
        )

    def run(self, progress: bool | str) -> None:
        """Train chunk by chunk until the budget is spent, or something ends it."""
        bar = _progress_bar(progress, self.budget, self.limit)
        try:
            with stopping.deferred() as stop:
                self._run(bar, stop)
        except KeyboardInterrupt:
            self._interrupted()
        finally:
            bar.close()
        if self._unresolved and self.status == "finished" and not self.journal.gained:
            self.status, self.message = "diverged", self._unresolved
        with stopping.deferred() as stop:
            self._save()
        # One that comes while the last state is written ends what follows all the same.
        if stop.asked and self.status == "finished":
            self._interrupted()

    def _run(self, bar: tqdm, stop: stopping.Stop) -> None:
        if not self.resumed:
            self.journal.look(self.state, self.spent, 0)
        self.disk.begin()
        pace: float | None = None
        while not self.over:
            if any(devices.agreed(stop.asked)):
                self._interrupted()
                return
            chunk, at_target = self._chunk(pace)
            begin = time.perf_counter()
            new, _, info, skipped = self.steps(self.state, chunk)
            (took,) = devices.agreed(time.perf_counter() - begin)
            self.spent += took
            pace = took / chunk
            self.skipped = skipped
            if not self._accept(new, at_target):
                if self._slow_down(new):
                    continue
                return
            _advance(bar, self, float(info.loss))
            if self.disk.due:
                self._save()

    def out_of_memory(self, error: Exception) -> NoReturn:
        """Keep what there is, and say what takes less."""
        if self.journal.history:
            self._save()
        raise MemoryError(
            f"memory is full {self._where()}; lower the batch size, the number of "
            "samples or the size of the network, or for a second-order step the memory "
            "limit. What was saved before is whole."
        ) from error

    def _interrupted(self) -> None:
        self.status, self.message = "interrupted", f"interrupted {self._where()}"

    def _slow_down(self, new: TrainState) -> bool:
        """Go back to the best weights, and go on with half the rate.

        The count of updates goes on, too. Returns False where rates have been halved
        often enough, or the budget is spent.
        """
        self.number = int(new.step)
        self._unresolved = self._unresolved or self.message
        self.state = self.journal.lowest[0]._replace(step=new.step)
        self.skipped = no_skips(0, int(self.skipped.total))
        if self.rate <= 0.5**HALVINGS or self.over:
            self.message = self._unresolved
            # What was gained before it is a result, where the time is merely over.
            if self.over and self.journal.gained:
                self.status, self.message = "finished", ""
            return False
        if not self.slowed:
            self.slowed = self.message
        self.rate /= 2
        self.status, self.message = "finished", ""
        self.compile(*self._data)
        self.journal.look(self.state, self.spent, int(self.skipped.total), self.rate)
        return True

    def _chunk(self, pace: float | None) -> tuple[int, bool]:
        """How many steps to take, and whether they lead to a planned look."""
        room = math.inf if self.limit is None else self.limit - self.number
        target = min(self.journal.next_look(self.number) - self.number, room)
        wish = 1 if pace is None else max(1, int(CHUNK_SECONDS / pace))
        if pace is not None and self.budget.seconds is not None:
            left = self.budget.seconds - self.spent
            wish = min(wish, max(1, math.ceil(left / pace)))
        chunk = int(min(target, wish))
        return chunk, chunk == target

    def _accept(self, new: TrainState, at_target: bool) -> bool:
        """Take the new state, unless it shows that the training is lost."""
        if int(self.skipped.row) > self.skips:
            self.status = "diverged"
            self.message = f"not finite at update {int(new.step)}, {self._time()}"
            if self.skips:
                self.message += f", after {self.skips} in a row that were left out"
            return False
        self.number = int(new.step)
        if self.journal.due(self.number, self.spent, at_target=at_target) or self.over:
            count = int(self.skipped.total)
            trouble = self.journal.look(new, self.spent, count, self.rate)
            if trouble:
                self.status = "diverged"
                self.message = f"{trouble} {self._where()}"
                self.state = self.journal.sound
                return False
        self.state = new
        self.journal.sound_so_far(new)
        if not int(self.skipped.row):
            self._unresolved = ""
        return True

    def ended(self) -> Fit:
        """What is left of it."""
        left, said = self.journal.kept(self.state)
        parts = [self.message, said]
        if self.rate < 1:
            first = "" if self.message == self.slowed else f", first {self.slowed}"
            parts.append(f"updates shortened to 1/{1 / self.rate:.0f}{first}")
        if self.status == "diverged":
            parts.append(f"the best weights were kept. {CURE}")
        message = "; ".join(part for part in parts if part)
        history = self.journal.history
        return Fit(
            left, history, self.spent, self.compile_seconds, self.status, message
        )

    def _time(self) -> str:
        return f"{self.spent:.1f} s into training"

    def _where(self) -> str:
        return f"at update {self.number}, {self._time()}"

    def _restore(self) -> tuple[int, int]:
        """Go on from what is on disk; the updates left out in a row, and in all."""
        stopping_early = self.journal.looks.early_stopping is not None
        before = self.disk.restore(self.state, early_stopping=stopping_early)
        if before is None:
            return 0, 0
        notes, self.state = before.notes, before.state
        made = int(self.state.step)
        if self.limit is not None and self.limit < made:
            raise ValueError(
                f"cannot go on for {self.limit} updates: {made} are made already. Give "
                "as many or more, or start anew in another directory."
            )
        self.spent, self.compile_seconds = notes["seconds"], notes["compile_seconds"]
        history = notes["history"]
        self.rate = notes.get("rate", 1.0)
        self.slowed = notes.get("slowed", "")
        self._unresolved = notes.get("unresolved", "")
        self.journal.continue_from(history, before.best, self.state, before.lowest)
        last = history[-1].get("skipped", 0) if history else 0
        return notes.get("skipped", (0, int(last)))

    def _save(self) -> None:
        notes = {
            "seconds": self.spent,
            "compile_seconds": self.compile_seconds,
            "skipped": [int(self.skipped.row), int(self.skipped.total)],
            "rate": self.rate,
            "slowed": self.slowed,
            "unresolved": self._unresolved,
        }
        self.disk.save(self.state, self.journal, notes)


@checks.checked(
    step=checks.check_function,
    key=checks.check_key,
    state=checks.has("a TrainState, of init_state", "params", "opt_state", "step"),
    looks=checks.has("Looks", "check"),
    storage=checks.has("a Storage", "directory", "resume"),
)
def fit(
    step: Callable,
    state: TrainState,
    data: tuple[PyTree, PyTree],
    *,
    batch_size: int,
    steps: int | None = None,
    epochs: float | None = None,
    seconds: float | None = None,
    key: Array | None = None,
    looks: Looks | None = None,
    storage: Storage | None = None,
    skips: int = 0,
    progress: bool | str = True,
) -> Fit:
    """Train until a budget is spent, all of it inside one compiled loop.

    Args:
      step: `step(state, batch) -> (state, Info)`, from `make_train_step`.
      state: where to start, from `init_state`.
      data: (inputs, targets), each a pytree with a leading sample axis.
      batch_size: samples an update; must divide the data.
      steps, epochs, seconds: the budget, exactly one of them. Seconds are training
        time: compilation and evaluation are not counted.
      key: shuffles each epoch anew; None keeps the stored order.
      looks: what is evaluated and recorded, how often, and early stopping.
      storage: where to keep state and history on disk, if anywhere.
      skips: how many updates in a row may be left out as they are not finite; see
        `Trainer`.
      progress: whether to show a progress bar; a string is its name.

    Where an update or a loss is not finite, or the loss is a million times that of the
    start, the weights go back to the best ones yet, and all further updates are half as
    long, up to twelve times; `message` says so, and the history has the `rate`.

    Returns:
      A `Fit`. Divergence, Ctrl-C and SIGTERM do not raise: they end the fit, say so in
      `status` and `message`, and leave the best state, or the last one.

    Raises:
      ValueError: on budgets, batch sizes or data that do not fit, before compiling.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from jaxphys import losses, training
      >>> tx = optax.sgd(0.1)
      >>> step = training.make_train_step(
      ...     lambda w, x: w * x, losses.squared_error, tx
      ... )
      >>> data = (jnp.ones((8, 1)), jnp.full((8, 1), 3.0))
      >>> start = training.init_state(jnp.zeros(1), tx)
      >>> result = fit(step, start, data, batch_size=4, epochs=20, progress=False)
      >>> result.status, bool(abs(result.state.params[0] - 3) < 1e-2)
      ('finished', True)
    """
    trainer = Trainer(step, batch_size, skips=skips)
    budget = Budget(steps, epochs, seconds)
    return trainer.fit(
        state,
        data,
        budget,
        key=key,
        looks=looks,
        storage=storage,
        progress=progress,
    )


def _array(x: Any) -> Any:
    """What is trained on, on a device; that of several is a matter of the mesh."""
    return jnp.asarray(x) if devices.count() == 1 else x


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _progress_bar(progress: bool | str, budget: Budget, limit: int | None) -> tqdm:
    total: Any = budget.seconds if limit is None else limit
    unit = "s" if limit is None else "updates"
    return tqdm(
        total=total,
        desc=progress if isinstance(progress, str) else "fit",
        disable=progress is False or not devices.is_first(),
        bar_format="{desc:<30}{percentage:4.0f}% |{bar:20}| {n:.4g}/{total:.4g} "
        + unit
        + ", {remaining} left{postfix}",
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 5.0,
    )


def _advance(bar: tqdm, training: _Training, batch_loss: float) -> None:
    shown = shown_loss(training.journal.history[-1])
    loss = batch_loss if math.isnan(shown) else shown
    bar.set_postfix_str(f"update {training.number}, loss {loss:.2e}", refresh=False)
    by_clock = training.budget.seconds is not None
    now = training.spent if by_clock else training.number
    bar.update(min(now, bar.total) - bar.n)
    if not bar.disable and training.number == 1:
        bar.refresh()
