"""A training on disk: what is saved, how often, and what may go on from it."""

import pathlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxphys import checkpoint
from jaxphys.training.journal import Best, Journal
from jaxphys.training.step import TrainState

__all__ = ["Disk", "Storage"]

#: Seconds until a training is on disk for the first time.
_FIRST = 2.0
#: Saving takes at most one part in so many of the time.
_SHARE = 100


class Storage(NamedTuple):
    """Where a training is kept on disk.

    Attributes:
      directory: of its checkpoints.
      resume: go on from the checkpoint in it, where there is one.
      seconds: how often to save; seldomer where that took more than a hundredth of the
        time. The first time is after two seconds, the last one at the end.
      keep: how many checkpoints are left, the newest.
      of: what is trained, in a word or two; what goes on must be the same.
    """

    directory: str | pathlib.Path
    resume: bool = False
    seconds: float = 10.0
    keep: int = 3
    of: str = ""


class _Restored(NamedTuple):
    """What a training goes on from."""

    state: TrainState
    best: Best
    notes: dict[str, Any]


class Disk:
    """The checkpoints of one training.

    Args:
      storage: where and how often; None keeps nothing.
      about: what must be the same for a training to go on, such as numbers of samples.
    """

    def __init__(self, storage: Storage | None, about: Mapping[str, Any]):
        self.storage = storage
        self._about = dict(about) | ({"of": storage.of} if storage else {})
        # What another training left in the directory goes when there is something new.
        self._fresh = storage is not None and not storage.resume
        self._due = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self.storage is not None and time.perf_counter() > self._due

    def begin(self) -> None:
        """Training starts now."""
        if self.storage is not None:
            self._due = time.perf_counter() + min(_FIRST, self.storage.seconds)

    def restore(self, like: TrainState, *, early_stopping: bool) -> _Restored | None:
        """What there is to go on from, if that is wanted.

        Raises:
          ValueError: where it is damaged, or of another training.
        """
        if self.storage is None or not self.storage.resume:
            return None
        directory = pathlib.Path(self.storage.directory)
        if not checkpoint.exists(directory):
            return None
        state, notes = checkpoint.restore(directory, like)
        self._check(directory, notes.get("about", {}))
        best = Best(like)
        kept = _best_in(directory)
        if early_stopping and checkpoint.exists(kept):
            earlier, mark = checkpoint.restore(kept, like, notes.get("best"))
            best = Best(earlier, mark["value"], mark["step"])
        return _Restored(state, best._replace(stale=notes.get("stale", 0)), notes)

    def save(self, state: TrainState, journal: Journal, notes: dict[str, Any]) -> None:
        """Write the state, the history, and of early stopping the best state."""
        if self.storage is None:
            return
        begin = time.perf_counter()
        directory, keep = pathlib.Path(self.storage.directory), self.storage.keep
        kept = _best_in(directory)
        if self._fresh:
            checkpoint.clear(directory)
            checkpoint.clear(kept)
            self._fresh = False
        best = journal.best
        stopping = journal.looks.early_stopping is not None
        if stopping and checkpoint.latest_step(kept) != best.step:
            mark = {"value": best.value, "step": best.step}
            checkpoint.save(kept, best.step, best.state, mark, keep=keep)
        about: dict[str, Any] = {"history": journal.history, "about": self._about}
        # A kill between the two leaves the last state with the best one of its time.
        about |= {"stale": best.stale, "best": best.step if stopping else None}
        checkpoint.save(directory, int(state.step), state, about | notes, keep=keep)
        end = time.perf_counter()
        self._due = end + max(self.storage.seconds, _SHARE * (end - begin))

    def _check(self, directory: pathlib.Path, before: Mapping[str, Any]) -> None:
        """A ValueError where another training wrote what is there."""
        for name, now in self._about.items():
            was = before.get(name, now)
            if was != now:
                raise ValueError(
                    f"cannot go on from {directory}: {_WORDS.get(name, name)} was "
                    f"{was!r} and is {now!r}; give the same, or start anew in another "
                    "directory."
                )


#: How what must be the same is called.
_WORDS = {
    "of": "what is trained",
    "samples": "the number of samples",
    "order": "the key of the order of samples",
}


def _best_in(directory: pathlib.Path) -> pathlib.Path:
    """Where the best state of early stopping is kept, beside the last one."""
    return directory.with_name(directory.name + "-best")
