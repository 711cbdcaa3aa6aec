"""An image -> overlapping tiles -> batches, and back, in bounded memory."""

from collections import namedtuple
from itertools import islice

import numpy as np

Span = namedtuple("Span", "start stop first last")
Span.__doc__ = """A tile [start, stop) along one axis, and the pixels [first, last) it answers."""


class Tile(namedtuple("Tile", "pixels rows columns")):
    """The pixels of a tile (H, W, channels) and the Span of its rows and columns."""

    __slots__ = ()

    @property
    def inner(self):
        """Slices of the tile's rows and columns that it answers."""
        return tuple(
            slice(span.first - span.start, span.last - span.start)
            for span in (self.rows, self.columns)
        )


class HaloTiling:
    """
    Equal tiles that share a halo with their neighbours, for a convolutional network.

    Tiles are as few and as small as the limit allows, so that little is computed
    twice; those at an edge are flush with it.

    Parameters
    ----------
    tile : int
        Largest side of a tile, halo included, in pixels.
    halo : int
        Pixels on each inner side whose answer is thrown away.
    multiple : int
        Tiles have sides that are multiples of this.
    """

    def __init__(self, tile, halo, multiple):
        self.tile, self.halo, self.multiple = tile, halo, multiple

    def spans(self, size):
        """
        Tiles along an axis.

        Parameters
        ----------
        size : int
            Length of the axis in pixels.

        Returns
        -------
        list of Span
            In order; together they answer each pixel once. In a small image a tile ends
            beyond it.
        """
        n = max(1, -(-(size - 2 * self.halo) // (self.tile - 2 * self.halo)))
        length = -(-(size + 2 * self.halo * (n - 1)) // n)
        length = -(-length // self.multiple) * self.multiple
        starts = [min(i * (length - 2 * self.halo), max(size - length, 0)) for i in range(n)]
        edges = [0] + [start + self.halo for start in starts[1:]] + [size]
        return [
            Span(start, start + length, first, last)
            for start, first, last in zip(starts, edges, edges[1:], strict=False)
        ]


def tiles(rows_of, shape, tiling):
    """
    Cut an image into tiles, row by row.

    Parameters
    ----------
    rows_of : callable
        `rows_of(first, last)` gives the normalised rows [first, last) as an ndarray
        (last - first, W, channels).
    shape : tuple of int
        Shape (H, W) of the image.
    tiling : object
        Where the tiles lie; its `spans` is as that of `HaloTiling`.

    Yields
    ------
    Tile
        What lies outside a small image repeats it mirrored.
    """
    height, width = shape
    x_spans = tiling.spans(width)
    for y in tiling.spans(height):
        rows = rows_of(y.start, min(y.stop, height))
        missing = [(0, y.stop - y.start - rows.shape[0]), (0, max(x_spans[-1].stop - width, 0))]
        if np.any(missing):
            rows = np.pad(rows, [*missing, (0, 0)], mode="symmetric")
        # Copies, so that these rows are let go before the next ones are made.
        for x in x_spans:
            yield Tile(rows[:, x.start : x.stop].copy(), y, x)
        del rows


def batches(iterable, size):
    """Lists of up to `size` successive items."""
    iterator = iter(iterable)
    while batch := list(islice(iterator, size)):
        yield batch


def stacked(batch):
    """The pixels of a list of tiles of one size, (tiles, H, W, channels)."""
    if len(batch) == 1:
        return batch[0].pixels[np.newaxis]
    return np.stack([tile.pixels for tile in batch])


def inner(batch, answers):
    """The part of each answer (H, W, ...) that its tile stands for."""
    return [answer[tile.inner] for tile, answer in zip(batch, answers, strict=True)]
