"""A frozen graph of ours and its answers: in LiteRT on a CPU, in TensorFlow on a GPU."""

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from threading import Lock, local

import numpy as np

from maxitools.decisions import modify, raised
from maxitools.process import cores
from maxitools.tiling import inner, stacked

# Rows of blocks that a thread decides at once: few enough to stay in the cache, and enough for
# threads not to wait for each other.
_ROWS = 32


class LiteGraph:
    """
    A graph in LiteRT, TensorFlow's small runtime.

    Parameters
    ----------
    path : Path
        Of a file ``.tflite`` with one input, (N, H, W, channels), and one output.
    side : int
        Height and width of a small input, with which it is got ready.
    threads : int, optional
        CPU threads; all cores when not given.

    Attributes
    ----------
    device, version : str
        What it runs on, as headers tell.
    channels : int or None
        Of its answers, where that is known.
    """

    device = "CPU"

    def __init__(self, path, side, threads=None):
        from ai_edge_litert.interpreter import Interpreter

        self.version = f"LiteRT {version('ai-edge-litert')}"
        self._path, self._side, self._threads = path, side, min(threads or cores(), cores())
        self._graph = Interpreter(str(path), num_threads=self._threads)
        (pixels,), (answers,) = self._graph.get_input_details(), self._graph.get_output_details()
        self._input, self._output = pixels["index"], answers["index"]
        self._shape, self._lock = None, Lock()
        self._pool = ThreadPoolExecutor(self._threads)
        # Weights are sorted for this processor once, and its kernels report to stderr.
        self._prepare((side, side, pixels["shape"][-1]))
        self.channels = int(self._graph.get_output_details()[0]["shape"][-1])

    def masks(self, indices, factors, limits, block, gains):
        """
        Make the function that answers tiles; see `maxitools.network.Network.masks`.

        Parameters
        ----------
        indices, factors, limits
            As for `maxitools.network.Network._masks`.
        block : int
            Side of the blocks of pixels whose logits are the channels: row by row, and in a row
            class by class.
        gains : ndarray, (C,)
            What the logit of a pixel gains at the most where that of a neighbour is higher.

        Returns
        -------
        callable
        """
        if limits is None:
            # Here, as it takes a fifth of a second that masks do not need.
            from scipy.special import expit

            # Modifying a probability moves its logit.
            values, decide = np.log(factors), lambda logits, shifts: expit(logits - shifts)
        else:
            values, decide = _logit(limits), np.greater
        classes = [*zip(indices, values.astype(np.float32), gains.astype(np.float32), strict=True)]

        def answer(tile):
            return self._answer(
                tile, lambda x: _decided(x, tile, block, classes, decide, self._pool)
            )

        return lambda tiles: [answer(tile) for tile in tiles]

    def tracks(self):
        """Make the function that answers tiles; see `maxitools.network.Network.tracks`."""
        # Its steps are too small to be shared among threads: each answers tiles of its own.
        own = local()

        def start():
            own.graph = LiteGraph(self._path, self._side, threads=1)

        def answer(tile):
            return own.graph._answer(tile, np.copy)

        pool = ThreadPoolExecutor(self._threads, initializer=start)
        return lambda tiles: np.stack(list(pool.map(answer, tiles)))

    def _prepare(self, shape):
        """Get ready for pixels of a shape (H, W, channels)."""
        if shape != self._shape:
            self._shape = None
            self._graph.resize_tensor_input(self._input, (1, *shape))
            self._graph.allocate_tensors()
            self._shape = shape

    def _answer(self, tile, use):
        """What `use` makes of the output for a tile; the output itself does not last."""
        with self._lock:
            self._prepare(tile.pixels.shape)
            self._graph.set_tensor(self._input, tile.pixels[np.newaxis])
            self._graph.invoke()
            return use(self._graph.tensor(self._output)()[0])


def _decided(logits, tile, block, classes, decide, pool):
    """
    Choose among the logits of a tile, decide each, and take blocks apart.

    Parameters
    ----------
    logits : ndarray, (H / block, W / block, block**2 * classes)
    tile : maxitools.tiling.Tile
    block : int
    classes : list of tuple
        Index, value for `decide`, and gain of each class wanted.
    decide : callable
        From logits and values to what is asked for, element by element.
    pool : concurrent.futures.Executor
        Of threads that share the rows.

    Returns
    -------
    ndarray, (rows, columns, C)
        Of the inner part of the tile.
    """
    width, channels = logits.shape[1:]
    of_all = np.zeros(channels // block**2, np.float32)
    for index, value, _ in classes:
        of_all[index] = value
    # Whole rows: an operation on so few classes at a time would take twice as long.
    of_row = np.tile(np.repeat(of_all, block), width * block)
    rows, columns = tile.inner
    first, last = rows.start // block, -(-rows.stop // block)
    kind = decide(of_row[:1], of_row[:1]).dtype
    # Pixels of a class that are side by side in a block move as one.
    side_by_side = np.dtype((np.void, block * kind.itemsize))
    planes = np.empty((len(classes), last - first, block, width), side_by_side)

    def decide_rows(start):
        part = logits[start : min(start + _ROWS, last)]
        found = decide(part.reshape(len(part), -1), of_row).view(side_by_side)
        found = found.reshape(len(part), width, block, -1)
        into = planes[:, start - first :][:, : len(part)]
        for plane, (index, value, gain) in zip(into, classes, strict=True):
            if not gain:
                plane[...] = found[..., index].swapaxes(1, 2)
                continue
            # With the blocks above and below, for the neighbours there.
            begin = max(start - 1, 0)
            near = _plane(logits[begin : start + len(part) + 1], block, index)
            answers = raised(decide(near, value), decide(near, value - gain))
            answers = answers[(start - begin) * block :][: len(part) * block]
            plane[...] = answers.view(side_by_side).reshape(plane.shape)

    list(pool.map(decide_rows, range(first, last, _ROWS)))
    planes = planes.view(kind).reshape(len(classes), -1, width * block)
    begin = rows.start - first * block
    planes = planes[:, begin : begin + rows.stop - rows.start, columns]
    return np.moveaxis(planes.view(np.uint8) if planes.dtype == bool else planes, 0, -1)


def _plane(logits, block, index):
    """Logits (rows, columns) of a class, from those of blocks."""
    # As above, what is side by side moves as one.
    of_class = logits.view((np.void, block * logits.itemsize))
    of_class = of_class.reshape(*logits.shape[:2], block, -1)[..., index].swapaxes(1, 2)
    return np.ascontiguousarray(of_class).view(logits.dtype).reshape(len(logits) * block, -1)


class TensorGraph:
    """
    A graph in TensorFlow.

    Parameters
    ----------
    tf : module
        TensorFlow, started.
    path : Path
        Of a file ``.pb``.
    place, result : str
        Names of its input and its output.

    Attributes
    ----------
    device, version : str
        What it runs on, as headers tell.
    channels : None
        As of `LiteGraph`.

    Raises
    ------
    ValueError
        When the graph holds no such name.
    """

    device, channels = "GPU", None

    def __init__(self, tf, path, place, result):
        self._tf, self.version = tf, f"TensorFlow {tf.__version__}"
        self._graph = tf.compat.v1.GraphDef()
        self._graph.ParseFromString(path.read_bytes())
        nodes = {f"{node.name}:0": node for node in self._graph.node}
        for name in (place, result):
            if name not in nodes:
                raise ValueError(f"its graph holds no {name}")
        self._place, self._result = place, result
        self._spec = tf.TensorSpec(tf.TensorShape(nodes[place].attr["shape"].shape), tf.float32)

    def masks(self, indices, factors, limits, block, gains):
        """As that of `LiteGraph`."""
        tf = self._tf
        factors, gains = factors.astype(np.float32), gains.astype(np.float32)
        if limits is not None:
            limits = _logit(limits).astype(np.float32)

        # The decisions are part of what the GPU does: its answers are small then.
        def finish(logits):
            by_row = np.arange(logits.shape[-1]).reshape(block, -1, block)
            by_pixel = by_row[:, indices].swapaxes(1, 2).ravel()
            logits = tf.gather(logits, by_pixel, axis=-1)
            if block > 1:
                logits = tf.nn.depth_to_space(logits, block)
            if gains.any():
                logits = tf.minimum(logits + gains, tf.nn.max_pool2d(logits, 3, 1, "SAME"))
            if limits is None:
                return modify(tf.sigmoid(logits), factors)
            return tf.cast(logits > limits, tf.uint8)

        function = self._function(finish)
        return lambda tiles: inner(tiles, function(stacked(tiles)).numpy())

    def tracks(self):
        """As that of `LiteGraph`."""
        function = self._function(self._tf.identity)
        return lambda tiles: function(stacked(tiles)).numpy()

    def _function(self, finish):
        def function(pixels):
            (answers,) = self._tf.graph_util.import_graph_def(
                self._graph, {self._place: pixels}, [self._result], name=""
            )
            return finish(answers)

        return self._tf.function(function, input_signature=[self._spec], autograph=False)


def _logit(probability):
    with np.errstate(divide="ignore"):
        return np.log(probability) - np.log1p(-probability)
