"""A file of masks, written as they come."""

import os
import time
from contextlib import ExitStack, contextmanager
from math import prod

import numpy as np
from astropy.io import fits

from maxitools.atomic import whole_file
from maxitools.frames import BLOCK
from maxitools.pipeline import Behind


class OutputError(ValueError):
    """A result that cannot be written; the message says where and why."""


class MaskFile:
    """
    A FITS file that is written as results come, and appears whole or not at all.

    Astropy streams an HDU from its first byte to its last; masks come strip by strip
    for all planes at once, so the data of an HDU is written here. A thread writes
    while the caller goes on.

    The file appears when its context ends without an error, and is on the disk by then.
    Until then it has another name in the same folder.

    Parameters
    ----------
    path : path-like
        Where the file appears.

    Attributes
    ----------
    seconds : float
        Spent in writing.
    empty : bool
        Whether no HDU has been added.

    Raises
    ------
    OutputError
        By any method, and on leaving the context, when the file cannot be written.
    """

    def __init__(self, path):
        self._path = path
        self._end = 0
        self.seconds = 0.0
        self._context = ExitStack()

    @property
    def empty(self):
        return self._end == 0

    def __enter__(self):
        with self._errors_told():
            self._handle = self._context.enter_context(whole_file(self._path)).fileno()
        self._writer = self._context.enter_context(Behind())
        return self

    def __exit__(self, *exception):
        with self._errors_told():
            self._context.__exit__(*exception)

    def append(self, data):
        """Add bytes of HDUs that are copied as they are, whole blocks by the end."""
        self._writer.call(self._write, data, self._end)
        self._end += len(data)

    def append_image(self, header):
        """
        Add an HDU of zeros.

        Parameters
        ----------
        header : astropy.io.fits.Header
            Of an image.
        """
        text = header.tostring().encode("ascii")
        self._writer.call(self._write, text, self._end)
        self._shape = tuple(header[f"NAXIS{i}"] for i in range(header["NAXIS"], 0, -1))
        self._dtype = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]]).newbyteorder(">")
        self._start = self._end + len(text)
        self._end = self._start + -(-prod(self._shape) * self._dtype.itemsize // BLOCK) * BLOCK
        self._writer.call(self._reach, self._end)

    def write_rows(self, index, first, rows):
        """
        Write rows of one plane of the last HDU.

        Parameters
        ----------
        index : tuple of int
            Place of the plane along the axes before the last two.
        first : int
            First of the rows.
        rows : ndarray, (n, W)
            Their values.
        """
        place = int(np.ravel_multi_index((*index, first, 0), self._shape))
        self._writer.call(
            self._write, rows, self._start + place * self._dtype.itemsize, self._dtype
        )

    def _reach(self, end):
        with self._errors_told():
            os.ftruncate(self._handle, end)

    def _write(self, data, place, dtype=None):
        start = time.perf_counter()
        if dtype is not None:
            data = np.ascontiguousarray(data, dtype).data.cast("B")
        view = memoryview(data)
        with self._errors_told():
            while len(view):
                written = os.pwrite(self._handle, view, place)
                view, place = view[written:], place + written
        self.seconds += time.perf_counter() - start

    @contextmanager
    def _errors_told(self):
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{self._path}: cannot be written ({reason})") from None
