"""The bytes of a FITS file -> where its HDUs are, if all is there that their headers promise."""

import os
import re
import tempfile
from dataclasses import dataclass
from functools import partial
from math import prod

from astropy.io import fits

from maxitools.inputs import InputError

BLOCK = 2880
CHUNK = 1 << 24
# Longer headers are no headers: what has no end has to be given up somewhere.
_MOST_BLOCKS = 10_000
_NOT_PLAIN = re.compile(rb"[^ -~]")
# Those that are registered; another name is a damaged one.
_EXTENSIONS = {"IMAGE", "TABLE", "BINTABLE", "IUEIMAGE", "A3DTABLE", "FOREIGN", "DUMP"}


class Plain:
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


class Copied:
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
        """As `Plain.space`."""
        told = os.fstatvfs(self._copy.fileno())
        return told.f_bavail * told.f_frsize

    def skip(self, size):
        """As `Plain.skip`."""
        left = size
        while left and (data := self._stream.read(min(left, CHUNK))):
            self._copy.write(data)
            left -= len(data)
        return size - left


@dataclass(frozen=True)
class Place:
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


def walk(source):
    """
    Find the HDUs of a file from its first byte to its last.

    Astropy passes over what it does not understand and takes the rest for the whole; and it
    looks at a file only as far as it is asked.

    Parameters
    ----------
    source : Plain or Copied
        At its start.

    Returns
    -------
    list of Place

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
        places.append(Place(start, data, end, header.get("XTENSION"), header.get("DATASUM"), plain))
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
