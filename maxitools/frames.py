"""A FITS file -> its HDUs, one at a time."""

import gzip
import os
import random
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from maxitools.inputs import InputError

_ROWS = 256


@dataclass(eq=False)
class CopiedHDU:
    """
    An HDU without an image to process.

    Attributes
    ----------
    data : bytes
        All of it, header and padding included.
    """

    data: bytes


@dataclass(eq=False)
class ImageHDU:
    """
    An HDU with a 2-D image, or with a cube of several.

    Attributes
    ----------
    index : int
        Number of the HDU in its file, 0 for the primary one.
    header : astropy.io.fits.Header
        Of the image; a compressed one has the header that it had before.
    primary : astropy.io.fits.Header
        That of the file's first HDU.
    shape : tuple of int
        (H, W) or (planes, H, W).
    """

    index: int
    header: fits.Header
    primary: fits.Header
    shape: tuple
    _hdu: object

    def planes(self):
        """
        Read the images, one at a time.

        Yields
        ------
        index : tuple of int
            Place of the image in a cube; empty in a 2-D HDU.
        image : ndarray, float32, (H, W)
            Scaled pixel values; blank integers are NaN.

        Raises
        ------
        InputError
            When the data cannot be read.
        """
        for index in np.ndindex(self.shape[:-2]):
            image = np.empty(self.shape[-2:], np.float32)
            try:
                for first in range(0, len(image), _ROWS):
                    rows = slice(first, min(first + _ROWS, len(image)))
                    image[rows] = self._hdu.section[(*index, rows)]
            except Exception as error:
                # Damaged data raises nearly any type, the compressed ones above all.
                reason = f"HDU {self.index} cannot be read ({error})"
                raise InputError(reason) from error
            yield index, image


def _is_image(hdu):
    return (
        isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU)
        and len(hdu.shape) in (2, 3)
        and 0 not in hdu.shape
    )


@contextmanager
def plain_file(path):
    """Open a file. A gzipped one is unpacked first, as it would be unzipped anew for each HDU."""
    with open(path, "rb") as file:
        if file.read(2) != b"\x1f\x8b":
            yield file
            return
    with gzip.open(path) as stream, tempfile.NamedTemporaryFile() as unpacked:
        shutil.copyfileobj(stream, unpacked, 1 << 20)
        unpacked.flush()
        with open(unpacked.name, "rb") as file:
            yield file


def read_hdus(source):
    """
    Read a file, one HDU in memory at a time.

    Parameters
    ----------
    source : maxitools.inputs.Input
        A file, or one HDU of it.

    Yields
    ------
    ImageHDU or CopiedHDU
        In the order of the file. For one HDU, its header has the cards of the primary
        header too, as that is where most cameras describe the exposure.

    Raises
    ------
    InputError
        When the file or the HDU cannot be read, or there is no image to process.
    """
    try:
        with plain_file(source.path) as file, fits.open(file, memmap=False) as hdus:
            if source.hdu is None:
                yield from _all_hdus(file, hdus)
            else:
                yield _one_hdu(hdus, source.hdu)
    except InputError:
        raise
    except OSError as error:
        # The reader's own message goes on with advice to programmers.
        reason = str(error).partition(",")[0]
        raise InputError(error.strerror or f"not a FITS file ({reason})") from error
    except Exception as error:
        # A damaged file makes the FITS reader raise nearly any type.
        raise InputError(f"cannot be read ({error})") from error


def _all_hdus(file, hdus):
    found = False
    for index, hdu in enumerate(hdus):
        if _is_image(hdu):
            found = True
            yield ImageHDU(index, hdu.header.copy(), hdus[0].header, hdu.shape, hdu)
            del hdu.data
        else:
            info = hdu.fileinfo()
            first, last = info["hdrLoc"], info["datLoc"] + info["datSpan"]
            yield CopiedHDU(os.pread(file.fileno(), last - first, first))
    if not found:
        raise InputError("holds no 2-D image")


def _one_hdu(hdus, index):
    try:
        hdu = hdus[index]
    except IndexError:
        raise InputError(
            f"HDU {index} is out of range, the file has HDUs 0 to {len(hdus) - 1}"
        ) from None
    if not _is_image(hdu):
        raise InputError(f"HDU {index} holds no 2-D image")
    header = hdu.header.copy()
    if index > 0:
        header.extend(hdus[0].header, unique=True)
    return ImageHDU(index, header, hdus[0].header, hdu.shape, hdu)


def draw(source, most):
    """
    Draw image HDUs of a file at random, without replacement.

    Parameters
    ----------
    source : maxitools.inputs.Input
        A file, or one HDU of it.
    most : int
        How many; -1 for all.

    Returns
    -------
    set of int or None
        Their numbers; None where all are meant.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    if most < 0:
        return None
    indices = [hdu.index for hdu in read_hdus(source) if isinstance(hdu, ImageHDU)]
    return set(random.sample(indices, min(most, len(indices))))


def described(*headers):
    """
    What headers tell of an exposure.

    Parameters
    ----------
    *headers : astropy.io.fits.Header
        Of an image, then of its file: the first that has a card tells.

    Returns
    -------
    dict
        "date_obs" and "filter", str, and "exptime", float, in seconds; None where no header tells.
    """

    def card(*keys):
        return next((h[key] for h in headers for key in keys if key in h), None)

    date, time, name = (str(card(key) or "").strip() for key in ("DATE-OBS", "TIME-OBS", "FILTER"))
    if date and "T" not in date and time:
        date += f"T{time}"
    exptime = card("EXPTIME", "EXPOSURE")
    known = isinstance(exptime, int | float)
    return {
        "date_obs": date or None,
        "filter": name or None,
        "exptime": float(exptime) if known else None,
    }


def is_whole(path):
    """
    Whether a file is FITS to its last byte: nothing is cut off, nothing follows.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
    """
    try:
        with plain_file(path) as file, fits.open(file, memmap=False) as hdus:
            last = hdus[len(hdus) - 1].fileinfo()
            return last["datLoc"] + last["datSpan"] == file.seek(0, os.SEEK_END)
    except Exception:
        # A damaged file makes the FITS reader raise nearly any type.
        return False
