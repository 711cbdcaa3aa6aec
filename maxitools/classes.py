"""The contaminant classes as data, and the files that choose among them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ContaminantClass:
    """
    One class of pixels.

    Attributes
    ----------
    name : str
        Short name, as in the class files and the mask headers.
    code : int
        Value in a single mask: a power of two, 0 for the background.
    title : str
        Name in words.
    """

    name: str
    code: int
    title: str


CLASSES = (
    ContaminantClass("CR", 1, "Cosmic Rays"),
    ContaminantClass("HCL", 2, "Hot Columns/Lines"),
    ContaminantClass("DCL", 4, "Dead Columns/Lines/Clusters"),
    ContaminantClass("HP", 8, "Hot Pixels"),
    ContaminantClass("DP", 16, "Dead Pixels"),
    ContaminantClass("P", 32, "Persistence"),
    ContaminantClass("TRL", 64, "Trails"),
    ContaminantClass("FR", 128, "Fringe Patterns"),
    ContaminantClass("NEB", 256, "Nebulosities"),
    ContaminantClass("SAT", 512, "Saturated Pixels"),
    ContaminantClass("SP", 1024, "Diffraction Spikes"),
    ContaminantClass("OV", 2048, "Overscanned Pixels"),
    ContaminantClass("BBG", 4096, "Bright Background"),
    ContaminantClass("BG", 0, "Background"),
)
NAMES = tuple(c.name for c in CLASSES)
BY_NAME = {c.name: c for c in CLASSES}
OLD_NAMES = {"STL": "TRL"}


class ClassFileError(ValueError):
    """A class file that breaks the syntax; the message names file, line and what was expected."""


def selection(text):
    """
    Read a choice of classes: names with commas between them, `all` for all, `-` before one less.

    Parameters
    ----------
    text : str
        Such as `CR,TRL,SAT` or `all,-BBG,-BG`.

    Returns
    -------
    tuple of str
        The parts of it, with today's names.

    Raises
    ------
    ValueError
        When a part is none of these.
    """
    parts = []
    for part in text.split(","):
        sign, name = ("-", part[1:]) if part.startswith("-") else ("", part)
        name = OLD_NAMES.get(name, name)
        if name not in NAMES and part != "all":
            raise ValueError(f"unknown class '{name}', expected all or some of {','.join(NAMES)}")
        parts.append(sign + name)
    return tuple(parts)


def selected(parts, known=NAMES):
    """
    The classes that a choice leaves.

    Parameters
    ----------
    parts : sequence of str
        As from `selection`.
    known : sequence of str
        Names of all classes that there are.

    Returns
    -------
    tuple of str
        Their names, in the order of the classes.

    Raises
    ------
    KeyError
        When one that is asked for by its name is not known.
    """
    names = set()
    for part in parts:
        if part == "all":
            names.update(known)
        elif part.startswith("-"):
            names.discard(part[1:])
        elif part in known:
            names.add(part)
        else:
            raise KeyError(part)
    return tuple(name for name in NAMES if name in names)


def _flag(text):
    if text not in ("0", "1"):
        raise ValueError
    return bool(int(text))


def _prior(text):
    value = float(text)
    if not 0 < value < 1:
        raise ValueError
    return value


def _threshold(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


# file name: (parser of a value, what a value has to be)
FILES = {
    "classes.flags": (_flag, "0 or 1"),
    "classes.priors": (_prior, "a number above 0 and below 1"),
    "classes.thresh": (_threshold, "a number from 0 to 1"),
}


def read_class_file(path):
    """
    Read a file of one `NAME VALUE` line per class.

    Parameters
    ----------
    path : path-like
        A file named `classes.flags`, `classes.priors` or `classes.thresh`: the
        name says what values it holds.

    Returns
    -------
    dict
        Value by class name, in the order of the classes: bool for flags, float
        for priors and thresholds.

    Raises
    ------
    ClassFileError
        When the file cannot be read or breaks the syntax.
    """
    path = Path(path)
    parse, expected = FILES[path.name]
    try:
        if path.exists() and not path.is_file():
            raise ClassFileError(f"{path}: not a regular file")
        # Names and numbers are ASCII; comments may be in any language, and so in any encoding.
        lines = path.read_text("utf-8-sig", "replace").splitlines()
    except OSError as error:
        raise ClassFileError(f"{path}: cannot be read ({error.strerror})") from None
    values = {}
    for number, line in enumerate(lines, 1):
        fields = re.sub(r"#.*", "", line).split()
        if not fields:
            continue
        where = f"{path}, line {number}"
        if len(fields) != 2:
            raise ClassFileError(f"{where}: expected a class and its value, found '{line.strip()}'")
        name = OLD_NAMES.get(fields[0], fields[0])
        if name not in NAMES:
            raise ClassFileError(
                f"{where}: unknown class '{fields[0]}', expected one of {' '.join(NAMES)}"
            )
        if name in values:
            raise ClassFileError(f"{where}: class {name} a second time, expected once")
        try:
            values[name] = parse(fields[1])
        except ValueError:
            raise ClassFileError(
                f"{where}: expected {expected} for {name}, found '{fields[1]}'"
            ) from None
    missing = [name for name in NAMES if name not in values]
    if missing:
        raise ClassFileError(
            f"{path}, line {len(lines)}: ends without {', '.join(missing)}, "
            f"expected one line for each of the {len(NAMES)} classes"
        )
    return {name: values[name] for name in NAMES}


def chosen_values(folder, defaults_folder):
    """
    What the class files of a folder choose.

    A file that holds the same values as the shipped one chooses nothing, so that a
    published network keeps its own priors and thresholds where the user merely
    stands in a clone of the repository.

    Parameters
    ----------
    folder : path-like
        Where to look, normally the working directory.
    defaults_folder : path-like
        Where the shipped files are.

    Returns
    -------
    wanted : tuple of str or None
        Names of the classes whose flag is 1; None where all are wanted.
    priors, thresholds : dict or None
        Values by class name; None where the network's defaults hold.

    Raises
    ------
    ClassFileError
        When a file breaks the syntax.
    """
    chosen = []
    for name in FILES:
        path = Path(folder, name)
        # A link that leads nowhere was meant to choose.
        values = read_class_file(path) if os.path.lexists(path) else None
        shipped = Path(defaults_folder, name)
        if values is not None and shipped.exists() and values == read_class_file(shipped):
            values = None
        chosen.append(values)
    flags, priors, thresholds = chosen
    return flags and tuple(name for name in NAMES if flags[name]), priors, thresholds
