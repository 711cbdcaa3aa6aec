"""Networks of max unpooling, expressed by fast operations that give the same numbers."""

from collections import namedtuple

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

Layer = namedtuple("Layer", "kind inputs constant", defaults=(None,))
Layer.__doc__ = """A step of a network, the indices of the layers it reads, and its weights."""

_ELEMENTWISE = {"Asinh": tf.asinh, "Relu": tf.nn.relu, "AddV2": tf.add, "BiasAdd": tf.nn.bias_add}


class UnknownGraphError(ValueError):
    """A graph with operations that are not expected in a network of this kind."""


def read_layers(function):
    """
    Read a network of convolutions, max pooling with argmax, and unpooling.

    Parameters
    ----------
    function : ConcreteFunction
        From pixels, its first argument, to the sigmoid of logits.

    Returns
    -------
    list of Layer
        From the pixels to the logits; each reads earlier ones only.

    Raises
    ------
    UnknownGraphError
        When the graph holds other operations.
    """
    graph = convert_variables_to_constants_v2(function).graph.as_graph_def()
    nodes = {node.name: node for node in graph.node}
    outputs = [node for node in graph.node if node.op == "Sigmoid"]
    if len(outputs) != 1:
        raise UnknownGraphError(f"{len(outputs)} sigmoids, expected one")
    layers, places = [], {}

    def source(node, i):
        found = nodes[node.input[i].partition(":")[0]]
        return source(found, 0) if found.op == "Identity" else found

    def constant(node):
        if node.op != "Const":
            raise UnknownGraphError(f"weights from {node.op}")
        # A tensor, not an array: the functions made for several windows share it.
        return tf.constant(tf.make_ndarray(node.attr["value"].tensor))

    def place(node):
        if node.name not in places:
            layer = read(node)
            places[node.name] = len(layers)
            layers.append(layer)
        return places[node.name]

    def read(node):
        if node.op == "Placeholder":
            return Layer(node.op, ())
        if node.op in ("Asinh", "Relu", "MaxPoolWithArgmax"):
            return Layer(node.op, (place(source(node, 0)),))
        if node.op == "AddV2":
            return Layer(node.op, (place(source(node, 0)), place(source(node, 1))))
        if node.op in ("Conv2D", "BiasAdd"):
            return Layer(node.op, (place(source(node, 0)),), constant(source(node, 1)))
        if node.op == "ConcatV2":
            last = len(node.input) - 1
            return Layer(node.op, tuple(place(source(node, i)) for i in range(last)))
        if node.op == "Reshape" and source(node, 0).op == "ScatterNd":
            # The scatter's indices end in those of a pooling, its updates are the values.
            scatter = source(node, 0)
            pool = source(source(source(scatter, 0), 1), 0)
            if pool.op == "MaxPoolWithArgmax":
                values = place(source(source(scatter, 1), 0))
                return Layer("Unpool", (values, place(source(pool, 0))))
        raise UnknownGraphError(f"operation {node.op} ({node.name})")

    place(source(outputs[0], 0))
    return layers


class Window(namedtuple("Window", "top bottom left right")):
    """Rows [top, bottom) and columns [left, right) of a layer."""

    __slots__ = ()

    def grown(self, size):
        """One pixel more on each side, within the layer."""
        return self._of(lambda first, last: (max(first - 1, 0), min(last + 1, size)))

    def halved(self):
        """The 2 x 2 blocks that hold it."""
        return self._of(lambda first, last: (first // 2, -(-last // 2)))

    def doubled(self, size):
        """The pixels of its blocks, within the layer."""
        return self._of(lambda first, last: (2 * first, min(2 * last, size)))

    def joined(self, other):
        """The smallest window that holds both."""
        return Window(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )

    def _of(self, change):
        return Window(*change(self.top, self.bottom), *change(self.left, self.right))


def tile_window(tile):
    """
    The window to compute for a tile.

    Its inner part, grown to one of the few windows that tiles of an image share: a
    function is made for each.

    Parameters
    ----------
    tile : maxitools.tiling.Tile
        With a margin of 100 pixels where it does not touch an edge of the image.

    Returns
    -------
    Window
    """
    edges = []
    for inner, size in zip(tile.inner, tile.pixels.shape, strict=False):
        edges += [0 if inner.start < 100 else 100, size if inner.stop > size - 100 else size - 100]
    return Window(*edges)


def logits(layers, pixels, window):
    """
    Compute a window of a network's logits, and of each layer only what it needs.

    Parameters
    ----------
    layers : list of Layer
        From `read_layers`.
    pixels : tensor, float32, (N, S, S, 1)
        Normalised tiles.
    window : Window
        Where logits are wanted.

    Returns
    -------
    tensor, float32, (N, bottom - top, right - left, C)
        What the network gives for the whole tile, cut to the window.
    """
    sizes = _sizes(layers, pixels.shape[1])
    windows = _needed(layers, sizes, window)
    values, marks = [], {}

    def cut(i, wanted):
        has = windows[i]
        top, left = wanted.top - has.top, wanted.left - has.left
        height, width = wanted.bottom - wanted.top, wanted.right - wanted.left
        return values[i][:, top : top + height, left : left + width]

    for layer, size, here in zip(layers, sizes, windows, strict=True):
        if layer.kind == "Placeholder":
            value = pixels
        elif layer.kind == "Conv2D":
            around = here.grown(size)
            # Zeros only where the tile itself ends.
            borders = [
                (1 - here.top + around.top, 1 - around.bottom + here.bottom),
                (1 - here.left + around.left, 1 - around.right + here.right),
            ]
            value = tf.nn.conv2d(
                cut(layer.inputs[0], around), layer.constant, 1, [(0, 0), *borders, (0, 0)]
            )
        elif layer.kind == "ConcatV2":
            value = tf.concat([cut(i, here) for i in layer.inputs], -1)
        elif layer.kind == "MaxPoolWithArgmax":
            blocks = cut(layer.inputs[0], here.doubled(sizes[layer.inputs[0]]))
            value = tf.nn.max_pool2d(blocks, 2, 2, "SAME")
        elif layer.kind == "Unpool":
            blocks = here.halved()
            key = layer.inputs[1], blocks
            if key not in marks:
                marks[key] = _mark_maxima(cut(layer.inputs[1], blocks.doubled(size)))
            value = _unpool(cut(layer.inputs[0], blocks), marks[key])
            top, left = here.top - 2 * blocks.top, here.left - 2 * blocks.left
            value = value[
                :, top : top + here.bottom - here.top, left : left + here.right - here.left
            ]
        else:
            inputs = [cut(i, here) for i in layer.inputs]
            constants = () if layer.constant is None else (layer.constant,)
            value = _ELEMENTWISE[layer.kind](*inputs, *constants)
        values.append(value)
    return values[-1]


def _sizes(layers, size):
    """Side of each layer, for tiles of a side."""
    sizes = []
    for layer in layers:
        if layer.kind == "Placeholder":
            sizes.append(size)
        elif layer.kind == "MaxPoolWithArgmax":
            sizes.append(-(-sizes[layer.inputs[0]] // 2))
        else:
            sizes.append(sizes[layer.inputs[-1]])
    return sizes


def _needed(layers, sizes, window):
    """The window of each layer that a window of the last one depends on."""
    needed = [None] * len(layers)
    needed[-1] = window
    for index in reversed(range(len(layers))):
        layer, here = layers[index], needed[index]
        if layer.kind == "Conv2D":
            wanted = [here.grown(sizes[index])]
        elif layer.kind == "MaxPoolWithArgmax":
            wanted = [here.doubled(sizes[layer.inputs[0]])]
        elif layer.kind == "Unpool":
            wanted = [here.halved(), here.halved().doubled(sizes[index])]
        else:
            wanted = [here] * len(layer.inputs)
        for i, asked in zip(layer.inputs, wanted, strict=True):
            needed[i] = asked if needed[i] is None else needed[i].joined(asked)
    # The pixels are there as they are.
    needed[0] = Window(0, sizes[0], 0, sizes[0])
    return needed


def _mark_maxima(pixels):
    """For each corner of the 2 x 2 blocks, 1 where it is the first maximum of its block."""
    height, width, depth = pixels.shape[1:]
    # What is pooled is never negative, so these pixels are never a first maximum.
    beyond = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    pixels = tf.pad(pixels, beyond, constant_values=-1.0)
    height, width = height + height % 2, width + width % 2
    rows = tf.reshape(pixels, (-1, height // 2, 2, width // 2, 2 * depth))
    corners = [half for row in tf.unstack(rows, axis=2) for half in tf.split(row, 2, -1)]
    maxima = tf.maximum(tf.maximum(corners[0], corners[1]), tf.maximum(corners[2], corners[3]))
    marks, found = [], tf.zeros_like(maxima, tf.bool)
    for corner in corners:
        first = tf.logical_and(tf.equal(corner, maxima), tf.logical_not(found))
        found = tf.logical_or(found, first)
        marks.append(tf.cast(first, tf.float32))
    return marks


def _unpool(values, marks):
    """Put each value at the marked corner of its block."""
    height, width, depth = values.shape[1:]
    rows = [
        tf.reshape(
            tf.concat([values * left, values * right], -1), (-1, height, 1, 2 * width * depth)
        )
        for left, right in (marks[:2], marks[2:])
    ]
    return tf.reshape(tf.concat(rows, 2), (-1, 2 * height, 2 * width, depth))
