"""What there is to train: each task's module, and its weights and descriptions on disk."""

import json
import warnings

from maxitools.descriptions import FORMATS
from training import masking, tracking

TASKS = {"mask": masking, "track": tracking}


def read_description(path):
    """
    Read what a network's directory says of it, to write such a directory.

    Parameters
    ----------
    path : Path
        Of `network.json`.

    Returns
    -------
    task : module
        Of `TASKS`.
    description : dict
        Of the present format: weights are the same in all of them.

    Raises
    ------
    ValueError
        If there is none of a known task.
    """
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        task = description["task"]
        return TASKS[task], {**description, "format": FORMATS[task]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no description of a network ({error})") from None


def fill(network, path):
    """
    Load weights into a network.

    Parameters
    ----------
    network : keras.Model
    path : Path
        File of weights (``.weights.h5``).

    Returns
    -------
    keras.Model
        `network`, filled.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds the weights of another architecture.
    """
    try:
        # Keras warns at length before it fails.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            network.load_weights(path)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: no weights of this network ({reason})") from None
    return network
