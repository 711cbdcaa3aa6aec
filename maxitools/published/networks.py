"""Both kinds of network that were published."""

from abc import abstractmethod

import numpy as np

from maxitools.decisions import modify, prior_factor
from maxitools.network import Network
from maxitools.published.recipes import recipe_1_0, recipe_1_2
from maxitools.runtime import import_tensorflow
from maxitools.tiling import stacked


class PublishedNetwork(Network):
    """What both kinds do alike: the answer about an exposure is the mean over its tiles."""

    def _load(self, threads, device):
        self.tf = import_tensorflow(threads, device)
        self._read()
        device = "GPU" if self.tf.config.get_visible_devices("GPU") else "CPU"
        return device, f"TensorFlow {self.tf.__version__}"

    @abstractmethod
    def _read(self):
        """Read graph and weights."""

    @abstractmethod
    def _constant_graph(self):
        """Graph of the mask network without variables, a GraphDef."""

    @abstractmethod
    def _probabilities(self, pixels, indices):
        """What the network itself answers to pixels (1, H, W, 1), an ndarray (1, H, W, C)."""

    def _masks(self, indices, factors, limits):
        from maxitools.published.blocks import Blocks
        from maxitools.published.unpooling import UnknownGraphError, read_layers

        tf = self.tf
        factors = factors.astype(np.float32)

        def select(scores):
            everything = indices == list(range(scores.shape[-1]))
            return scores if everything else tf.gather(scores, indices, axis=-1)

        def decide(probabilities):
            if limits is not None:
                return tf.cast(probabilities > limits.astype(np.float32), tf.uint8)
            return modify(probabilities, factors)

        try:
            layers = read_layers(self._constant_graph())
        except UnknownGraphError:
            layers = None
        blocks = Blocks(
            layers,
            self.recipe.tiling,
            lambda logits: decide(select(tf.sigmoid(logits))),
            lambda pixels: np.asarray(decide(self._probabilities(pixels, indices))),
        )
        return lambda tiles: [blocks.answer(tile) for tile in tiles]

    def combine(self, answers, prior):
        # Over the tiles of each image, then over images.
        means = [modify(a, prior_factor(0.5, prior)).mean(dtype=np.float64) for a in answers]
        return float(np.mean(means))


class SavedModelNetwork(PublishedNetwork):
    """A network of the releases 1.2 to 1.4.1."""

    @staticmethod
    def marks(task):
        return ("saved_model.pb",)

    @classmethod
    def read(cls, mark, task):
        return cls(mark.parent, task, recipe_1_2(task))

    def _read(self):
        self._model = self.tf.saved_model.load(str(self.path))

    def _constant_graph(self):
        from tensorflow.python.framework import convert_to_constants

        function = self._model.signatures["serving_default"]
        frozen = convert_to_constants.convert_variables_to_constants_v2(function)
        return frozen.graph.as_graph_def()

    def _probabilities(self, pixels, indices):
        nothing = self.tf.zeros(len(indices))
        # On some GPU its operations have no kernel.
        with self.tf.device("CPU"):
            return self._model([pixels, self.tf.constant(indices), *[nothing] * 3], False).numpy()

    def _tracks(self):
        return lambda tiles: self._model(self.tf.constant(stacked(tiles)), False).numpy()[:, 1]


class CheckpointNetwork(PublishedNetwork):
    """A network of the releases 1.0 and 1.1; its path is the prefix of its files."""

    @staticmethod
    def marks(task):
        folder, name = {"mask": ("model", "model-150000"), "track": ("track_model", "model")}[task]
        return f"{folder}/{name}.meta", f"{name}.meta"

    @classmethod
    def read(cls, mark, task):
        return cls(mark.with_suffix(""), task, recipe_1_0(task))

    def _read(self):
        v1 = self.tf.compat.v1
        graph = self.tf.Graph()
        with graph.as_default():
            saver = v1.train.import_meta_graph(str(self.path) + ".meta", clear_devices=True)
        config = v1.ConfigProto(
            allow_soft_placement=True,
            intra_op_parallelism_threads=self.tf.config.threading.get_intra_op_parallelism_threads(),
            inter_op_parallelism_threads=self.tf.config.threading.get_inter_op_parallelism_threads(),
        )
        config.gpu_options.allow_growth = True
        self._session = v1.Session(graph=graph, config=config)
        with graph.as_default():
            saver.restore(self._session, str(self.path))

    def _constant_graph(self):
        graph = self._session.graph.as_graph_def()
        util = self.tf.compat.v1.graph_util
        return util.convert_variables_to_constants(self._session, graph, ["fpredictions"])

    def _probabilities(self, pixels, indices):
        feed = {"rinputs:0": pixels, "flags:0": indices}
        return np.moveaxis(self._session.run("fpredictions:0", feed), 1, -1)

    def _tracks(self):
        def answer(tiles):
            feed = {"rinputs:0": stacked(tiles), "batch_s:0": len(tiles), "drop:0": 1.0}
            return self._session.run("predictions:0", feed)[:, 0]

        return answer
