"""What becomes of an input: masks that mirror its HDUs, or a line."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from maxitools.atomic import append_line, check_room, remove_forgotten
from maxitools.compression import CompressedFile
from maxitools.frames import is_whole
from maxitools.headers import class_cards, mask_header
from maxitools.inputs import InputError
from maxitools.maskfile import MaskFile
from maxitools.messages import one_line, reason, say


class Output:
    """
    What becomes of one input, made as its HDUs come; each kind of it derives from this.

    It is entered before the first HDU. When it is left without an error all HDUs have
    been given, and what it makes has to be there, whole; when with one, nothing of it.

    Attributes
    ----------
    summary : str
        What to say of the input beside how fast it went.
    logged : dict
        What its line in a log tells.
    seconds : dict
        Spent on what takes time, by step.
    """

    summary = ""

    def __init__(self):
        self.seconds, self.logged = {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def copy(self, hdu):
        """Take a `maxitools.frames.CopiedHDU`, which holds no image."""

    def begin(self, plane):
        """Take a `maxitools.runs.Plane`, whose answers follow."""

    def add(self, plane, rows, answer):
        """
        Take an answer of the network to the plane that began last.

        Parameters
        ----------
        plane : maxitools.runs.Plane
        rows : slice
            Rows of the image that are answered.
        answer : ndarray
            As from `maxitools.inference.mask_strips` or `track_answers`.
        """

    def end(self, hdu):
        """
        Take the end of an HDU of images.

        Parameters
        ----------
        hdu : maxitools.frames.ImageHDU

        Returns
        -------
        dict
            What its line in a log tells.
        """
        return {}


class Shares(Output):
    """
    The share of an HDU's pixels in each class, for a log.

    Parameters
    ----------
    classes : sequence of str
        Names of the planes.
    """

    def __init__(self, classes):
        super().__init__()
        self._counts = dict.fromkeys(classes, 0)

    def add(self, plane, rows, answer):
        for name, mask in zip(self._counts, answer, strict=True):
            self._counts[name] += np.count_nonzero(mask)

    def end(self, hdu):
        size = math.prod(hdu.shape)
        shares = {name: count / size for name, count in self._counts.items()}
        self._counts = dict.fromkeys(self._counts, 0)
        return {"shares": shares}


class Masks(Output):
    """
    A file of masks that mirrors the input.

    Parameters
    ----------
    path : path-like
        Where it appears.
    task : maxitools.tasks.Task
        What the masks show.
    network : maxitools.networks.Network
        That gives them.

    Raises
    ------
    OutputError
        By any method, as `MaskFile`.
    """

    def __init__(self, path, task, network):
        super().__init__()
        self._path, self._task, self._network = path, task, network

    def __enter__(self):
        kind = CompressedFile if Path(self._path).suffix == ".fz" else MaskFile
        self._file = kind(self._path).__enter__()
        return self

    def __exit__(self, *exception):
        self._file.__exit__(*exception)
        self.seconds["write"] = self._file.seconds
        self.logged["output"] = str(Path(self._path).absolute())

    def copy(self, hdu):
        self._file.append(hdu.data)

    def begin(self, plane):
        # The planes of a cube share an HDU.
        if not any(plane.index):
            self._file.append_image(self._header(plane.hdu))

    def add(self, plane, rows, answer):
        masks = self._task.shaped(answer)
        if self._task.codes is not None:
            self._file.write_rows(plane.index, rows.start, masks)
            return
        for place, mask in enumerate(masks):
            self._file.write_rows((place, *plane.index), rows.start, mask)

    def _header(self, hdu):
        cards = class_cards(self._task, self._network.device, self._network.version)
        shape = self._task.shape(hdu.shape)
        return mask_header(hdu.header, shape, self._task.dtype, self._file.empty, cards)


class Verdict(Output):
    """
    The probability of an exposure, appended to a file as a line; `None` where it has none.

    Parameters
    ----------
    path : path-like
        The file.
    source : maxitools.inputs.Input
        The exposure.
    combine : callable
        From the answers to the tiles of each image, a list of ndarray, to a probability.
    verbose : bool
        Whether to tell the probability of each tile.

    Raises
    ------
    InputError
        On leaving, when there was no image with data, or no number comes of it.
    """

    def __init__(self, path, source, combine, verbose=False):
        super().__init__()
        self._path, self._source, self._combine = path, source, combine
        self._verbose, self._answers, self._ended = verbose, [], 0

    def __exit__(self, *exception):
        if exception[0] is not None and not issubclass(exception[0], Exception):
            return
        value, error = None, None
        if exception[0] is None:
            value = self._combine(self._answers) if self._answers else None
            self.summary = str(value)
            if value is None:
                error = "holds no image with data"
            elif math.isnan(value):
                value, error = None, "the network's answer is no number"
        self.logged.update(output=str(Path(self._path).absolute()), probability=value)
        append_line(self._path, f"{one_line(self._source.given)} {value}")
        if error:
            raise InputError(error)

    def add(self, plane, rows, answer):
        self._answers.append(answer)
        if self._verbose:
            each = " ".join(f"{self._combine([tile]):.2g}" for tile in answer[:, None])
            say(f"HDU {plane.hdu.index}: tiles {each}")

    def end(self, hdu):
        answers = self._answers[self._ended :]
        self._ended = len(self._answers)
        return {"probability": self._combine(answers) if answers else None}


class Claim(Output):
    """
    A note of what a file was made from, taken when it is made.

    Parameters
    ----------
    made : dict
        The Input by the path of its file; added to.
    path : Path
        The file.
    source : maxitools.inputs.Input
    """

    def __init__(self, made, path, source):
        super().__init__()
        self._made, self._path, self._source = made, path, source

    def __exit__(self, kind, *_):
        if kind is None:
            self._made[self._path] = self._source


def with_room(inputs, names):
    """
    Inputs, with an error where it is clear that their masks cannot be written.

    What killed runs left in the folders of masks is removed.

    Parameters
    ----------
    inputs : list of maxitools.inputs.Input
    names : maxitools.naming.MaskNames

    Returns
    -------
    list of Input
    """
    errors = {}
    for folder in {names.path(source).parent for source in inputs if not source.error}:
        try:
            check_room(folder)
            remove_forgotten(folder)
        except (OSError, ValueError) as error:
            errors[folder] = f"its masks cannot be written ({reason(error)})"
    return [
        replace(source, error=source.error or errors.get(names.path(source).parent))
        for source in inputs
    ]


def masks_there(names):
    """
    Which masks are there, whole, and newer than their image.

    Parameters
    ----------
    names : maxitools.naming.MaskNames

    Returns
    -------
    callable
        From an Input to the path of its masks; to None where they have to be made.
    """

    def there(source):
        path = names.path(source)
        if source.error:
            return None
        try:
            newer = path.stat().st_mtime_ns > source.path.stat().st_mtime_ns
        except OSError:
            return None
        return path if newer and is_whole(path) else None

    return there


def verdicts_there(path):
    """
    Which exposures have a probability in a file.

    Parameters
    ----------
    path : path-like
        As of `Verdict`; it need not exist.

    Returns
    -------
    callable
        From an Input to the path of the file; to None where its probability is not in there.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    path = Path(path)
    text = path.read_text("utf-8", "surrogateescape") if path.exists() else ""
    lines = (line.rpartition(" ") for line in text.split("\n"))
    judged = {given for given, _, value in lines if value != "None"}
    return lambda source: path if one_line(source.given) in judged else None
