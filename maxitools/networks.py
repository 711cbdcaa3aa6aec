"""A directory -> a network that knows its normalisation, tiling, priors and thresholds."""

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from maxitools.classes import NAMES, OLD_NAMES
from maxitools.normalisation import RECIPES
from maxitools.tiling import HaloTiling, PublishedTiling

# Priors and thresholds of the published networks, in the order of the classes.
# fmt: off
_RELEASE_1_0 = {
    "training_priors": (.0154, .0102, .0376, .0009, .0013, .0143, .0693, .1776, .1921, .0024,
                        .0352, .0290, .1016, .4343),
    "default_priors": (.0007, .0008, .0080, 1e-6, 1e-6, 1e-5, .006, .01, .01, .0016, .013, .005,
                       .07, .90),
    "thresholds": (.51, .52, .50, .23, .99, .66, .55, .62, .45, .78, .41, .37, .49, .33),
}
_RELEASE_1_2 = {
    "training_priors": (.010, .009, .036, .001, .001, .010, .103, .126, .171, .002, .044, .118,
                        .126, .395),
    "default_priors": (.0005, 1e-5, 1e-4, 1e-6, 1e-6, .001, .001, .001, .001, .001, .005, .005,
                       .1, .9),
    "thresholds": (.43, .60, .74, .43, .99, .65, .28, .76, .56, .81, .54, .55, .44, .27),
}
# fmt: on


class NetworkError(ValueError):
    """A network directory that cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Recipe:
    """
    What a network was made for, and how images reach it.

    Attributes
    ----------
    normalise : callable
        From `maxitools.normalisation.RECIPES`: an image to its normalised rows.
    tiling : object
        From `maxitools.tiling`.
    classes : tuple of str
        Names of the classes that the network answers; empty for tracking.
    training_priors, default_priors, thresholds : dict
        By class name.
    """

    normalise: object
    tiling: object
    classes: tuple = ()
    training_priors: dict = None
    default_priors: dict = None
    thresholds: dict = None


def _published_recipe(task, normalisation, values):
    if task == "track":
        return Recipe(RECIPES[normalisation], PublishedTiling())
    by_class = {key: dict(zip(NAMES, value, strict=True)) for key, value in values.items()}
    return Recipe(RECIPES[normalisation], PublishedTiling(), NAMES, **by_class)


def find(net_path, task):
    """
    Find a network and read how it wants to be used; TensorFlow is not imported.

    Parameters
    ----------
    net_path : path-like
        A network's own directory, or one that holds those of both commands.
    task : {"mask", "track"}
        Which of the commands it is for.

    Returns
    -------
    Network
        Not loaded yet.

    Raises
    ------
    NetworkError
        When there is no such network, or its description is not understood.
    """
    net_path = Path(net_path)
    if not net_path.is_dir():
        raise NetworkError(f"{net_path}: no such network directory")
    command = {"mask": "maximask", "track": "maxitrack"}[task]
    checkpoints = {"mask": "model/model-150000", "track": "track_model/model"}[task]
    folders = [net_path, net_path / command, net_path / command / "model"]
    for folder in folders:
        if (folder / "network.json").exists():
            return _read_description(folder, task)
        if (folder / "saved_model.pb").exists():
            recipe = _published_recipe(task, "published_1_2", _RELEASE_1_2)
            return SavedModelNetwork(folder, task, recipe)
    for prefix in (net_path / checkpoints, net_path / Path(checkpoints).name):
        if prefix.with_name(prefix.name + ".meta").exists():
            recipe = _published_recipe(task, "published_1_0", _RELEASE_1_0)
            return CheckpointNetwork(prefix, task, recipe)
    raise NetworkError(
        f"{net_path}: holds no network for {command}; expected network.json, saved_model.pb "
        f"or {checkpoints}.meta"
    )


def _read_description(folder, task):
    path = folder / "network.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["task"] != task:
            raise NetworkError(
                f"{path}: a network for the task '{description['task']}', expected '{task}'"
            )
        if description["format"] != 1:
            raise NetworkError(f"{path}: format {description['format']} is not known, expected 1")
        if description["normalisation"] not in RECIPES:
            raise NetworkError(f"{path}: unknown normalisation '{description['normalisation']}'")
        normalise = RECIPES[description["normalisation"]]
        if "mesh" in description:
            normalise = partial(normalise, mesh=description["mesh"])
        halo = description["halo"]
        tiling = HaloTiling(description["tile"] + 2 * halo, halo, description["multiple"])
        values = {}
        classes = ()
        if task == "mask":
            classes = tuple(OLD_NAMES.get(name, name) for name in description["classes"])
            for key in ("training_priors", "default_priors", "thresholds"):
                given = {OLD_NAMES.get(k, k): float(v) for k, v in description[key].items()}
                values[key] = {name: given[name] for name in classes}
        return FrozenNetwork(folder, task, Recipe(normalise, tiling, classes, **values), description)
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, NetworkError):
            raise
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise NetworkError(f"{path}: not a description of a network ({reason})") from None


@contextmanager
def _silent_stderr():
    """Send what libraries write to file descriptor 2, past Python, to nowhere."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)


def import_tensorflow(threads=None):
    """
    Import TensorFlow, quietly.

    Parameters
    ----------
    threads : int, optional
        CPU threads that its operations may use; all cores when not given. Only the
        first call in a process decides.

    Returns
    -------
    module
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _silent_stderr():
            import tensorflow as tf

            if threads:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(1)
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
            tf.get_logger().setLevel("ERROR")
            tf.zeros(())  # starts the devices, which write a greeting
    import tensorflow as tf

    return tf


class Network:
    """
    A network on disk: what it was made for, and its answers to tiles.

    Parameters
    ----------
    path : Path
        Its directory, or the prefix of its checkpoint files.
    task : {"mask", "track"}
        What it answers.
    recipe : Recipe
        How images reach it.
    """

    def __init__(self, path, task, recipe):
        self.path, self.task, self.recipe = path, task, recipe

    def load(self, threads=None):
        """
        Import TensorFlow and read graph and weights.

        Parameters
        ----------
        threads : int, optional
            As for `import_tensorflow`.

        Returns
        -------
        Network
            Itself.

        Raises
        ------
        NetworkError
            When they cannot be read.
        """
        self.tf = import_tensorflow(threads)
        try:
            with _silent_stderr():
                self._load()
        except NetworkError:
            raise
        except Exception as error:
            # TensorFlow's reader raises nearly any type on a damaged file.
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise NetworkError(f"{self.path}: the network cannot be read ({reason})") from error
        return self

    def masks(self, classes, thresholds=None):
        """
        Make the function that answers tiles.

        Parameters
        ----------
        classes : sequence of str
            Names of the classes wanted, in the order of the answer.
        thresholds : sequence of float, optional
            Raw probability of each class above which a pixel is in the class.

        Returns
        -------
        callable
            From a list of `maxitools.tiling.Tile` to a list of ndarrays (rows, columns,
            C), one for the inner part of each tile: uint8, 0 or 1, with thresholds,
            else float32 raw probabilities.
        """
        indices = [self.recipe.classes.index(name) for name in classes]
        if thresholds is not None:
            thresholds = np.asarray(thresholds, np.float64)
        return self._masks(indices, thresholds)

    def tracks(self):
        """
        Make the function that answers tiles about tracking.

        Returns
        -------
        callable
            From a list of `maxitools.tiling.Tile` to float32 (N,): probability that
            tracking failed, at equal priors.
        """
        raise NotImplementedError

    def _decide(self, scores, indices, limits):
        """Select classes of a tensor of scores, and compare with limits where there are any."""
        if indices != list(range(scores.shape[-1])):
            scores = self.tf.gather(scores, indices, axis=-1)
        if limits is None:
            return scores
        return self.tf.cast(scores > limits.astype(np.float32), self.tf.uint8)


def _pixels(tiles):
    return np.stack([tile.pixels for tile in tiles])


def _inner(tiles, answers):
    """The part of each answer that its tile stands for."""
    return [answer[tile.inner] for tile, answer in zip(tiles, answers, strict=True)]


def _logit(probability):
    with np.errstate(divide="ignore"):
        return np.log(probability) - np.log1p(-probability)


class FrozenNetwork(Network):
    """A network of this project: a frozen graph and its description, `network.json`."""

    def __init__(self, path, task, recipe, description):
        super().__init__(path, task, recipe)
        self.description = description

    def _load(self):
        v1 = self.tf.compat.v1
        graph = v1.GraphDef()
        graph.ParseFromString((self.path / self.description["graph"]).read_bytes())
        whole = v1.wrap_function(partial(v1.import_graph_def, graph, name=""), [])
        self._logits = whole.prune(self.description["input"], self.description["output"])

    def _function(self, finish):
        pixels = self.tf.TensorSpec(self._logits.inputs[0].shape, self.tf.float32)
        return self.tf.function(lambda x: finish(self._logits(x)), input_signature=[pixels])

    def _masks(self, indices, thresholds):
        limits = None if thresholds is None else _logit(thresholds)

        def finish(logits):
            answer = self._decide(logits, indices, limits)
            return self.tf.sigmoid(answer) if limits is None else answer

        function = self._function(finish)
        return lambda tiles: _inner(tiles, function(_pixels(tiles)).numpy())

    def tracks(self):
        function = self._function(lambda logits: self.tf.nn.softmax(logits)[:, 1])
        return lambda tiles: function(_pixels(tiles)).numpy()


class SavedModelNetwork(Network):
    """A network of the releases 1.2 to 1.4.1."""

    def _load(self):
        self._model = self.tf.saved_model.load(str(self.path))

    def _masks(self, indices, thresholds):
        from maxitools import unpooling

        layers = unpooling.read_layers(self._model.signatures["serving_default"])

        @partial(self.tf.function, autograph=False)
        def function(pixels, window):
            logits = unpooling.logits(layers, pixels, window)
            return self._decide(self.tf.sigmoid(logits), indices, thresholds)

        def answer(tiles):
            answers = []
            for window, alike in groupby(tiles, unpooling.tile_window):
                alike = list(alike)
                planes = function(self.tf.constant(_pixels(alike)), window).numpy()
                answers += [
                    plane[
                        tile.inner[0].start - window.top : tile.inner[0].stop - window.top,
                        tile.inner[1].start - window.left : tile.inner[1].stop - window.left,
                    ]
                    for tile, plane in zip(alike, planes, strict=True)
                ]
            return answers

        return answer

    def tracks(self):
        return lambda tiles: self._model(self.tf.constant(_pixels(tiles)), False).numpy()[:, 1]


class CheckpointNetwork(Network):
    """A network of the releases 1.0 and 1.1."""

    def _load(self):
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
        saver.restore(self._session, str(self.path))

    def _masks(self, indices, thresholds):
        def answer(tiles):
            feed = {"rinputs:0": _pixels(tiles), "flags:0": indices}
            planes = np.moveaxis(self._session.run("fpredictions:0", feed), 1, -1)
            if thresholds is not None:
                planes = (planes > thresholds.astype(np.float32)).astype(np.uint8)
            return _inner(tiles, planes)

        return answer

    def tracks(self):
        def answer(tiles):
            feed = {"rinputs:0": _pixels(tiles), "batch_s:0": len(tiles), "drop:0": 1.0}
            return self._session.run("predictions:0", feed)[:, 0]

        return answer
