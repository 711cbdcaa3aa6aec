"""A network of this project: a frozen graph, and `network.json`, which describes it."""

import json
from functools import partial

import numpy as np
from scipy.special import expit, softmax

from maxitools.classes import OLD_NAMES
from maxitools.decisions import prior_factor
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
        return self._graph.device, self._graph.version

    def _masks(self, indices, factors, limits):
        return self._graph.masks(indices, factors, limits, self.description.get("block", 1))

    def _tracks(self):
        return self._graph.tracks()

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
