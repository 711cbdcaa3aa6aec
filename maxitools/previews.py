"""The picture beside the masks, drawn while they are made."""

import time
import zlib
from pathlib import Path

from maxitools.atomic import whole_file
from maxitools.messages import reason, say
from maxitools.outputs import Output
from maxitools.pictures import Detector, Picture
from maxitools.pipeline import Behind


def glance(image):
    """
    What a preview keeps of an image.

    Parameters
    ----------
    image : ndarray, (H, W)

    Returns
    -------
    maxitools.pictures.Detector or Exception
        What went wrong, so that it costs the picture alone.
    """
    try:
        return Detector(image)
    except Exception as error:
        return error


class Preview(Output):
    """
    A picture of the image with outlines of its masks.

    A thread draws while the caller goes on. What goes wrong is told on a line, and costs the
    picture alone.

    Parameters
    ----------
    path : path-like
        Where it appears.
    name : str
        What to call the image.
    classes : sequence of str
        Names of the masks' planes.
    """

    def __init__(self, path, name, classes):
        super().__init__()
        self._path, self._classes = Path(path), classes
        self._picture, self._thread = Picture(name), Behind()
        self._error, self.seconds["preview"] = None, 0.0

    def __enter__(self):
        self._thread.__enter__()
        return self

    def __exit__(self, *exception):
        if exception[0] is None:
            self._later(self._save)
        self._thread.__exit__(*exception)
        if exception[0] is not None:
            return
        if self._error is None:
            self.logged["preview"] = str(self._path.absolute())
        else:
            say(f"maximask: {self._path}: cannot be drawn ({reason(self._error)})")

    def begin(self, plane):
        self._later(self._add, plane.glance, plane.hdu, plane.index)

    def add(self, plane, rows, answer):
        self._later(self._add_rows, rows.start, answer)

    def _add(self, detector, hdu, index):
        if isinstance(detector, Exception):
            raise detector
        detector.headers = hdu.header, hdu.primary
        words = f"HDU {hdu.index}", hdu.header.get("EXTNAME"), *index
        detector.label = " ".join(str(word) for word in words if word is not None)
        self._detector = detector
        self._picture.add(detector)

    def _add_rows(self, first, planes):
        self._detector.add_rows(first, planes, self._classes)

    def _save(self):
        with whole_file(self._path) as file:
            # Noise is packed as well by this as by what takes three times as long.
            self._picture.draw().save(file, "png", compress_type=zlib.Z_RLE)

    def _later(self, function, *arguments):
        self._thread.call(self._try, function, *arguments)

    def _try(self, function, *arguments):
        start = time.perf_counter()
        try:
            if self._error is None:
                function(*arguments)
        except Exception as error:
            self._error = error
        self.seconds["preview"] += time.perf_counter() - start
