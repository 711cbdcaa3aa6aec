"""`network.json` -> what it says, once all of it makes sense."""

import json
from math import isfinite

from maxitools.classes import NAMES, OLD_NAMES
from maxitools.network import NetworkError
from maxitools.normalisation import RECIPES

# Of what a network's directory holds, by task. In format 1 of masks the pixels of a block came one
# after the other.
FORMATS = {"mask": 2, "track": 1}


def _exactly(number):
    words = f"{number}: `python -m training.export` writes older ones anew"
    return lambda value: value == number and type(value) is int, words


def _whole(least, most):
    def good(value):
        return type(value) is int and least <= value <= most

    return good, f"a whole number from {least} to {most}"


def _number(value):
    return type(value) in (int, float) and isfinite(value)


def _by_class(good):
    def all_good(value):
        return isinstance(value, dict) and all(map(good, value.values()))

    return all_good


# Keyword: what it has to be, as a test and in words.
_FOR_ALL = {
    "graph": (lambda value: isinstance(value, str) and "/" not in value, "the name of a file"),
    "input": (lambda value: isinstance(value, str), "the name of a tensor"),
    "output": (lambda value: isinstance(value, str), "the name of a tensor"),
    "normalisation": (lambda value: value in [*RECIPES], f"one of {', '.join(RECIPES)}"),
    "tile": _whole(1, 1 << 15),
    "multiple": _whole(1, 1 << 15),
}
_OPTIONAL = {"mesh": _whole(2, 1 << 15), "halo": _whole(0, 1 << 12), "block": _whole(1, 16)}
_PRIORS = _by_class(lambda p: _number(p) and 0 < p < 1), "numbers above 0 and below 1, by class"
_FOR_MASKS = {
    "classes": (
        lambda value: (
            isinstance(value, list)
            and all(isinstance(name, str) for name in value)
            and 0 < len(value) == len({*value})
        ),
        "a list of classes, each of them once",
    ),
    "training_priors": _PRIORS,
    "default_priors": _PRIORS,
    "thresholds": (
        _by_class(lambda t: _number(t) and 0 <= t <= 1),
        "numbers from 0 to 1, by class",
    ),
    "neighbour_gains": (
        _by_class(lambda gain: _number(gain) and gain >= 0),
        "numbers of 0 and above, by class",
    ),
}
_FOR_TRACKS = {
    "aggregation": (
        lambda value: isinstance(value, dict) and all(_number(value.get(k)) for k in _FIT),
        "a gain and an offset",
    )
}
_FIT = "gain", "offset"


def read_description(path, task):
    """
    Read what describes one of our networks.

    Parameters
    ----------
    path : Path
        Of `network.json`.
    task : {"mask", "track"}
        What the network has to answer.

    Returns
    -------
    dict
        With all that is optional, and the present names of classes.

    Raises
    ------
    NetworkError
        When it cannot be read, or says something that makes no sense.
    """
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NetworkError(f"{path}: not a description of a network ({error})") from None
    if not isinstance(description, dict) or "task" not in description:
        raise NetworkError(f"{path}: not a description of a network (no 'task')")
    if description["task"] != task:
        raise NetworkError(
            f"{path}: a network for the task '{description['task']}', expected '{task}'"
        )
    description = {"mesh": 128, "halo": 0, "block": 1, "neighbour_gains": {}, **description}
    expected = {
        "format": _exactly(FORMATS[task]),
        **_FOR_ALL,
        **_OPTIONAL,
        **(_FOR_MASKS if task == "mask" else _FOR_TRACKS),
    }
    for key, (good, words) in expected.items():
        if key not in description:
            raise NetworkError(f"{path}: not a description of a network (no '{key}')")
        if not good(description[key]):
            raise NetworkError(f"{path}: {key} is {description[key]!r}, expected {words}")
    if description["multiple"] % description["block"]:
        raise NetworkError(f"{path}: multiple is not a multiple of block")
    if task == "mask":
        _name_classes(path, description)
    return description


def _name_classes(path, description):
    """Give the classes their present names, and see that each has its values."""
    classes = [OLD_NAMES.get(name, name) for name in description["classes"]]
    unknown = [name for name in classes if name not in NAMES]
    if unknown:
        raise NetworkError(f"{path}: unknown class {unknown[0]!r}")
    description["classes"] = tuple(classes)
    tables = {
        key: {OLD_NAMES.get(name, name): float(v) for name, v in description[key].items()}
        for key in ("training_priors", "default_priors", "thresholds", "neighbour_gains")
    }
    gains = tables["neighbour_gains"]
    unknown = [name for name in gains if name not in classes]
    if unknown:
        raise NetworkError(f"{path}: neighbour_gains: unknown class {unknown[0]!r}")
    tables["neighbour_gains"] = dict.fromkeys(classes, 0.0) | gains
    for key, values in tables.items():
        missing = [name for name in classes if name not in values]
        if missing:
            raise NetworkError(f"{path}: {key} lacks {missing[0]}")
        description[key] = {name: values[name] for name in classes}
