#!/usr/bin/env python3
"""Find the contaminated pixels of astronomical images."""

from pathlib import Path

from maxitools.classes import NAMES


def shipped_folder():
    """The folder that holds `model` and the default class files: the clone, or what was installed."""
    from maxitools import inputs

    return inputs.shipped_folder()


def probabilities(image, net_path=None, batch_size=8, threads=None):
    """
    Raw probabilities of an image's pixels, at the priors of the network's training.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any real type; what is not finite counts as 0.
    net_path : path-like, optional
        Directory of a network; the shipped one when not given.
    batch_size : int
        Tiles per network call.
    threads : int, optional
        CPU threads; all cores when not given.

    Returns
    -------
    ndarray, float32, (C, H, W)
        Of the network's classes, in their order.
    """
    import numpy as np

    from maxitools import inference

    network = _network(net_path, threads)
    recipe = network.recipe
    answer = network.masks(recipe.classes)
    whole = np.empty((len(recipe.classes), *image.shape), np.float32)
    for first, strip in inference.mask_strips(np.asarray(image), recipe, answer, batch_size):
        whole[:, first : first + strip.shape[1]] = strip
    return whole


def _network(net_path, threads=None):
    """Load a network; the last one is kept."""
    from maxitools import networks

    path = Path(net_path or shipped_folder() / "model").resolve()
    if path not in _loaded:
        _loaded.clear()
        _loaded[path] = networks.find(path, "mask").load(threads)
    return _loaded[path]


_loaded = {}
