"""Networks of max unpooling, expressed by fast operations that give the same numbers."""

from collections import namedtuple
from itertools import product

import tensorflow as tf

Layer = namedtuple("Layer", "kind inputs constant", defaults=(None,))
Layer.__doc__ = """A step of a network, the indices of the layers it reads, and its weights."""

_ELEMENTWISE = {"Asinh": tf.asinh, "Relu": tf.nn.relu, "AddV2": tf.add, "BiasAdd": tf.nn.bias_add}


class UnknownGraphError(ValueError):
    """A graph with operations that are not expected in a network of this kind."""


def read_layers(graph):
    """
    Read a network of convolutions, max pooling with argmax, and unpooling.

    Parameters
    ----------
    graph : GraphDef
        Without variables, from pixels, its first placeholder, to the sigmoid of logits.

    Returns
    -------
    list of Layer
        From the pixels to the logits; each reads earlier ones only.

    Raises
    ------
    UnknownGraphError
        When the graph holds other operations.
    """
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
        if node.op == "AddV2" and source(node, 1).op == "Const":
            return Layer("BiasAdd", (place(source(node, 0)),), constant(source(node, 1)))
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

    logits = source(outputs[0], 0)
    if logits.op == "Reshape":  # of rows and columns, to one axis
        logits = source(logits, 0)
    place(logits)
    return layers


class Window(namedtuple("Window", "top bottom left right")):
    """Rows [top, bottom) and columns [left, right) of a layer."""

    __slots__ = ()

    @classmethod
    def whole(cls, size):
        """All of a layer of a size (H, W)."""
        return cls(0, size[0], 0, size[1])

    def grown(self, size):
        """One pixel more on each side, within the layer."""
        return Window(
            max(self.top - 1, 0),
            min(self.bottom + 1, size[0]),
            max(self.left - 1, 0),
            min(self.right + 1, size[1]),
        )

    def halved(self):
        """The 2 x 2 blocks that hold it."""
        return Window(self.top // 2, -(-self.bottom // 2), self.left // 2, -(-self.right // 2))

    def doubled(self, size):
        """The pixels of its blocks, within the layer."""
        return Window(
            2 * self.top, min(2 * self.bottom, size[0]), 2 * self.left, min(2 * self.right, size[1])
        )

    def joined(self, other):
        """The smallest window that holds both."""
        return Window(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )

    def of(self, value):
        """Cut it out of a tensor that holds the layer."""
        return value[:, self.top : self.bottom, self.left : self.right]

    def within(self, outer):
        """The same pixels, counted from the corner of another window."""
        return Window(
            self.top - outer.top,
            self.bottom - outer.top,
            self.left - outer.left,
            self.right - outer.left,
        )


def windows_needed(layers, size, wanted, given):
    """
    What of each layer some windows depend on.

    Parameters
    ----------
    layers : list of Layer
        From `read_layers`.
    size : tuple of int
        Size (H, W) of the pixels, a tile.
    wanted : dict
        Window by index of layer.
    given : set of int
        Layers that are known: nothing is needed for them.

    Returns
    -------
    dict
        Window by index of layer, for those that are needed.
    """
    sizes, needed = sizes_of(layers, size), dict(wanted)
    for index in reversed(range(len(layers))):
        if index not in needed or index in given:
            continue
        layer, here = layers[index], needed[index]
        if layer.kind == "Conv2D":
            asked = [here.grown(sizes[index])]
        elif layer.kind == "MaxPoolWithArgmax":
            asked = [here.doubled(sizes[layer.inputs[0]])]
        elif layer.kind == "Unpool":
            asked = [here.halved(), here.halved().doubled(sizes[index])]
        else:
            asked = [here] * len(layer.inputs)
        for i, window in zip(layer.inputs, asked, strict=True):
            needed[i] = window.joined(needed.get(i, window))
    return needed


def evaluate(layers, size, needed, given):
    """
    Compute windows of layers.

    Parameters
    ----------
    layers : list of Layer
        From `read_layers`.
    size : tuple of int
        Size (H, W) of the pixels, a tile.
    needed : dict
        From `windows_needed`.
    given : dict
        Tensor (N, rows, columns, channels), just what is needed, by index of layer.

    Returns
    -------
    dict
        The tensors of all layers needed.
    """
    sizes, values, marks = sizes_of(layers, size), dict(given), {}

    def cut(i, wanted):
        return wanted.within(needed[i]).of(values[i])

    for index in sorted(needed.keys() - given.keys()):
        layer, here = layers[index], needed[index]
        if layer.kind == "Conv2D":
            around = here.grown(sizes[index])
            # Zeros only where the tile itself ends.
            borders = [
                (1 - here.top + around.top, 1 - around.bottom + here.bottom),
                (1 - here.left + around.left, 1 - around.right + here.right),
            ]
            value = convolve(cut(layer.inputs[0], around), layer.constant, borders)
        elif layer.kind == "ConcatV2":
            value = tf.concat([cut(i, here) for i in layer.inputs], -1)
        elif layer.kind == "MaxPoolWithArgmax":
            blocks = cut(layer.inputs[0], here.doubled(sizes[layer.inputs[0]]))
            value = tf.nn.max_pool2d(blocks, 2, 2, "SAME")
        elif layer.kind == "Unpool":
            blocks = here.halved()
            key = layer.inputs[1], blocks
            if key not in marks:
                marks[key] = _mark_maxima(cut(layer.inputs[1], blocks.doubled(sizes[index])))
            value = _unpool(cut(layer.inputs[0], blocks), marks[key])
            value = here.within(blocks.doubled(sizes[index])).of(value)
        else:
            value = elementwise(layer, *(cut(i, here) for i in layer.inputs))
        values[index] = value
    return values


def sizes_of(layers, size):
    """Size (H, W) of each layer, for tiles of a size."""
    sizes = []
    for layer in layers:
        if layer.kind == "Placeholder":
            sizes.append(size)
        elif layer.kind == "MaxPoolWithArgmax":
            sizes.append(tuple(-(-side // 2) for side in sizes[layer.inputs[0]]))
        else:
            sizes.append(sizes[layer.inputs[-1]])
    return sizes


def convolve(pixels, kernel, borders):
    """Convolve, with zeros added in front of and behind rows and columns."""
    # With these two kinds of padding TensorFlow joins bias and rectifier to the convolution.
    for name, kind in (("VALID", [(0, 0)] * 2), ("SAME", [(1, 1)] * 2)):
        if borders == kind:
            return tf.nn.conv2d(pixels, kernel, 1, name)
    return tf.nn.conv2d(tf.pad(pixels, [(0, 0), *borders, (0, 0)]), kernel, 1, "VALID")


def elementwise(layer, *values):
    constants = () if layer.constant is None else (layer.constant,)
    return _ELEMENTWISE[layer.kind](*values, *constants)


def _mark_maxima(pixels):
    """
    Tell the first maximum of each block of 2 x 2 pixels (N, H, W, C).

    Returns
    -------
    tensor, float32, (N rows of blocks, 2, columns of blocks, 2, C)
        1 where it is, elsewhere 0.
    """
    height, width, depth = pixels.shape[1:]
    # What is pooled is never negative, so these pixels are never a first maximum.
    beyond = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    pixels = tf.pad(pixels, beyond, constant_values=-1.0)
    maxima = tf.nn.max_pool2d(pixels, 2, 2, "VALID")
    columns = -(-width // 2)
    highest = tf.equal(
        tf.reshape(pixels, (-1, 2, columns, 2, depth)),
        tf.reshape(maxima, (-1, 1, columns, 1, depth)),
    )
    marks, found = [], False
    for row, column in product(range(2), repeat=2):
        corner = highest[:, row, :, column]
        marks.append(tf.logical_and(corner, tf.logical_not(found)))
        found = tf.logical_or(found, corner)
    rows = [tf.stack(marks[:2], axis=2), tf.stack(marks[2:], axis=2)]
    return tf.cast(tf.stack(rows, axis=1), tf.float32)


def _unpool(values, marks):
    """Put each value (N, H, W, C) at the marked pixel of its block."""
    height, width, depth = values.shape[1:]
    pixels = tf.reshape(values, (-1, 1, width, 1, depth)) * marks
    return tf.reshape(pixels, (-1, 2 * height, 2 * width, depth))
