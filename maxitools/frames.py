"""A FITS file, judged sound -> its HDUs, one at a time."""

import gzip
import os
import random
import re
import stat
import tempfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits

from maxitools.inputs import Input, InputError
from maxitools.messages import reason
from maxitools.structure import CHUNK, Copied, Plain, walk
from maxitools.wcs import OF_WCS

_ROWS = 256


@dataclass(eq=False)
class CopiedHDU:
    """
    An HDU without an image to process, or a piece of a large one.

    Attributes
    ----------
    data : bytes
        As in the file, header and padding included.
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
    notes : list of str
        What is not as it should be, though the image can be read.
    """

    index: int
    header: fits.Header
    primary: fits.Header
    shape: tuple
    _hdu: object
    notes: list = field(default_factory=list)

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
            When the data cannot be read, or do not fit in memory.
        """
        for index in np.ndindex(self.shape[:-2]):
            yield index, self._plane(index)

    def _plane(self, index):
        try:
            # Zeros that are not written take no memory.
            image = np.zeros(self.shape[-2:], np.float32)
            for first in range(0, len(image), _ROWS):
                rows = slice(first, min(first + _ROWS, len(image)))
                # Beyond the range of single precision a value is infinite.
                with np.errstate(over="ignore", invalid="ignore"):
                    pixels = self._hdu.section[(*index, rows)]
                    if pixels.any():
                        image[rows] = pixels
        except Exception as error:
            # Damaged data raises nearly any type, the compressed ones above all.
            raise InputError(f"HDU {self.index} cannot be read ({reason(error)})") from error
        return image


@contextmanager
def _opened(source):
    """
    Open a file and judge it.

    A gzipped one is unpacked first, as it would be unzipped anew for each HDU, and a header
    with bytes that none may have is made plain.

    Yields
    ------
    file, places, hdus
        The file, the `maxitools.structure.Place` of each HDU, and what astropy makes of them.
    """
    if source.error:
        raise InputError(source.error)
    try:
        with ExitStack() as stack:
            # A pipe would wait here for someone who writes.
            handle = os.open(source.path, os.O_RDONLY | os.O_NONBLOCK)
            file = stack.enter_context(open(handle, "rb"))
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise InputError("not a regular file")
            zipped, places = file.read(2) == b"\x1f\x8b", []
            file.seek(0)
            if not zipped:
                places = walk(Plain(file))
                file.seek(0)
            if zipped or not all(place.plain for place in places):
                stream = stack.enter_context(gzip.open(file)) if zipped else file
                copy = stack.enter_context(tempfile.TemporaryFile())
                places = walk(Copied(stream, copy))
                copy.truncate(places[-1].whole)
                copy.flush()
                # By another name it would be one to write to.
                file = stack.enter_context(open(copy.fileno(), "rb", closefd=False))
                file.seek(0)
            hdus = fits.open(file, memmap=False)
            # All of them now, while the file is as it was judged.
            len(hdus)
            yield file, places, hdus
    except InputError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"cannot be unzipped ({error})") from error
    except OSError as error:
        raise InputError(error.strerror or f"cannot be read ({error})") from error
    except Exception as error:
        # A damaged file makes the FITS reader raise nearly any type.
        raise InputError(f"cannot be read ({reason(error)})") from error


def _is_image(hdus, index, place):
    hdu = hdus[index]
    images = fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU
    tables = fits.TableHDU | fits.BinTableHDU
    if place.kind in ("IMAGE", "TABLE", "BINTABLE") and not isinstance(hdu, images | tables):
        raise InputError(f"the header of HDU {index} cannot be understood")
    if isinstance(hdu, tables | fits.GroupsHDU) or not isinstance(hdu, images):
        return False
    if len(hdu.shape) not in (2, 3) or 0 in hdu.shape:
        return False
    if hdu.fileinfo()["datLoc"] != place.data:
        raise InputError(f"the header of HDU {index} cannot be understood")
    return True


def _image(file, hdus, index, place, primary):
    """The image of an HDU, with the header of the file's first one."""
    hdu = hdus[index]
    cards, broken = _sound_cards(hdu.header)
    notes = []
    if broken:
        told = ", ".join(broken)
        notes.append(f"HDU {index}: the masks lack cards that cannot be read ({told})")
    if not _agrees(file, place):
        notes.append(f"HDU {index}: the data do not agree with DATASUM")
    return ImageHDU(index, fits.Header(cards), primary, hdu.shape, hdu, notes)


def _sound_cards(header):
    """The cards of a header that can be read and written, and the keywords of the others."""
    sound, broken = [], []
    for card in header.cards:
        try:
            # What astropy cannot parse or print it tells when asked for it.
            value, _, _ = card.value, card.comment, str(card)
            wrong = not re.fullmatch(r"[\w-]* *", card.image[:8], re.ASCII)
            wrong |= card.keyword.startswith("WCSAXES") and type(value) is not int
        except Exception:
            wrong = True
        if wrong:
            broken.append(card.rawkeyword)
        else:
            sound.append(card)
    return sound, broken


def _agrees(file, place):
    """Whether the data of an HDU have the sum that its header tells, if it does."""
    told = str(place.datasum or "").strip()
    if not told.isdecimal():
        return True
    total = 0
    for start in range(place.data, place.end, CHUNK):
        data = os.pread(file.fileno(), min(CHUNK, place.end - start), start)
        data += b"\0" * (-len(data) % 4)
        total += int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    # A sum of ones' complement, where all ones are zero as well.
    return total % 0xFFFFFFFF == int(told) % 0xFFFFFFFF


def read_hdus(source, most=-1):
    """
    Read a file, a part of it in memory at a time.

    Parameters
    ----------
    source : maxitools.inputs.Input
        A file, or one HDU of it.
    most : int or float
        Image HDUs to read, drawn at random without replacement, and no other HDU: how many, or,
        being a float, which share of them, one at least. All HDUs when -1.

    Yields
    ------
    ImageHDU or CopiedHDU
        In the order of the file. For one HDU, its header has the cards of the primary
        header too, as that is where most cameras describe the exposure, but for those of
        coordinates.

    Raises
    ------
    InputError
        When the file is not sound from its first byte to its last, it or the HDU cannot be
        read, or there is no image to process.
    """
    with _opened(source) as (file, places, hdus):
        indices = [i for i, place in enumerate(places) if _is_image(hdus, i, place)]
        wanted = range(len(places))
        if source.hdu is not None:
            wanted = [source.hdu]
            _check_number(source.hdu, indices, len(places))
        elif not indices:
            raise InputError("holds no 2-D image")
        elif most >= 0:
            number = max(1, round(most * len(indices))) if isinstance(most, float) else most
            wanted = sorted(random.sample(indices, min(number, len(indices))))
        notes = []
        if places[-1].end < places[-1].whole:
            notes = [
                f"ends within a block of HDU {len(places) - 1}: what may have followed is lost"
            ]
        primary = fits.Header(_sound_cards(hdus[0].header)[0])
        for index in wanted:
            if index not in indices:
                yield from _copied(file, index, places[index])
                continue
            image = _image(file, hdus, index, places[index], primary)
            if source.hdu:
                cards = [c for c in primary.cards if not OF_WCS.fullmatch(c.keyword)]
                image.header.extend(cards, unique=True)
            image.notes += notes
            notes = []
            yield image


def _check_number(index, indices, count):
    """See that an HDU that is asked for by number is there, and one of those with an image."""
    if index >= count:
        raise InputError(f"HDU {index} is out of range, the file has HDUs 0 to {count - 1}")
    if index not in indices:
        raise InputError(f"HDU {index} holds no 2-D image")


def _copied(file, index, place):
    for start in range(place.header, place.end, CHUNK):
        size = min(CHUNK, place.end - start)
        data = os.pread(file.fileno(), size, start)
        if len(data) < size:
            raise InputError(f"HDU {index} was cut while it was read")
        if start + size == place.end:
            data += (place.whole - place.end) * (b" " if place.kind == "TABLE" else b"\0")
        yield CopiedHDU(data)


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
        with _opened(Input(str(path), Path(path))):
            return True
    except InputError:
        return False
