"""Tiles that overlap, answered together: what they share of a network is computed once."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import tensorflow as tf

from maxitools.published.unpooling import (
    Window,
    convolve,
    elementwise,
    evaluate,
    sizes_of,
    windows_needed,
)


class Blocks:
    """
    A network's answers to the tiles of a block, which share the layers before its coarsest.

    A tile sees zeros around it, so near its border its layers differ from those of the
    block: there, and only there, they are computed for each tile.

    Parameters
    ----------
    layers : list of maxitools.published.unpooling.Layer, or None
        They begin with a chain of convolutions and poolings. Without them every tile is
        answered as published.
    tiling : maxitools.tiling.PublishedTiling
        How tiles make blocks.
    finish : callable
        From a tensor of logits (1, rows, columns, C) to the answer.
    as_published : callable
        From the pixels (1, H, W, 1) of a tile to the answer, an ndarray (1, H, W, C), for the
        tiles that hold what is not finite: what a maximum is there, only the network's own
        pooling says.
    """

    def __init__(self, layers, tiling, finish, as_published):
        self._layers, self._finish, self._as_published = layers, finish, as_published
        self._tiling, self._size = tiling, (tiling.tile, tiling.tile)
        if layers is None:
            return
        # Tiles meet the pixels of a layer alike as long as its scale divides their distance.
        self._scales = {0: 1}
        for index, layer in enumerate(layers[1:], 1):
            scale = self._scales[index - 1] * (2 if layer.kind == "MaxPoolWithArgmax" else 1)
            if tiling.aligned % scale or layer.inputs != (index - 1,):
                break
            self._scales[index] = scale
        self._last = max(self._scales)
        reading = ("Conv2D", "MaxPoolWithArgmax")
        self._kept = [i for i in self._scales if layers[i + 1].kind in reading]
        self._encoder, self._decoders = tf.function(self._encode, autograph=False), {}

    def answer(self, block):
        """
        Answer a block.

        Parameters
        ----------
        block : maxitools.tiling.Tile
            A tile, or several that overlap.

        Returns
        -------
        ndarray, (rows, columns, C)
            Of what the block stands for.
        """
        shared = self._layers and self._encoder(tf.constant(block.pixels[None]))
        rows = [
            [self._question(block, shared, y, x) for x in self._tiles(block.columns)]
            for y in self._tiles(block.rows)
        ]
        # Two at once: where the steps of one are too small for all threads, the other's fill in.
        alone = tf.config.threading.get_intra_op_parallelism_threads() == 1
        with ThreadPoolExecutor(1 if alone else 2) as pool:
            answers = [[pool.submit(question) for question in row] for row in rows]
            return np.concatenate([np.concatenate([a.result() for a in row], 1) for row in answers])

    def _tiles(self, span):
        """Where each tile of a block begins along an axis, and what of it is wanted."""
        starts = self._tiling.starts(span.stop - span.start)
        edges = [start + self._tiling.margin for start in starts[1:]]
        edges = [span.first - span.start, *edges, span.last - span.start]
        for start, first, last in zip(starts, edges, edges[1:], strict=False):
            yield start, slice(first - start, last - start)

    def _question(self, block, shared, vertical, horizontal):
        """The call that answers a tile of a block."""
        (top, rows), (left, columns) = vertical, horizontal
        pixels = block.pixels[top : top + self._size[0], left : left + self._size[1]]
        if not self._layers or not np.isfinite(pixels).all():
            return lambda: self._as_published(pixels[None])[0, rows, columns]
        # A function is made for each window: one of a few, whatever the sizes of images.
        window = Window(rows.start, self._rounded(rows), columns.start, self._rounded(columns))
        decoder, corner = self._decoder(window, shared), tf.constant((top, left))
        height, width = rows.stop - rows.start, columns.stop - columns.start
        return lambda: decoder(shared, corner).numpy()[0, :height, :width]

    def _rounded(self, wanted):
        """The end of a slice, or what comes after it and is a multiple of half the margin."""
        step = self._tiling.margin // 2
        return -(-wanted.stop // step) * step

    def _encode(self, pixels):
        """The shared layers, from the pixels (1, H, W, 1) of a block: a list of tensors."""
        size = tuple(pixels.shape[1:3])
        sizes = sizes_of(self._layers, size)
        wanted = {i: Window.whole(sizes[i]) for i in self._kept}
        needed = windows_needed(self._layers, size, wanted, {0})
        values = evaluate(self._layers, size, needed, {0: pixels})
        return [values[i] for i in self._kept]

    def _decoder(self, window, shared):
        """The function that answers a window of a tile, from what is shared and its corner."""
        if window not in self._decoders:
            specs = [tf.TensorSpec((1, None, None, value.shape[-1])) for value in shared]
            self._decoders[window] = tf.function(
                partial(self._decode, window),
                input_signature=(specs, tf.TensorSpec((2,), tf.int32)),
                autograph=False,
            )
        return self._decoders[window]

    def _decode(self, window, shared, corner):
        shared = dict(zip(self._kept, shared, strict=True))

        def cut(index, here):
            top, left = tf.unstack(corner // self._scales[index])
            rows, columns = here.bottom - here.top, here.right - here.left
            begin = 0, top + here.top, left + here.left, 0
            return tf.slice(shared[index], begin, (1, rows, columns, shared[index].shape[-1]))

        end = len(self._layers) - 1
        needed = windows_needed(self._layers, self._size, {end: window}, shared.keys())
        given = {i: cut(i, needed[i]) for i in needed.keys() & shared.keys()}
        given[self._last] = needed[self._last].of(self._framed(cut))
        return self._finish(evaluate(self._layers, self._size, needed, given)[end])

    def _framed(self, cut):
        """The last shared layer of a tile: its own border around what is shared."""
        sizes, first = sizes_of(self._layers, self._size), self._kept[0]
        frame = _Frame.empty(sizes[first][0], partial(cut, first))
        for index in range(first + 1, self._last + 1):
            layer = self._layers[index]
            if layer.kind == "Conv2D":
                frame = frame.convolved(layer.constant)
            elif layer.kind == "MaxPoolWithArgmax":
                frame = frame.pooled()
            else:
                frame = frame.mapped(partial(elementwise, layer))
            frame.inside = partial(cut, index)
        return frame.filled()


class _Frame:
    """
    The border of a tile in a layer.

    Parameters
    ----------
    size, width : int
        Side of the layer, and how far the border reaches, in pixels.
    sides : list of tensor
        Top and bottom, (1, width, size, C), then left and right without the corners,
        (1, size - 2 width, width, C).

    Attributes
    ----------
    inside : callable
        Set later: from a Window to what lies within the border.
    """

    def __init__(self, size, width, sides):
        self.size, self.width, self.sides = size, width, sides

    @classmethod
    def empty(cls, size, inside):
        """A border of no width: of the pixels themselves."""
        windows = (0, 0, 0, size), (0, 0, 0, size), (0, size, 0, 0), (0, size, 0, 0)
        frame = cls(size, 0, [inside(Window(*window)) for window in windows])
        frame.inside = inside
        return frame

    def _wider(self, n):
        """The sides, each with n pixels more on its inner side."""
        top, bottom, left, right = self.sides
        first, last = self.width, self.size - self.width
        more = [
            (first, first + n, first, last),
            (last - n, last, first, last),
            (first, last, first, first + n),
            (first, last, last - n, last),
        ]
        more = [self.inside(Window(*window)) for window in more]
        rows = [
            tf.concat([left[:, part], middle, right[:, part]], 2)
            for part, middle in zip((slice(n), slice(-n, None)), more, strict=False)
        ]
        return [
            tf.concat([top, rows[0]], 1),
            tf.concat([rows[1], bottom], 1),
            tf.concat([left, more[2]], 2),
            tf.concat([more[3], right], 2),
        ]

    def convolved(self, kernel):
        """After a convolution of 3 x 3: zeros around the tile are seen one pixel deeper."""
        zeros = ((1, 0), (1, 1)), ((0, 1), (1, 1)), ((0, 0), (1, 0)), ((0, 0), (0, 1))
        sides = [
            convolve(side, kernel, [*borders])
            for side, borders in zip(self._wider(2), zeros, strict=True)
        ]
        return _Frame(self.size, self.width + 1, sides)

    def pooled(self):
        """After a pooling of 2 x 2, of whole blocks."""
        sides, width = self.sides, self.width
        if width % 2:
            *sides, left, right = self._wider(1)
            sides, width = [*sides, left[:, 1:-1], right[:, 1:-1]], width + 1
        sides = [tf.nn.max_pool2d(side, 2, 2, "VALID") for side in sides]
        return _Frame(self.size // 2, width // 2, sides)

    def mapped(self, function):
        """After an operation on each pixel."""
        return _Frame(self.size, self.width, [function(side) for side in self.sides])

    def filled(self):
        """The whole layer."""
        top, bottom, left, right = self.sides
        first, last = self.width, self.size - self.width
        middle = tf.concat([left, self.inside(Window(first, last, first, last)), right], 2)
        return tf.concat([top, middle, bottom], 1)
