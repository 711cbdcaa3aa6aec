"""Files that appear whole, or not at all."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path):
    """
    Write a file under another name in the same folder, until it is complete.

    Parameters
    ----------
    path : path-like
        Where it appears, when the context ends without an error.

    Yields
    ------
    file object
        Open for writing bytes.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    path = Path(path)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with open(handle, "wb") as file:
            yield file
        # A temporary file is private; this one is as the user's umask has it.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(part, 0o666 & ~umask)
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
