"""Where the tiles of the published networks lie."""

import numpy as np

from maxitools.tiling import Span


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
        """As `maxitools.tiling.HaloTiling.spans`."""
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
        """As `maxitools.tiling.HaloTiling.spans`, but for the pixels left over."""
        margin = size % self.tile if size > self.tile else 0
        first = margin // 2 if self.centred else margin
        starts = range(first, max(size - self.tile, 0) + 1, self.tile)
        return [Span(start, start + self.tile, start, start + self.tile) for start in starts]
