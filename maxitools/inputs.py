"""The path argument -> the list of (file, HDU) to process."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from maxitools.naming import DEFAULT, FITS

ONE_HDU = re.compile(r"(.*)\[(\d+)\]")


class InputError(ValueError):
    """A path that cannot be processed; the message says which and why."""


@dataclass(frozen=True)
class Input:
    """
    A file to process.

    Attributes
    ----------
    given : str
        As the user or the list wrote it.
    path : Path
        The file.
    hdu : int or None
        The HDU to process alone; all of them when None.
    error : str or None
        Why there is no such file; None where that is still to be seen.
    """

    given: str
    path: Path
    hdu: int = None
    error: str = None


def shipped_folder():
    """
    The folder that holds `model` and the default class files.

    Returns
    -------
    Path
        Within the installed package, or the clone that this module belongs to.
    """
    installed = Path(__file__).resolve().parent / "shipped"
    return installed if installed.is_dir() else installed.parents[1]


def list_inputs(im_path, names=DEFAULT):
    """
    List the files that a path argument names.

    Parameters
    ----------
    im_path : str
        A FITS file, one HDU of it as `file.fits[n]`, a directory, or a list `x.list`
        of such paths, one a line, with blank lines and `#` comments.
    names : maxitools.naming.MaskNames
        Of masks: such files are left out of directories.

    Returns
    -------
    list of Input
        In the order of the list, or sorted by name within a directory. Paths within
        a list need not exist.

    Raises
    ------
    InputError
        When the path itself does not exist, cannot be read or names no file.
    """
    if not im_path:
        raise InputError("the path is empty, expected a file, a directory or a list")
    try:
        kind = os.stat(im_path).st_mode
    except FileNotFoundError:
        kind = 0
    except (OSError, ValueError) as error:
        raise InputError(f"{im_path}: cannot be read ({_reason(error)})") from None
    if im_path.endswith(".list") and stat.S_ISREG(kind):
        found = [item for line in _lines(im_path) for item in _entry(line, names)]
    else:
        found = _entry(im_path, names)
        if len(found) == 1 and (error := found[0].error or _missing(found[0].path)):
            raise InputError(f"{found[0].path}: {error}")
    if not found:
        raise InputError(f"{im_path}: names no FITS file")
    return found


def _lines(path):
    """The paths in a list: bytes, as those of a file system are, whatever they spell."""
    try:
        data = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from None
    lines = [re.sub(rb"(^|\s)#.*", b"", line).strip() for line in data.splitlines()]
    return [os.fsdecode(line) for line in lines if line]


def _entry(text, names):
    """Inputs that a text names; where it cannot name any, one that says why."""
    try:
        if Path(text).is_dir():
            return [
                Input(str(path), path)
                for path in sorted(Path(text).iterdir())
                if FITS.search(path.name) and not names.include(path.name) and path.is_file()
            ]
        match = ONE_HDU.fullmatch(text)
        if match and not os.path.lexists(text):
            return [Input(text, Path(match[1]), int(match[2]))]
        os.stat(text)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        return [Input(text, Path(text), error=f"cannot be read ({_reason(error)})")]
    return [Input(text, Path(text))]


def _missing(path):
    """Why a path is no file to read; None where it is one."""
    if not path.exists():
        return "no such file or directory"
    return None if path.is_file() else "not a regular file"


def _reason(error):
    return getattr(error, "strerror", None) or error
