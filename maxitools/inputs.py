"""The path argument -> the list of (file, HDU) to process."""

import re
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
    """

    given: str
    path: Path
    hdu: int = None


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


def _one(given):
    """The input that a text names, a file or one HDU of it."""
    match = ONE_HDU.fullmatch(given)
    if match and not Path(given).exists():
        return Input(given, Path(match[1]), int(match[2]))
    return Input(given, Path(given))


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
    path = Path(im_path)
    try:
        if path.suffix == ".list" and path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            texts = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
            found = [item for text in texts if text for item in _entry(text, names)]
        elif path.is_dir():
            found = _entry(im_path, names)
        else:
            found = [_one(im_path)]
            if not found[0].path.is_file():
                raise InputError(f"{found[0].path}: no such file or directory")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{im_path}: cannot be read ({error})") from None
    if not found:
        raise InputError(f"{im_path}: names no FITS file")
    return found


def _entry(text, names):
    """Inputs that one line of a list names."""
    if not Path(text).is_dir():
        return [_one(text)]
    return [
        Input(str(path), path)
        for path in sorted(Path(text).iterdir())
        if path.is_file() and FITS.search(path.name) and not names.include(path.name)
    ]
