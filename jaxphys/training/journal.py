"""What a training sees of itself: when to evaluate, the history, and when to give up.

A look evaluates the losses of the current weights. Looks are close at first and then
ever further apart, and take a quarter of the training time at most.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxphys import devices
from jaxphys.checks import check_count
from jaxphys.training.step import TrainState
from jaxphys.types import PyTree

__all__ = [
    "CHUNK_SECONDS",
    "DIVERGED",
    "NOT_FINITE",
    "Best",
    "EarlyStopping",
    "Journal",
    "Looks",
    "shown_loss",
    "verdict",
]

#: A train loss beyond this many times its first value counts as divergence.
DIVERGED = 1e6
#: The same, where updates have been shortened for that.
_FAR_SLOWED = 2.0
#: What a loss that is not finite is in a history, which JSON must hold.
NOT_FINITE = 1e300
#: Between two looks at the clock a compiled loop runs for about this long.
CHUNK_SECONDS = 0.4

#: What every record has beside its losses.
_CLOCKS = {"step", "epoch", "seconds", "skipped", "rate"}


class EarlyStopping(NamedTuple):
    """Stop where a watched loss falls no more.

    Attributes:
      watch: its name in what `evaluate` returns.
      patience: how many looks without a new lowest value are allowed.
      least: a new lowest value is below the last by this factor at least, in [0, 1).
    """

    watch: str = "validation_loss"
    patience: int = 50
    least: float = 0.0


class Looks(NamedTuple):
    """What is evaluated during training, and when.

    Attributes:
      evaluate: `evaluate(params) -> {name: loss}`, recorded in the history at 1, 2, 4 …
        updates, at epochs 1 to 4, then so that it takes a quarter of the time at most,
        and at the end.
      every: evaluate after so many updates each, in place of the above.
      early_stopping: when to stop, by a loss of `evaluate`; the state that is left is
        then the best one, not the last.
    """

    evaluate: Callable[[PyTree], Mapping[str, Any]] | None = None
    every: int | None = None
    early_stopping: EarlyStopping | None = None

    def check(self) -> "Looks":
        """These looks, or a ValueError where a count is invalid."""
        rule = self.early_stopping
        for what, count in (
            ("every", self.every),
            ("patience", rule and rule.patience),
        ):
            if count is not None:
                check_count(what, count)
        return self


class Best(NamedTuple):
    """The best state yet, its value, and the looks since."""

    state: TrainState
    value: float = math.inf
    step: int = 0
    stale: int = 0

    def after(
        self, state: TrainState, record: dict[str, float], rule: EarlyStopping
    ) -> "Best":
        """What is best after one more look."""
        if rule.watch not in record:
            raise ValueError(
                f"early stopping watches {rule.watch!r}, which evaluate does not "
                f"return; it returns {', '.join(sorted(set(record) - _CLOCKS))}."
            )
        value = record[rule.watch]
        if value < (1 - rule.least) * self.value:
            return Best(state, value, int(state.step), 0)
        return self._replace(stale=self.stale + 1)


class Journal:
    """The history of one training, and what follows from it.

    Attributes:
      history: one dict a look: step, epoch, seconds, losses; all of it finite.
      best: the best state by the early stopping's loss.
      sound: the last state whose losses were all right.
      lowest: of those the one of the lowest loss, and its loss.
    """

    def __init__(self, looks: Looks, batches: int, skips: int, start: TrainState):
        self.looks, self._batches, self._skips = looks.check(), batches, skips
        self.history: list[dict[str, float]] = []
        self.best = Best(start)
        self.sound = start
        self.lowest = start, math.inf
        self._blind = 0  # looks in a row whose losses make no sense
        self._looked = 0.0  # training seconds at the last look
        self._cost = 0.0  # seconds that it took

    @property
    def given_up(self) -> bool:
        """Whether early stopping ends the training."""
        rule = self.looks.early_stopping
        return rule is not None and self.best.stale >= rule.patience

    @property
    def gained(self) -> bool:
        """Whether there is a loss below the first one."""
        return bool(self.history) and self.lowest[1] < shown_loss(self.history[0])

    def continue_from(
        self,
        history: list,
        best: Best,
        state: TrainState,
        lowest: tuple[TrainState, float] | None = None,
    ) -> None:
        """Go on with the history and the best states of an earlier part."""
        self.history, self.best, self.sound = history, best, state
        last = shown_loss(history[-1]) if history else math.inf
        self.lowest = (state, last) if lowest is None else lowest
        self._looked = history[-1]["seconds"] if history else 0.0

    def next_look(self, number: int) -> int:
        """The update of the next look: 1, 2, 4 …, then whole epochs some 10 % apart."""
        every, batches = self.looks.every, self._batches
        if every is not None:
            return (number // every + 1) * every
        if number < batches:
            return min(max(1, 2 * number), batches)
        epoch = number // batches
        return (epoch + max(1, epoch // 10)) * batches

    def due(self, number: int, spent: float, *, at_target: bool) -> bool:
        """Whether to look now, after so many updates and seconds of training.

        Args:
          number, spent: updates and training seconds so far.
          at_target: whether this is an update that `next_look` named.
        """
        waited = spent - self._looked
        early = number <= 4 * self._batches or self.looks.every is not None
        planned = at_target and (early or waited > 3 * self._cost)
        return planned or waited > 2 * CHUNK_SECONDS + 3 * self._cost

    def look(
        self, state: TrainState, spent: float, skipped: int, rate: float = 1.0
    ) -> str:
        """Evaluate and record; what is wrong with the losses, empty where nothing is.

        As many looks as there may be skipped updates are allowed to go wrong in a row.
        A rate below one, the part of each update that is taken, is recorded.
        """
        begin = time.perf_counter()
        record: dict[str, float] = {
            "step": int(state.step),
            "epoch": int(state.step) / self._batches,
            "seconds": spent,
        }
        if self.looks.evaluate is not None:
            losses = self.looks.evaluate(state.params)
            record |= {k: float(v) for k, v in losses.items()}
        if self._skips:
            record["skipped"] = skipped
        if rate < 1:
            record["rate"] = rate
        (self._cost,) = devices.agreed(time.perf_counter() - begin)
        self._looked = spent
        far = DIVERGED if rate == 1 else _FAR_SLOWED
        lost = bool(self.history) and (
            self._not_finite(record) or self._far(record, far)
        )
        self._blind = self._blind + 1 if lost else 0
        if self._blind > self._skips:
            return f"loss {shown_loss(record):.3g}"
        self.history.append(_storable(record))
        if self.looks.early_stopping is not None:
            rule = self.looks.early_stopping
            self.best = self.best.after(state, self.history[-1], rule)
        if not lost:
            self.sound = state
            # Where there is no loss to compare, the last state is as good as any.
            if not shown_loss(record) > self.lowest[1]:
                self.lowest = state, shown_loss(record)
        return ""

    def sound_so_far(self, state: TrainState) -> None:
        """A state between two looks: as good as the last look was."""
        if not self._blind:
            self.sound = state

    def kept(self, state: TrainState) -> tuple[TrainState, str]:
        """What is left of a training that ends here: its last state, or its best."""
        rule = self.looks.early_stopping
        if rule is None or math.isinf(self.best.value):
            return state, ""
        kept = f"kept update {self.best.step}, {rule.watch} {self.best.value:.3g}"
        return self.best.state, f"stopped early, {kept}" if self.given_up else kept

    def _far(self, record: dict[str, float], far: float) -> bool:
        """Whether a finite loss is far above its first value."""
        loss = shown_loss(record)
        return math.isfinite(loss) and loss > far * shown_loss(self.history[0])

    @staticmethod
    def _not_finite(record: dict[str, float]) -> bool:
        return not all(math.isfinite(v) for v in record.values())


def shown_loss(record: Mapping[str, float]) -> float:
    """The train loss of a record, or its first loss, or NaN where there is none."""
    values = [v for k, v in record.items() if k not in _CLOCKS]
    return record.get("train_loss", values[0] if values else math.nan)


#: What losses did, and what to do about it.
_VERDICTS = {
    "stuck where it began": "no update lowered the loss that is watched. Try a smaller "
    "rate, more damping, or other first weights",
    "worse than at the start": "try a smaller rate, more damping, or larger batches",
    "still falling": "more time would lower it further",
    "converged": "it has been level for half of the updates",
    "stalled": "it has been level for half of the updates, not far below its start. "
    "Try other first weights, several starts, a larger network, or another method",
}


def verdict(history: list[dict[str, float]], step: int) -> str:
    """What the train loss of a history did, in words; empty where there is none.

    Args:
      history: one dict a look.
      step: the update whose weights are kept.
    """
    seen = [(h["step"], shown_loss(h)) for h in history]
    seen = [(n, loss) for n, loss in seen if math.isfinite(loss) and loss < NOT_FINITE]
    if len(seen) < 2:
        return ""
    (_, first), (count, last) = seen[0], seen[-1]
    middle = [first, *(loss for n, loss in seen if n <= count / 2)][-1]
    if step == 0:
        what = "stuck where it began"
    elif last > first:
        what = "worse than at the start"
    elif last < 0.95 * middle:
        what = "still falling"
    else:
        what = "converged" if last < 1e-3 * first else "stalled"
    skipped = history[-1].get("skipped", 0)
    more = f"; {skipped:.0f} of {count:.0f} updates were skipped" if skipped else ""
    return f"{what}: {_VERDICTS[what]}{more}"


def _storable(record: dict[str, float]) -> dict[str, float]:
    """The record as JSON can hold it."""
    return {k: v if math.isfinite(v) else NOT_FINITE for k, v in record.items()}
