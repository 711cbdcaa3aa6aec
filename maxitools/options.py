"""What the arguments of both commands share; it is imported before anything that takes time."""

import argparse
import gc
import os
import sys
import time
import warnings

from maxitools.log import Log
from maxitools.process import check_memory, cores

# By `time.perf_counter`: imported first, this module knows when a command began.
STARTED = time.perf_counter()


def positive(text):
    """
    A whole number above 0.

    Raises
    ------
    argparse.ArgumentTypeError
        When the text is none.
    """
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found '{text}'")
    return value


def whole(text):
    """
    A whole number from 0.

    Raises
    ------
    argparse.ArgumentTypeError
        When the text is none.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, found '{text}'")
    return int(text)


def told(parse):
    """
    A type of argument whose errors are told as they are.

    Parameters
    ----------
    parse : callable
        From the text to the value; a ValueError says what is wrong with it.

    Returns
    -------
    callable
    """

    def value(text):
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return value


def _threads(text):
    return min(positive(text), cores())


def shared():
    """
    The arguments that both commands have.

    Returns
    -------
    argparse.ArgumentParser
        To be a parent of a command's own.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "im_path",
        help="FITS file, one HDU of it as file.fits[n], directory, or a list of these (x.list)",
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--net_path",
        "--net_dir",
        metavar="NET_PATH",
        help="directory of the network; the shipped one by default",
    )
    network.add_argument(
        "--batch_size",
        type=positive,
        default=8,
        metavar="N",
        help="tiles per network call (default: 8)",
    )
    network.add_argument(
        "--threads",
        type=_threads,
        metavar="N",
        help="CPU threads (default, and at most: one per core)",
    )
    network.add_argument(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="auto",
        help="where the network runs (default: auto, a GPU where there is one)",
    )
    run = parser.add_argument_group("run")
    run.add_argument(
        "--log",
        metavar="FILE",
        help="append a JSON line for each HDU and each file; several runs may share it",
    )
    run.add_argument(
        "-v", "--verbose", action="store_true", help="say what is done and how long it takes"
    )
    return parser


def open_log(arguments, command):
    """
    The log that is asked for, if any.

    Parameters
    ----------
    arguments : argparse.Namespace
        With those of `shared`.
    command : str
        Which writes to it.

    Returns
    -------
    maxitools.log.Log or None

    Raises
    ------
    OSError
        When it cannot be opened.
    """
    return arguments.log and Log(arguments.log, command, arguments.net_path or "shipped")


def prepare(threads):
    """
    Set up what libraries read when they are imported.

    Parameters
    ----------
    threads : int or None
        CPU threads; all cores when None.

    Raises
    ------
    maxitools.process.MemoryLimitError
        When there is no room for them.
    """
    check_memory()
    # What is imported stays: there is no garbage to look for until a network is loaded.
    gc.disable()
    # There is next to no linear algebra: NumPy's threads for it would only spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if threads:
        for library in ("OMP", "MKL"):
            os.environ.setdefault(f"{library}_NUM_THREADS", str(threads))
    if not sys.warnoptions:
        # Libraries warn of headers that break a rule, and of damage that is reported as an error.
        warnings.simplefilter("ignore")
