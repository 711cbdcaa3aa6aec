"""A file of masks, written as they come."""

import gzip
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from math import prod
from pathlib import Path

import numpy as np
from astropy.io import fits

from maxitools.atomic import whole_file
from maxitools.pipeline import Behind
from maxitools.structure import BLOCK

# Fewer bytes are left to the system, which sends them to the disk in its own time.
_MANY = 1 << 20


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
        Where the file appears; a name that ends with `.gz` has it zipped.

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
        self._path = Path(path)
        self._end, self.empty = 0, True
        self.seconds = 0.0
        self._context = ExitStack()

    def __enter__(self):
        with self._errors_told():
            file = self._context.enter_context(whole_file(self._path))
            if self._path.suffix == ".gz":
                file = self._context.enter_context(_zipped(file, self._path.parent))
        self._handle = file.fileno()
        self._writer = self._context.enter_context(Behind())
        return self

    def __exit__(self, *exception):
        if exception[0] is None:
            self._later(self._finish)
        with self._errors_told():
            self._context.__exit__(*exception)

    def append(self, data):
        """Add bytes of HDUs that are copied as they are, whole blocks by the end."""
        self._later(self._append, data)
        self.empty = False

    def append_image(self, header):
        """
        Add an HDU of zeros.

        Parameters
        ----------
        header : astropy.io.fits.Header
            Of an image.
        """
        self._later(self._append_image, header)
        self.empty = False

    def write_rows(self, index, first, rows):
        """
        Write rows of one plane of the last HDU.

        Parameters
        ----------
        index : tuple of int
            Place of the plane along the axes before the last two.
        first : int
            First of the rows, which come in their order.
        rows : ndarray, (n, W)
            Their values.
        """
        self._later(self._write_rows, index, first, rows)

    def _append(self, data):
        self._write(data, self._end)
        self._end += len(data)

    def _append_image(self, header):
        self._append(header.tostring().encode("ascii"))
        self._shape, self._dtype = form(header)
        self._start = self._end
        self._end += -(-prod(self._shape) * self._dtype.itemsize // BLOCK) * BLOCK
        os.ftruncate(self._handle, self._end)

    def _write_rows(self, index, first, rows):
        place = int(np.ravel_multi_index((*index, first, 0), self._shape))
        data = np.ascontiguousarray(rows, self._dtype).data.cast("B")
        place = self._start + place * self._dtype.itemsize
        self._write(data, place)
        if len(data) >= _MANY:
            # They set out for the disk now, and the end need not wait for all of them. Not every
            # system, nor every file system, takes advice.
            with suppress(AttributeError, OSError):
                os.posix_fadvise(self._handle, place, len(data), os.POSIX_FADV_DONTNEED)

    def _finish(self):
        """Write what has been kept back."""

    def _later(self, function, *arguments):
        self._writer.call(self._timed, function, *arguments)

    def _timed(self, function, *arguments):
        start = time.perf_counter()
        with self._errors_told():
            function(*arguments)
        self.seconds += time.perf_counter() - start

    def _write(self, data, place):
        view = memoryview(data)
        while len(view):
            written = os.pwrite(self._handle, view, place)
            view, place = view[written:], place + written

    @contextmanager
    def _errors_told(self):
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{self._path}: cannot be written ({reason})") from None


def form(header):
    """Shape of an image as its header has it, and type of its pixels as FITS stores them."""
    shape = tuple(header[f"NAXIS{i}"] for i in range(header["NAXIS"], 0, -1))
    return shape, np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]]).newbyteorder(">")


@contextmanager
def _zipped(file, folder):
    """A file to write to, in any order; what it holds in the end is zipped into another."""
    with tempfile.TemporaryFile(dir=folder) as plain:
        yield plain
        # Masks shrink so much that more effort gains little.
        with gzip.GzipFile("", "wb", 1, file, mtime=0) as zipped:
            plain.seek(0)
            shutil.copyfileobj(plain, zipped, 1 << 20)
