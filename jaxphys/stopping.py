"""Ending well: SIGINT and SIGTERM wait for what must not be torn apart, but not long.

`deferred` holds back a first signal while something is brought to its end, and a second
one ends it at once. A command is a `process`: SIGTERM is to it what Ctrl-C is, and
where it has not ended in time, say inside of a compilation, it is ended. Signals belong
to the whole process, so that what is noted here does as well.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["GRACE", "Stop", "deferred", "last_words", "process"]

#: Seconds from a first signal to the end of a process, whatever it does.
GRACE = 4.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether an end was asked for.

    Attributes:
      signal: the number of the first signal that asked for it; None where none did.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def asked(self) -> bool:
        """Whether there was one."""
        return self.signal is not None

    @property
    def status(self) -> int:
        """The exit status of a process that ended by it, as shells have it."""
        return 128 + (signal.SIGINT if self.signal is None else self.signal)


#: The region that is deferred now, the outermost of those within one another.
_regions: list[Stop] = []
#: The end of this process, where it is a `process`.
_processes: list[Stop] = []
#: What is said of a process that is ended; see `last_words`.
_words: list[Callable[[], None]] = []


@contextlib.contextmanager
def deferred() -> Iterator[Stop]:
    """A region that the first SIGINT or SIGTERM does not end; it is noted instead.

    A second one raises KeyboardInterrupt. A signal that the process ignores stays
    ignored, and outside of the main thread, where none arrives, nothing changes.

    Returns:
      A `Stop`, to be looked at when it suits. Regions within one another share it.

    Example:
      >>> with deferred() as stop:
      ...     signal.raise_signal(signal.SIGTERM)
      ...     stop.asked
      True
    """
    if threading.current_thread() is not threading.main_thread():
        yield Stop()
        return
    if _regions:
        yield _regions[-1]
        return
    stop = Stop()
    # Python drops an exception that a signal raises inside of a callback of its own.
    stop.signal = _processes[-1].signal if _processes else None

    def note(number: int, frame: Any) -> None:
        del frame
        if stop.asked:
            raise KeyboardInterrupt
        stop.signal = number

    before = _handled_by(note)
    _regions.append(stop)
    try:
        yield stop
    finally:
        _regions.pop()
        _restore(before)


@contextlib.contextmanager
def process(grace: float = GRACE) -> Iterator[None]:
    """A command as a process of its own, which ends in time when it is asked to.

    SIGINT and SIGTERM raise KeyboardInterrupt, or are noted by `deferred`. Python sees
    a signal only between two of its own instructions, and a compilation is one of them:
    a thread beside it therefore ends the process after `grace` seconds, or at a second
    signal, after the last words. With the region the process ends, too: what an
    exception has torn apart inside of a compiler is better not cleaned up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = Stop()

    def interrupt(number: int, frame: Any) -> None:
        del number, frame
        raise KeyboardInterrupt

    listening, telling = socket.socketpair()
    telling.setblocking(False)
    watch = threading.Thread(
        target=_watch, args=(listening, ending, grace), daemon=True
    )
    before = _handled_by(interrupt)
    # The C part of Python writes the number of a signal there as soon as it arrives.
    woken = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    watch.start()
    _processes.append(ending)
    try:
        with _raised_again():
            yield
    finally:
        _processes.remove(ending)
        signal.set_wakeup_fd(woken)
        _restore(before)
        telling.send(b"\0")
        watch.join()
        listening.close()
        telling.close()
        if ending.asked:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(ending.status)


@contextlib.contextmanager
def last_words(say: Callable[[], None]) -> Iterator[None]:
    """What `process` calls before it ends a process that does not end by itself.

    It is called in another thread than the one that is at work: let it touch nothing
    but files, each written whole.
    """
    _words.append(say)
    try:
        yield
    finally:
        _words.remove(say)


def _watch(listening: socket.socket, ending: Stop, grace: float) -> None:
    """Wait for signals; end the process at the second one or when time is over."""
    deadline: float | None = None
    while True:
        left = None if deadline is None else deadline - time.monotonic()
        listening.settimeout(None if left is None else max(left, 1e-3))
        try:
            number = listening.recv(1)[0]
        except TimeoutError:
            break
        if number == 0:
            return
        if number not in _SIGNALS:
            continue
        if ending.asked:
            break
        ending.signal = number
        deadline = time.monotonic() + grace
    for say in reversed(_words):
        with contextlib.suppress(Exception):
            say()
    # Not by print, which may wait for the thread that is ended.
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"\njaxphys: ended.\n")
    os._exit(ending.status)


def _interrupt_main() -> None:
    """Raise KeyboardInterrupt in the main thread, without another signal."""
    main = ctypes.c_ulong(threading.main_thread().ident or 0)
    interrupt = ctypes.py_object(KeyboardInterrupt)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(main, interrupt)


@contextlib.contextmanager
def _raised_again() -> Iterator[None]:
    """Raise a KeyboardInterrupt once more that Python dropped.

    It drops what is raised inside of a callback of its own, such as that of a weak
    reference, of which JAX has many, and prints it as an error that is ignored.
    """
    before = sys.unraisablehook

    def hook(dropped: Any) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            before(dropped)
            return
        # Later, as what is raised inside of this hook is dropped as well.
        threading.Timer(0.01, _interrupt_main).start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _handled_by(handler: Callable) -> dict[int, Any]:
    """Handle the signals that are not ignored; what handled them before."""
    before: dict[int, Any] = {}
    for number in _SIGNALS:
        # None is a handler that Python did not set and could not set again.
        if signal.getsignal(number) not in (None, signal.SIG_IGN):
            before[int(number)] = signal.signal(number, handler)
    return before


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
