"""A network of this project: a frozen graph, and `network.json`, which describes it."""

from functools import partial

import numpy as np

from maxitools.decisions import prior_factor
from maxitools.descriptions import read_description
from maxitools.graphs import LiteGraph, TensorGraph
from maxitools.network import Network, NetworkError, Recipe
from maxitools.normalisation import RECIPES
from maxitools.runtime import tensorflow_on_gpu
from maxitools.tiling import HaloTiling


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
        description = read_description(mark, task)
        return cls(mark.parent, task, _recipe(description), description)

    def _load(self, threads, device):
        path = self.path / self.description["graph"]
        tf = tensorflow_on_gpu(threads, device)
        if tf:
            place, result = self.description["input"], self.description["output"]
            self._graph = TensorGraph(tf, path, place, result)
        else:
            lite = path.with_suffix(".tflite")
            if not lite.exists():
                raise NetworkError(
                    f"{lite}: no such file; `python -m training.export {self.path}` makes it from "
                    "the network's weights"
                )
            self._graph = LiteGraph(lite, self.description["multiple"], threads)
        channels, wanted = self._graph.channels, len(self.recipe.classes) or 2
        if channels not in (None, wanted * self.description["block"] ** 2):
            raise NetworkError(f"{path}: {channels} channels of answers do not fit network.json")
        return self._graph.device, self._graph.version

    def _masks(self, indices, factors, limits):
        block, gains = (self.description[key] for key in ("block", "neighbour_gains"))
        wanted = np.array([gains[self.recipe.classes[index]] for index in indices])
        return self._graph.masks(indices, factors, limits, block, wanted)

    def _tracks(self):
        return self._graph.tracks()

    def combine(self, answers, prior):
        # Log-odds of all tiles, each with the weight that the network gives it.
        odds, log_weights = np.concatenate(answers).astype(np.float64).T
        fit = self.description["aggregation"]
        weights = np.exp(log_weights - log_weights.max())
        joined = fit["gain"] * np.average(odds, weights=weights) + fit["offset"]
        # The logistic function: scipy's takes longer to import than a frame to judge.
        return float(np.exp(-np.logaddexp(0, np.log(prior_factor(0.5, prior)) - joined)))


def _recipe(description):
    normalise = partial(RECIPES[description["normalisation"]], mesh=description["mesh"])
    halo = description["halo"]
    tiling = HaloTiling(description["tile"] + 2 * halo, halo, description["multiple"])
    if description["task"] == "track":
        # A few tiles at a time, which threads answer side by side.
        return Recipe(normalise, tiling, most_pixels=4 << 20)
    keys = "classes", "training_priors", "default_priors", "thresholds"
    return Recipe(normalise, tiling, **{key: description[key] for key in keys})
