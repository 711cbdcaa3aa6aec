"""What a command owes its surroundings: streams, signals, limits, and an exit status."""

import gc
import os
import resource
import signal
import sys
from contextlib import contextmanager, suppress

from maxitools.atomic import remove_unfinished
from maxitools.messages import hush, reason, say

# Bytes that libraries take; an image takes more.
_LEAST_MEMORY = 800_000_000


class MemoryLimitError(RuntimeError):
    """A limit to memory that leaves no room for work."""


def run(command, main, *arguments):
    """
    Run a command so that it ends in an orderly way.

    Where it is interrupted or told to end, nothing unfinished is left behind. What nobody
    foresaw is told in a line.

    Parameters
    ----------
    command : str
        Name that messages begin with.
    main : callable
        Gives the exit status.
    *arguments
        Of `main`.

    Returns
    -------
    int
        The exit status.
    """
    _open_missing_streams()
    try:
        with _ending_on_signals(command):
            return main(*arguments)
    except Exception as error:
        say(f"{command}: {reason(error)}")
        return 1
    finally:
        # It was off if no network was loaded; see `maxitools.options.prepare`.
        gc.enable()
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            # What cannot be written must not change the exit status.
            try:
                stream.flush()
            except (OSError, ValueError):
                hush(number)


def _open_missing_streams():
    """Let closed standard streams lead to nowhere: the next file opened would take their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115


@contextmanager
def _ending_on_signals(command):
    """End at once where the user or the system asks for it, and leave nothing unfinished."""

    # Another name for standard error, which may be silenced while libraries start.
    stderr = os.dup(2)

    def end(number, _):
        # Threads may be deep in the network: nobody waits for them.
        remove_unfinished()
        # Not by way of Python's streams: one may be in use at this moment.
        text = f"{command}: stopped by {signal.Signals(number).name}\n"
        with suppress(OSError):
            os.write(stderr, (("\n" if os.isatty(stderr) else "") + text).encode())
        os._exit(128 + number)

    saved = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # What is ignored, as under nohup, stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                saved[number] = signal.signal(number, end)
    except ValueError:
        # Only the main thread may.
        pass
    try:
        yield
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)
        os.close(stderr)


def cores():
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def check_memory():
    """
    See whether the process may have as much memory as libraries take before any work.

    Raises
    ------
    MemoryLimitError
        When not: some libraries would not say so, but wait or crash.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_MEMORY:
        raise MemoryLimitError(
            f"memory is limited to {limit / 1e9:.1f} GB (ulimit -v), expected "
            f"{_LEAST_MEMORY / 1e9:.1f} GB at least"
        )
