"""A network of this project: a frozen graph, and `network.json`, which describes it."""

import json
from functools import partial

import numpy as np
from scipy.special import expit, softmax

from maxitools.classes import OLD_NAMES
from maxitools.decisions import modify, prior_factor
from maxitools.network import Network, NetworkError, Recipe
from maxitools.normalisation import RECIPES
from maxitools.tiling import HaloTiling, inner, stacked


class FrozenNetwork(Network):
    """
    A network of this project.

    Parameters
    ----------
    path, task, recipe
        As for `maxitools.network.Network`.
    description : dict
        What `network.json` holds.
    """

    def __init__(self, path, task, recipe, description):
        super().__init__(path, task, recipe)
        self.description = description

    @staticmethod
    def marks(task):
        return ("network.json",)

    @classmethod
    def read(cls, mark, task):
        try:
            description = json.loads(mark.read_text(encoding="utf-8"))
            if description["task"] != task:
                raise NetworkError(
                    f"{mark}: a network for the task '{description['task']}', expected '{task}'"
                )
            if description["format"] != 1:
                raise NetworkError(
                    f"{mark}: format {description['format']} is not known, expected 1"
                )
            if description["normalisation"] not in RECIPES:
                raise NetworkError(
                    f"{mark}: unknown normalisation '{description['normalisation']}'"
                )
            return cls(mark.parent, task, _recipe(description), description)
        except (OSError, ValueError, TypeError, KeyError) as error:
            if isinstance(error, NetworkError):
                raise
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise NetworkError(f"{mark}: not a description of a network ({reason})") from None

    def _load(self):
        graph = self.tf.compat.v1.GraphDef()
        graph.ParseFromString((self.path / self.description["graph"]).read_bytes())
        names = {node.name for node in graph.node}
        for key in ("input", "output"):
            if self.description[key].partition(":")[0] not in names:
                raise NetworkError(f"{self.path}: its graph holds no {self.description[key]}")
        self._graph = graph

    def _function(self, finish):
        place, result = self.description["input"], self.description["output"]
        (node,) = (node for node in self._graph.node if f"{node.name}:0" == place)
        shape = self.tf.TensorShape(node.attr["shape"].shape)

        def function(pixels):
            (answers,) = self.tf.graph_util.import_graph_def(
                self._graph, {place: pixels}, [result], name=""
            )
            return finish(answers)

        pixels = self.tf.TensorSpec(shape, self.tf.float32)
        return self.tf.function(function, input_signature=[pixels], autograph=False)

    def _masks(self, indices, factors, limits):
        tf = self.tf
        block = self.description.get("block", 1)
        # The channels hold the classes of each pixel of a block.
        pixels = range(block**2)
        indices = [len(self.recipe.classes) * pixel + i for pixel in pixels for i in indices]
        factors = np.tile(factors, len(pixels)).astype(np.float32)
        if limits is not None:
            limits = np.tile(_logit(limits), len(pixels)).astype(np.float32)

        def finish(logits):
            logits = self._select(logits, indices)
            if limits is None:
                answers = modify(tf.sigmoid(logits), factors)
            else:
                # Row by row: an operation on so few classes at a time would take twice as long.
                row = tf.tile(limits, tf.shape(logits)[2:3])
                above = tf.reshape(logits, (-1, tf.size(row))) > row
                answers = tf.reshape(tf.cast(above, tf.uint8), tf.shape(logits))
            return answers if block == 1 else tf.nn.depth_to_space(answers, block)

        function = self._function(finish)
        return lambda tiles: inner(tiles, function(stacked(tiles)).numpy())

    def _tracks(self):
        function = self._function(self.tf.identity)
        return lambda tiles: function(stacked(tiles)).numpy()

    def combine(self, answers, prior):
        # Log-odds of all tiles, each with the weight that the network gives it.
        odds, log_weights = np.concatenate(answers).astype(np.float64).T
        fit = self.description["aggregation"]
        joined = fit["gain"] * np.average(odds, weights=softmax(log_weights)) + fit["offset"]
        return float(expit(joined - np.log(prior_factor(0.5, prior))))


def _recipe(description):
    normalise = RECIPES[description["normalisation"]]
    if "mesh" in description:
        normalise = partial(normalise, mesh=description["mesh"])
    halo = description.get("halo", 0)
    tiling = HaloTiling(description["tile"] + 2 * halo, halo, description["multiple"])
    if description["task"] == "track":
        return Recipe(normalise, tiling)
    classes = tuple(OLD_NAMES.get(name, name) for name in description["classes"])
    values = {}
    for key in ("training_priors", "default_priors", "thresholds"):
        given = {OLD_NAMES.get(k, k): float(v) for k, v in description[key].items()}
        values[key] = {name: given[name] for name in classes}
    return Recipe(normalise, tiling, classes, **values)


def _logit(probability):
    with np.errstate(divide="ignore"):
        return np.log(probability) - np.log1p(-probability)
