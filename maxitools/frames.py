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
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
from astropy.io import fits

from maxitools.inputs import Input, InputError
from maxitools.messages import reason
from maxitools.wcs import OF_WCS

BLOCK = 2880
_CHUNK = 1 << 24
_ROWS = 256
# Longer headers are no headers: what has no end has to be given up somewhere.
_MOST_BLOCKS = 10_000
_NOT_PLAIN = re.compile(rb"[^ -~]")
# Those that are registered; another name is a damaged one.
_EXTENSIONS = {"IMAGE", "TABLE", "BINTABLE", "IUEIMAGE", "A3DTABLE", "FOREIGN", "DUMP"}


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


def _check_resources(header, size, index, space):
    """See that an image fits in memory, and what is unpacked on the disk."""
    if size > space:
        raise InputError(
            f"HDU {index} unpacks to {size / 1e9:.1f} GB, "
            f"{space / 1e9:.1f} GB are free in {tempfile.gettempdir()}"
        )
    axes = _image_axes(header)
    if axes and header[axes] in (2, 3):
        needed, free = 4 * header[f"{axes}1"] * header[f"{axes}2"], _free_memory()
        if needed > free:
            raise InputError(
                f"HDU {index} is an image of {needed / 1e9:.1f} GB, "
                f"{free / 1e9:.1f} GB of memory are free"
            )


def _image_axes(header):
    """The keyword that counts the axes of an image, compressed or not; None in a table."""
    if "ZIMAGE" in header or "ZCMPTYPE" in header:
        return "ZNAXIS"
    return "NAXIS" if header.get("XTENSION", "IMAGE") == "IMAGE" else None


def _free_memory():
    """Bytes of memory that are free, as Linux tells it; no limit is known elsewhere."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            (line,) = (line for line in file if line.startswith("MemAvailable:"))
        return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        return float("inf")


class _Plain:
    """A file to walk through, where what is not needed is not read."""

    def __init__(self, file):
        self._file, self._size = file, os.fstat(file.fileno()).st_size
        self.block = partial(file.read, BLOCK)

    def space(self):
        """Bytes of data that there is space for."""
        return float("inf")

    def skip(self, size):
        """Pass over bytes of data; how many there were."""
        place = self._file.tell()
        return self._file.seek(min(place + size, max(self._size, place))) - place


class _Copied:
    """A stream to walk through, copied as far as the walk goes, with headers in plain ASCII."""

    def __init__(self, stream, copy):
        self._stream, self._copy = stream, copy

    def block(self):
        """The next block of a header."""
        data = self._stream.read(BLOCK)
        # What has no text is no header.
        self._copy.write(_NOT_PLAIN.sub(b"?", data) if data.strip(b"\0 ") else data)
        return data

    def space(self):
        """As `_Plain.space`."""
        told = os.fstatvfs(self._copy.fileno())
        return told.f_bavail * told.f_frsize

    def skip(self, size):
        """As `_Plain.skip`."""
        left = size
        while left and (data := self._stream.read(min(left, _CHUNK))):
            self._copy.write(data)
            left -= len(data)
        return size - left


@dataclass(frozen=True)
class _Place:
    """
    Where an HDU is in its file: header, data and end, in bytes.

    With what the header says of its kind and of the sum of its data, and whether it is ASCII.
    """

    header: int
    data: int
    end: int
    kind: str
    datasum: str
    plain: bool

    @property
    def whole(self):
        """Where the next one begins."""
        return -(-self.end // BLOCK) * BLOCK


def _walk(source):
    """
    Find the HDUs of a file from its first byte to its last.

    Astropy passes over what it does not understand and takes the rest for the whole; and it
    looks at a file only as far as it is asked.

    Parameters
    ----------
    source : _Plain or _Copied
        At its start.

    Returns
    -------
    list of _Place

    Raises
    ------
    InputError
        When something is missing of what the headers promise, or something is there that
        they do not.
    """
    block = source.block()
    if not block.startswith(b"SIMPLE  ="):
        raise InputError("not a FITS file" if block else "not a FITS file (it is empty)")
    places, start = [], 0
    while block.strip(b"\0 "):
        text = _header(source, block, len(places))
        header = fits.Header.fromstring(_NOT_PLAIN.sub(b"?", text).decode("ascii"))
        size = _data_size(header, len(places))
        data = start + len(text)
        _check_resources(header, size, len(places), source.space())
        there = source.skip(size)
        if there < size:
            raise InputError(
                f"HDU {len(places)} is cut: {size} bytes of data promised, {there} found"
            )
        plain = not _NOT_PLAIN.search(text)
        end = data + size
        end += source.skip(-end % BLOCK)
        places.append(
            _Place(start, data, end, header.get("XTENSION"), header.get("DATASUM"), plain)
        )
        start = places[-1].whole
        block = source.block()
    # Tapes had blocks of zeros at their end.
    for _ in range(_MOST_BLOCKS):
        if not (block := source.block()):
            return places
        if block.strip(b"\0 "):
            break
    raise InputError(f"what follows HDU {len(places) - 1} is no HDU")


def _header(source, block, index):
    """The header that begins with a block, bytes."""
    if index and not block.startswith(b"XTENSION="):
        raise InputError(f"what follows HDU {index - 1} is no HDU")
    blocks = [block]
    while not any(block[i : i + 80].rstrip(b"\0 ") == b"END" for i in range(0, len(block), 80)):
        block = source.block()
        if len(blocks) == _MOST_BLOCKS:
            raise InputError(f"the header of HDU {index} has no end")
        blocks.append(block)
        if len(block) < BLOCK:
            break
    if len(block) < BLOCK:
        raise InputError(f"is cut in the header of HDU {index}")
    return b"".join(blocks)


def _data_size(header, index):
    """The bytes of data, without padding, that a header promises."""

    def value(keyword, expected, good, default=None):
        try:
            found = header.get(keyword, default)
        except Exception:
            # Of a card that breaks the syntax.
            found = header.cards[keyword].image[10:].strip()
        if keyword in header and header.count(keyword) > 1:
            raise InputError(f"{keyword} of HDU {index} is there more than once")
        if not good(found):
            found = "missing" if found is None else repr(found)
            raise InputError(f"{keyword} of HDU {index} is {found}, expected {expected}")
        return found

    def whole(keyword, least=0, default=None):
        def good(n):
            return type(n) is int and n >= least

        return value(keyword, f"a whole number from {least}", good, default)

    def sizes(axes, count, least=0):
        if count > 999:
            raise InputError(f"{axes} of HDU {index} is {count}, expected 999 at most")
        return [whole(f"{axes}{i + 1}", least) for i in range(count)]

    if index == 0:
        value("SIMPLE", "T", lambda simple: simple is True)
    else:
        value("XTENSION", "a kind of extension", _EXTENSIONS.__contains__)
    bits = abs(value("BITPIX", "8, 16, 32, 64, -32 or -64", fits.BITPIX2DTYPE.__contains__))
    naxis = value(
        "NAXIS", "a whole number from 0 to 999", lambda n: type(n) is int and 0 <= n < 1000
    )
    shape = sizes("NAXIS", naxis)
    axes = _image_axes(header)
    if axes:
        for keyword in ("BSCALE", "BZERO"):
            value(keyword, "a number", lambda number: type(number) in (int, float), 1)
    groups, parameters = whole("GCOUNT", default=1), whole("PCOUNT", default=0)
    if index == 0 and header.get("GROUPS") is True and shape[:1] == [0]:
        shape = shape[1:]
    if axes == "ZNAXIS":
        value("ZIMAGE", "T", lambda compressed: compressed is True)
        image = sizes("ZNAXIS", whole("ZNAXIS", 1), 1)
        tile = [whole(f"ZTILE{i}", 1, 1 if i > 1 else image[0]) for i in range(1, len(image) + 1)]
        tiles = prod(-(-n // t) for n, t in zip(image, tile, strict=True))
        if len(shape) != 2 or shape[1] != tiles:
            raise InputError(
                f"the compressed image of HDU {index} has {tiles} tiles by its header, "
                f"{shape[-1] if shape else 0} by its table"
            )
    return bits // 8 * groups * (parameters + prod(shape)) if shape else 0


@contextmanager
def _opened(source):
    """
    Open a file and judge it.

    A gzipped one is unpacked first, as it would be unzipped anew for each HDU, and a header
    with bytes that none may have is made plain.

    Yields
    ------
    file, places, hdus
        The file, the `_Place` of each HDU, and what astropy makes of them.
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
                places = _walk(_Plain(file))
                file.seek(0)
            if zipped or not all(place.plain for place in places):
                stream = stack.enter_context(gzip.open(file)) if zipped else file
                copy = stack.enter_context(tempfile.TemporaryFile())
                places = _walk(_Copied(stream, copy))
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


def _image(hdus, index, place):
    """The image of an HDU; None where there is none."""
    hdu = hdus[index]
    images = fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU
    tables = fits.TableHDU | fits.BinTableHDU
    if place.kind in ("IMAGE", "TABLE", "BINTABLE") and not isinstance(hdu, images | tables):
        raise InputError(f"the header of HDU {index} cannot be understood")
    if isinstance(hdu, tables | fits.GroupsHDU) or not isinstance(hdu, images):
        return None
    if len(hdu.shape) not in (2, 3) or 0 in hdu.shape:
        return None
    if hdu.fileinfo()["datLoc"] != place.data:
        raise InputError(f"the header of HDU {index} cannot be understood")
    cards, broken = _sound_cards(hdu.header)
    notes = []
    if broken:
        told = ", ".join(broken)
        notes.append(f"HDU {index}: the masks lack cards that cannot be read ({told})")
    primary = fits.Header(_sound_cards(hdus[0].header)[0])
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
    for start in range(place.data, place.end, _CHUNK):
        data = os.pread(file.fileno(), min(_CHUNK, place.end - start), start)
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
        if source.hdu is not None:
            wanted = images = {source.hdu: _one_hdu(hdus, places, source.hdu)}
        else:
            wanted = {i: _image(hdus, i, place) for i, place in enumerate(places)}
            images = {i: image for i, image in wanted.items() if image is not None}
            if not images:
                raise InputError("holds no 2-D image")
            if places[-1].end < places[-1].whole:
                next(iter(images.values())).notes.append(
                    f"ends within a block of HDU {len(places) - 1}: what may have followed is lost"
                )
            if most >= 0:
                number = max(1, round(most * len(images))) if isinstance(most, float) else most
                drawn = random.sample(sorted(images), min(number, len(images)))
                wanted = {i: images[i] for i in sorted(drawn)}
        for index, image in wanted.items():
            if image is None:
                yield from _copied(file, index, places[index])
                continue
            if not _agrees(file, places[index]):
                image.notes.append(f"HDU {index}: the data do not agree with DATASUM")
            yield image


def _copied(file, index, place):
    for start in range(place.header, place.end, _CHUNK):
        size = min(_CHUNK, place.end - start)
        data = os.pread(file.fileno(), size, start)
        if len(data) < size:
            raise InputError(f"HDU {index} was cut while it was read")
        if start + size == place.end:
            data += (place.whole - place.end) * (b" " if place.kind == "TABLE" else b"\0")
        yield CopiedHDU(data)


def _one_hdu(hdus, places, index):
    if index >= len(places):
        raise InputError(f"HDU {index} is out of range, the file has HDUs 0 to {len(places) - 1}")
    image = _image(hdus, index, places[index])
    if image is None:
        raise InputError(f"HDU {index} holds no 2-D image")
    if index > 0:
        cards = [c for c in image.primary.cards if not OF_WCS.fullmatch(c.keyword)]
        image.header.extend(cards, unique=True)
    return image


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
