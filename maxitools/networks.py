"""A directory -> a network that knows its normalisation, tiling, priors and thresholds."""

import gc
import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax

from maxitools.classes import NAMES, OLD_NAMES
from maxitools.decisions import modify, prior_factor, raw_threshold
from maxitools.normalisation import RECIPES
from maxitools.tiling import HaloTiling, PublishedTiling, WholeTiling

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
    most_pixels : int
        Pixels in a call at the most, to bound its memory; more gains nothing on a CPU.
    """

    normalise: object
    tiling: object
    classes: tuple = ()
    training_priors: dict = None
    default_priors: dict = None
    thresholds: dict = None
    most_pixels: int = 1 << 20


def _published_recipe(task, normalisation, values):
    if task == "track":
        centred = normalisation == "published_1_0"
        return Recipe(RECIPES[normalisation], WholeTiling(400, centred))
    by_class = {key: dict(zip(NAMES, value, strict=True)) for key, value in values.items()}
    # These networks take some 2 kB a pixel; larger blocks save little more.
    tiling = PublishedTiling(5 if normalisation == "published_1_2" else 1)
    return Recipe(RECIPES[normalisation], tiling, NAMES, **by_class, most_pixels=2 * 400 * 400)


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


_loaded = {}


def loaded(net_path, task, threads=None):
    """
    A network that is found and loaded; the last one of each task is kept.

    Parameters
    ----------
    net_path, task
        As for `find`.
    threads
        As for `Network.load`.

    Returns
    -------
    Network

    Raises
    ------
    NetworkError
        When there is none, or it cannot be read.
    """
    path = Path(net_path).resolve()
    if task not in _loaded or _loaded[task][0] != path:
        _loaded[task] = path, find(path, task).load(threads)
    return _loaded[task][1]


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
        halo = description.get("halo", 0)
        tiling = HaloTiling(description["tile"] + 2 * halo, halo, description["multiple"])
        values = {}
        classes = ()
        if task == "mask":
            classes = tuple(OLD_NAMES.get(name, name) for name in description["classes"])
            for key in ("training_priors", "default_priors", "thresholds"):
                given = {OLD_NAMES.get(k, k): float(v) for k, v in description[key].items()}
                values[key] = {name: given[name] for name in classes}
        return FrozenNetwork(
            folder, task, Recipe(normalise, tiling, classes, **values), description
        )
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


@contextmanager
def _uncollected():
    """Keep Python from looking for garbage again and again among half a million new objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _without_keras():
    """Keep TensorFlow from importing Keras along: much of the time, and not used here."""
    # Told to look for an older Keras, TensorFlow goes on when it finds none.
    key = "TF_USE_LEGACY_KERAS"
    saved = os.environ.get(key)
    os.environ[key] = "1"
    try:
        yield
    finally:
        del os.environ[key]
        if saved is not None:
            os.environ[key] = saved


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
        with _silent_stderr(), _without_keras():
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
        self._latest = None, None

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

    def masks(self, classes, priors=None, thresholds=None):
        """
        Make the function that answers tiles.

        Parameters
        ----------
        classes : sequence of str
            Names of the classes wanted, in the order of the answer.
        priors : dict, optional
            By class name: priors that probabilities are adapted to. They stay at the
            priors of training when not given.
        thresholds : dict, optional
            By class name: probability above which a pixel is in the class.

        Returns
        -------
        callable
            From a list of `maxitools.tiling.Tile` to a list of ndarrays (rows, columns,
            C), one for the inner part of each tile: uint8, 0 or 1, with thresholds,
            else float32 probabilities.
        """
        factors = np.ones(len(classes))
        if priors is not None:
            training = np.array([self.recipe.training_priors[name] for name in classes])
            factors = prior_factor(training, np.array([priors[name] for name in classes]))
        limits = None
        if thresholds is not None:
            limits = raw_threshold(np.array([thresholds[name] for name in classes]), factors)
        indices = [self.recipe.classes.index(name) for name in classes]
        key = tuple(indices), tuple(factors), None if limits is None else tuple(limits)
        return self._kept(key, lambda: self._masks(indices, factors, limits))

    def tracks(self):
        """
        Make the function that answers tiles about tracking.

        Returns
        -------
        callable
            From a list of `maxitools.tiling.Tile` to an ndarray with one row for each.
        """
        return self._kept("tracks", self._tracks)

    def _kept(self, key, make):
        """What was made last, if it was for the same key: TensorFlow takes seconds to make it."""
        if self._latest[0] != key:
            self._latest = key, make()
        return self._latest[1]

    def combine(self, answers, prior):
        """
        Join what a tracking network answers to the tiles of an exposure.

        Parameters
        ----------
        answers : list of ndarray
            For each image, the answers to its tiles.
        prior : float
            Expected share of exposures with a tracking error.

        Returns
        -------
        float
            Probability that this one has.
        """
        # Of published networks: the mean over tiles, then over images.
        means = [modify(a, prior_factor(0.5, prior)).mean(dtype=np.float64) for a in answers]
        return float(np.mean(means))

    def _select(self, scores, indices):
        """The wanted classes of a tensor (..., C), in the wanted order."""
        everything = indices == list(range(scores.shape[-1]))
        return scores if everything else self.tf.gather(scores, indices, axis=-1)


def _pixels(tiles):
    if len(tiles) == 1:
        return tiles[0].pixels[np.newaxis]
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
        return lambda tiles: _inner(tiles, function(_pixels(tiles)).numpy())

    def _tracks(self):
        function = self._function(self.tf.identity)
        return lambda tiles: function(_pixels(tiles)).numpy()

    def combine(self, answers, prior):
        # Log-odds of all tiles, each with the weight that the network gives it.
        odds, log_weights = np.concatenate(answers).astype(np.float64).T
        fit = self.description["aggregation"]
        joined = fit["gain"] * np.average(odds, weights=softmax(log_weights)) + fit["offset"]
        return float(expit(joined - np.log(prior_factor(0.5, prior))))


class SavedModelNetwork(Network):
    """A network of the releases 1.2 to 1.4.1."""

    def _load(self):
        self._model = self.tf.saved_model.load(str(self.path))

    def _masks(self, indices, factors, limits):
        from maxitools.published.blocks import Blocks
        from maxitools.published.unpooling import read_layers

        tf = self.tf
        factors = factors.astype(np.float32)

        def decide(probabilities):
            if limits is not None:
                return tf.cast(probabilities > limits.astype(np.float32), tf.uint8)
            return modify(probabilities, factors)

        def answer_as_published(pixels):
            nothing = tf.zeros(len(indices))
            inputs = [pixels, tf.constant(indices), *[nothing] * 3]
            # On some GPU its operations have no kernel.
            with tf.device("CPU"):
                return decide(self._model(inputs, False))

        blocks = Blocks(
            read_layers(self._model.signatures["serving_default"]),
            self.recipe.tiling,
            lambda logits: decide(self._select(tf.sigmoid(logits), indices)),
            answer_as_published,
        )
        return lambda tiles: [blocks.answer(tile) for tile in tiles]

    def _tracks(self):
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
        with graph.as_default():
            saver.restore(self._session, str(self.path))

    def _masks(self, indices, factors, limits):
        def answer(tiles):
            feed = {"rinputs:0": _pixels(tiles), "flags:0": indices}
            planes = np.moveaxis(self._session.run("fpredictions:0", feed), 1, -1)
            if limits is not None:
                planes = (planes > limits.astype(np.float32)).astype(np.uint8)
            else:
                planes = modify(planes, factors.astype(np.float32))
            return _inner(tiles, planes)

        return answer

    def _tracks(self):
        def answer(tiles):
            feed = {"rinputs:0": _pixels(tiles), "batch_s:0": len(tiles), "drop:0": 1.0}
            return self._session.run("predictions:0", feed)[:, 0]

        return answer
