"""What is said to people: one line for each thing, on standard error, where it can be written."""

import os
import re
import sys


def one_line(text):
    """
    A text without what would break its line or cannot be shown.

    Parameters
    ----------
    text : str
        With names of files, which may hold any byte.

    Returns
    -------
    str
        Bytes of names that are no text stay as they are (PEP 383).
    """
    return "".join(
        c if c.isprintable() or "\udc80" <= c <= "\udcff" else c.encode("unicode_escape").decode()
        for c in text
    )


def reason(error):
    """
    What to tell of an error.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    str
    """
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        told = error.strerror or text
        return f"{os.fspath(error.filename)}: {told}" if error.filename else told
    # A sentence was written for people, a word was not.
    return text if " " in text else f"{type(error).__name__} {text}".strip()


def say(text):
    """
    Say a line. What cannot be said is let go: results matter more.

    Parameters
    ----------
    text : str
    """
    line = re.sub("[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", one_line(text))
    tqdm = sys.modules.get("tqdm")
    try:
        if tqdm:
            # Between the bars that show progress, if there are any.
            tqdm.tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)
    except (OSError, ValueError, AttributeError):
        hush(2)


def hush(number):
    """Let a standard stream lead to nowhere from now on, with all that waits to be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def refuse(command, error):
    """
    Say why a command cannot do what it was asked for, and end it with status 2.

    Parameters
    ----------
    command : str
        Its name.
    error : Exception or str
    """
    say(f"{command}: {error if isinstance(error, str) else reason(error)}")
    raise SystemExit(2)
