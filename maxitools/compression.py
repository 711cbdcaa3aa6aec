"""Masks compressed tile by tile while they come, as FITS 4.0 has it in section 10."""

import io
import os
import re
from functools import lru_cache
from math import ceil, prod

import numpy as np
from astropy.io import fits

from maxitools.maskfile import MaskFile, form
from maxitools.structure import BLOCK

# Rows of a tile, and bytes of tiles that are compressed at once.
_ROWS, _BATCH = 64, 1 << 22
# Cards of an image whose place others take in its table.
_STRUCTURE = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT")


def compressed(tiles):
    """
    Compress arrays without loss: integers by RICE, floats by GZIP after shuffling their bytes.

    Parameters
    ----------
    tiles : list of ndarray, (rows, W)
        Of one shape and type.

    Returns
    -------
    list of bytes
    """
    # Astropy's own coders have no public door but this.
    stack = np.stack(tiles)
    hdu = fits.CompImageHDU(
        stack,
        compression_type="GZIP_2" if stack.dtype.kind == "f" else "RICE_1",
        tile_shape=(1, *stack.shape[1:]),
        quantize_level=0,
    )
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file)
    file.seek(0)
    with fits.open(file, disable_image_compression=True) as hdus:
        return [row.tobytes() for row in hdus[1].data["COMPRESSED_DATA"]]


@lru_cache
def _constant(value, shape, dtype):
    """A compressed tile of one value."""
    return compressed([np.full(shape, value, dtype)])[0]


def table_header(header, rows):
    """
    Header of the table that holds a compressed image.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.
    rows : int
        Rows of a tile; it has all columns, and one of whatever other axes there are.

    Returns
    -------
    astropy.io.fits.Header
        Where the sizes of the heap and of the largest tile are still to be told.
    """
    width, height, *planes = (header[f"NAXIS{i + 1}"] for i in range(header["NAXIS"]))
    bits = header["BITPIX"]
    # Places in the heap may have to count beyond 32 bits.
    wide = 2 * prod((width, height, *planes)) * abs(bits) // 8 >= 1 << 31
    table = fits.Header()
    table["XTENSION"] = ("BINTABLE", "image, compressed")
    table["BITPIX"], table["NAXIS"], table["NAXIS1"] = 8, 2, 16 if wide else 8
    table["NAXIS2"] = (ceil(height / rows) * prod(planes), "tiles")
    table["PCOUNT"], table["GCOUNT"], table["TFIELDS"] = 0, 1, 1
    table["TTYPE1"], table["TFORM1"] = "COMPRESSED_DATA", f"1{'Q' if wide else 'P'}B(0)"
    table["ZIMAGE"] = True
    structure = [card for card in header.cards if _STRUCTURE.fullmatch(card.keyword)]
    for card in structure:
        name = "TENSION" if card.keyword == "XTENSION" else card.keyword
        table[f"Z{name}"] = (card.value, card.comment)
    for i, size in enumerate((width, rows, *(1 for _ in planes)), 1):
        table[f"ZTILE{i}"] = size
    if bits < 0:
        table["ZCMPTYPE"], table["ZQUANTIZ"] = "GZIP_2", "NONE"
    else:
        table["ZCMPTYPE"] = "RICE_1"
        table["ZNAME1"], table["ZVAL1"] = "BLOCKSIZE", 32
        table["ZNAME2"], table["ZVAL2"] = "BYTEPIX", bits // 8
    table.extend(header.cards[len(structure) :], unique=False, update=False)
    return table


class _Tiles:
    """
    The tiles of an image on their way into a table.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.
    start : int
        Place of the table in its file.
    write : callable
        `write(data, place)` writes bytes.
    """

    def __init__(self, header, start, write):
        self._shape, self._dtype = form(header)
        self._rows = min(_ROWS, self._shape[-2])
        self._table, self._start, self._write = table_header(header, self._rows), start, write
        number, width = self._table["NAXIS2"], self._table["NAXIS1"] // 2
        # Size and place in the heap of each; those of size 0 are still to come.
        self._places = np.zeros((number, 2), f">i{width}")
        self._heap = start + len(self._table.tostring()) + self._places.nbytes
        self._size, self._parts, self._waiting = 0, {}, {}

    def add(self, index, first, rows):
        """Take rows of one plane, as `MaskFile.write_rows`."""
        rows = rows.astype(self._dtype, copy=False)
        plane = int(np.ravel_multi_index(index, self._shape[:-2])) if index else 0
        height = self._shape[-2]
        while len(rows):
            tile = first // self._rows
            end = min((tile + 1) * self._rows, height)
            parts = self._parts.setdefault(plane, [])
            if first + len(rows) < end:
                # Not a view: the strip that it is from may go.
                parts.append(rows.copy())
                return
            whole = np.concatenate([*parts, rows[: end - first]])
            self._tile(plane * ceil(height / self._rows) + tile, whole)
            parts.clear()
            first, rows = end, rows[end - first :]

    def _tile(self, number, tile):
        # Most tiles are constant, and need no work but once.
        if (tile == tile[0, 0]).all():
            self._put(number, _constant(tile[0, 0].item(), tile.shape, tile.dtype))
            return
        self._waiting[number] = tile
        if len(self._waiting) * tile.nbytes > _BATCH:
            self._compress()

    def _compress(self):
        for height in {len(tile) for tile in self._waiting.values()}:
            chosen = {n: tile for n, tile in self._waiting.items() if len(tile) == height}
            for number, data in zip(chosen, compressed(list(chosen.values())), strict=True):
                self._put(number, data)
        self._waiting.clear()

    def _put(self, number, data):
        self._places[number] = len(data), self._size
        self._write(data, self._heap + self._size)
        self._size += len(data)

    def finish(self):
        """Write what is left; the end of the table."""
        height, width = self._shape[-2:]
        each = ceil(height / self._rows)
        for number in np.flatnonzero(self._places[:, 0] == 0):
            if number not in self._waiting:
                rows = min(self._rows, height - number % each * self._rows)
                self._put(number, _constant(0, (rows, width), self._dtype))
        self._compress()
        code = self._table["TFORM1"].partition("(")[0]
        self._table["TFORM1"] = f"{code}({self._places[:, 0].max()})"
        self._table["PCOUNT"] = self._size
        text = self._table.tostring().encode("ascii")
        self._write(text, self._start)
        self._write(self._places.tobytes(), self._start + len(text))
        return ceil((self._heap + self._size) / BLOCK) * BLOCK


class CompressedFile(MaskFile):
    """A `MaskFile` whose images are compressed while they come; its first HDU holds none."""

    _tiles = None

    def _append(self, data):
        self._finish()
        super()._append(data)

    def _append_image(self, header):
        self._finish()
        if self._end == 0:
            super()._append(fits.PrimaryHDU().header.tostring().encode("ascii"))
        self._tiles = _Tiles(header, self._end, self._write)

    def _write_rows(self, index, first, rows):
        self._tiles.add(index, first, rows)

    def _finish(self):
        if self._tiles is not None:
            self._end = self._tiles.finish()
            self._tiles = None
            os.ftruncate(self._handle, self._end)
