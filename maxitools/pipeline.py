"""Stages that work at the same time: one reads ahead, one writes behind."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

_END = object()


def ahead(iterable):
    """
    Iterate, preparing the next item in a thread while the present one is used.

    Parameters
    ----------
    iterable : iterable
        What makes the items; it is used from one thread at a time.

    Yields
    ------
    object
        The items, in order. What the iterable raises is raised here.
    """
    iterator = iter(iterable)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, iterator, _END)
        while (item := following.result()) is not _END:
            following = thread.submit(next, iterator, _END)
            yield item
            # Two are alive at most: the one in use and the one in preparation.
            item = None


class Behind:
    """
    Run calls in order in a thread, a few behind the caller.

    Leaving the context waits for all of them. What one raised is raised by a later
    `call`, or on leaving.

    Parameters
    ----------
    most : int
        Calls that may wait their turn; beyond that the caller waits.
    """

    def __init__(self, most=1):
        self._thread, self._most, self._pending = ThreadPoolExecutor(1), most, deque()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._thread.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self._settle(0)

    def call(self, function, *arguments):
        """Run `function(*arguments)` later."""
        self._settle(self._most)
        self._pending.append(self._thread.submit(function, *arguments))

    def _settle(self, most):
        while len(self._pending) > most:
            self._pending.popleft().result()
