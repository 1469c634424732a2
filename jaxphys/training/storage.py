"""A training on disk: what is saved, how often, and what may go on from it."""

import pathlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxphys import checkpoint, devices
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
    lowest: tuple[TrainState, float] | None
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
        if self.storage is None:
            return False
        return any(devices.agreed(time.perf_counter() > self._due))

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
        best, lowest = Best(like), None
        if early_stopping and checkpoint.exists(_beside(directory, "best")):
            earlier, mark = _of_its_time(directory, "best", like, notes)
            best = Best(earlier, mark["value"], mark["step"])
        if checkpoint.exists(_beside(directory, "lowest")):
            earlier, mark = _of_its_time(directory, "lowest", like, notes)
            lowest = earlier, mark["value"]
        best = best._replace(stale=notes.get("stale", 0))
        return _Restored(state, best, lowest, notes)

    def save(self, state: TrainState, journal: Journal, notes: dict[str, Any]) -> None:
        """Write the state, the history, and the states that training may return to."""
        if self.storage is None:
            return
        begin = time.perf_counter()
        directory, keep = pathlib.Path(self.storage.directory), self.storage.keep
        if self._fresh:
            for place in (directory, *(_beside(directory, x) for x in _RETURNS)):
                checkpoint.clear(place)
            self._fresh = False
        best, (lowest, loss) = journal.best, journal.lowest
        returns = {"lowest": (int(lowest.step), loss, lowest)}
        if journal.looks.early_stopping is not None:
            returns["best"] = best.step, best.value, best.state
        about: dict[str, Any] = {"history": journal.history, "about": self._about}
        about["stale"] = best.stale
        for name, (step, value, kept) in returns.items():
            place, mark = _beside(directory, name), {"value": value, "step": step}
            if checkpoint.latest_step(place) != step:
                checkpoint.save(place, step, kept, mark, keep=keep)
            # A kill between two files leaves the last state with those of its time.
            about[name] = step
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


#: States that a training may return to: of early stopping, and after trouble.
_RETURNS = ("best", "lowest")


def _beside(directory: pathlib.Path, name: str) -> pathlib.Path:
    """Where such a state is kept, beside the last one."""
    return directory.with_name(f"{directory.name}-{name}")


def _of_its_time(
    directory: pathlib.Path, name: str, like: TrainState, notes: Mapping[str, Any]
) -> tuple[TrainState, dict[str, Any]]:
    """A state to return to, as it was when the last state was saved."""
    place = _beside(directory, name)
    found = checkpoint.restore(place, like, notes.get(name))
    # What a killed process found after that will be found again.
    if notes.get(name) is not None:
        checkpoint.clear(place, after=notes[name])
    return found
