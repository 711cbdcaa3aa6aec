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


class PublishedTiling:
    """
    The tiling of the networks published with releases 1.0 to 1.4.1.

    Tiles of 400 pixels at a stride of 200, each answering its central 200 pixels and
    its outer 100 where it touches the image's edge; one tile more, flush with the far
    edge, where the size is no multiple of 400. Of overlapping tiles the later one wins.

    Parameters
    ----------
    most : int
        Successive tiles along each axis that are joined, at the most: what is given as
        one tile is then a block of them.
    """

    tile, stride, margin = 400, 200, 100
    # Tiles meet the pixels of layers pooled three times alike where it divides their distance.
    aligned = 8

    def __init__(self, most=1):
        self.most = most

    def starts(self, size):
        """Where tiles begin along an axis."""
        last = max(size - self.tile, 0)
        return [*range(0, last, self.stride), last]

    def spans(self, size):
        """As `HaloTiling.spans`."""
        starts = self.starts(size)
        apart = [starts.pop()] if len(starts) > 1 and starts[-1] % self.aligned else []
        blocks = np.array_split(starts, -(-len(starts) // self.most))
        blocks = [(int(block[0]), int(block[-1])) for block in blocks]
        blocks += [(start, start) for start in apart]
        edges = [0] + [first + self.margin for first, _ in blocks[1:]] + [size]
        return [
            Span(begin, end + self.tile, first, last)
            for (begin, end), first, last in zip(blocks, edges, edges[1:], strict=False)
        ]


class WholeTiling:
    """
    Tiles side by side, without those that would stick out of the image.

    Parameters
    ----------
    tile : int
        Side of a tile in pixels.
    centred : bool
        Whether the pixels left over are at both ends of an axis, or all at its start.
    """

    def __init__(self, tile, centred):
        self.tile, self.centred = tile, centred

    def spans(self, size):
        """As `HaloTiling.spans`, but for the pixels left over."""
        margin = size % self.tile if size > self.tile else 0
        first = margin // 2 if self.centred else margin
        starts = range(first, max(size - self.tile, 0) + 1, self.tile)
        return [Span(start, start + self.tile, start, start + self.tile) for start in starts]


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
    tiling : HaloTiling or PublishedTiling
        Where the tiles lie.

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
