"""What a network is: its recipe, and the answers it gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from maxitools.decisions import prior_factor, raw_threshold
from maxitools.runtime import NoGpuError, silent_stderr


class NetworkError(ValueError):
    """A network directory that cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Recipe:
    """
    What a network was made for, and how images reach it.

    Attributes
    ----------
    normalise : callable
        An image (H, W) to the function that gives its normalised rows, as
        `maxitools.normalisation.two_scale_rows`.
    tiling : object
        Where its tiles lie; its `spans` is as that of `maxitools.tiling.HaloTiling`.
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


class Network(ABC):
    """
    A network on disk: what it was made for, and its answers to tiles.

    Each kind says how it is recognised and read, what it makes of tiles, and how the answers
    about an exposure are joined.

    Parameters
    ----------
    path : Path
        Its directory, or the prefix of its checkpoint files.
    task : {"mask", "track"}
        What it answers.
    recipe : Recipe
        How images reach it.

    Attributes
    ----------
    device, version : str
        Once it is loaded: "CPU" or "GPU", and what runs it, by name and version.
    """

    def __init__(self, path, task, recipe):
        self.path, self.task, self.recipe = path, task, recipe
        self._latest = None, None

    @staticmethod
    @abstractmethod
    def marks(task):
        """Files that tell, each by itself, that a directory holds a network of this kind."""

    @classmethod
    @abstractmethod
    def read(cls, mark, task):
        """
        The network that a file marks, not loaded yet; TensorFlow is not imported.

        Parameters
        ----------
        mark : Path
            One of `marks`, in its directory.
        task : {"mask", "track"}
            What it has to answer.

        Returns
        -------
        Network

        Raises
        ------
        NetworkError
            When its description is not understood.
        """

    def load(self, threads=None, device="auto"):
        """
        Read graph and weights, and start what runs them.

        Parameters
        ----------
        threads, device : optional
            As for `maxitools.runtime.import_tensorflow`.

        Returns
        -------
        Network
            Itself.

        Raises
        ------
        NetworkError
            When they cannot be read, or what runs them is missing.
        """
        try:
            with silent_stderr():
                self.device, self.version = self._load(threads, device)
        except NetworkError:
            raise
        except (ImportError, NoGpuError) as error:
            raise NetworkError(f"{self.path}: {error}") from error
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

    @abstractmethod
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

    @abstractmethod
    def _load(self, threads, device):
        """Do what `load` does; the device that is used, "CPU" or "GPU", and what runs there."""

    @abstractmethod
    def _masks(self, indices, factors, limits):
        """
        What `masks` returns.

        Parameters
        ----------
        indices : list of int
            Of the classes wanted, among those of the recipe.
        factors : ndarray, (C,)
            By which `maxitools.decisions.modify` adapts their probabilities.
        limits : ndarray, (C,), or None
            Thresholds of the probabilities before that.
        """

    @abstractmethod
    def _tracks(self):
        """What `tracks` returns."""
