"""A mask network's answers over scenes with a truth, counted."""

import sys

import numpy as np
from tqdm import tqdm

from training.judges import metrics
from training.simulation.scenes import BIT

# Smoothed light of objects has no sharp meaning where the sky itself carries structure.
BBG_SPOILERS = ("FR", "NEB")


def scored_pixels(positive, unsure, name):
    """
    Truth of a class, and where it counts.

    Parameters
    ----------
    positive, unsure : ndarray, uint16, (H, W)
        Bit i belongs to the i-th class of `maxitools.classes.CLASSES`.
    name : str
        Name of the class.

    Returns
    -------
    truth, counts : ndarray of bool, (H, W)
        A pixel that is unsure does not count, nor does BBG in a scene with fringes or
        nebulosity.
    """
    truth = (positive & BIT[name]) > 0
    counts = (unsure & BIT[name]) == 0
    if name == "BBG" and any(np.any(positive & BIT[other]) for other in BBG_SPOILERS):
        counts = np.zeros_like(counts)
    return truth, counts


def count_scenes(paths, answers_of, classes):
    """
    Histograms of a mask network's answers over scenes, all classes in one pass.

    Parameters
    ----------
    paths : sequence of Path
        Scenes as `training.simulate` writes them.
    answers_of : callable
        `answers_of(image)` gives the probabilities, float32 (C, H, W).
    classes : sequence of str
        Names of the C classes.

    Returns
    -------
    dict of str to ndarray
        By class, as `metrics.histogram`.
    """
    counts = {name: np.zeros((2, metrics.BINS), np.int64) for name in classes}
    for path in tqdm(paths, unit="scene", disable=not sys.stderr.isatty()):
        with np.load(path) as scene:
            image, positive, unsure = scene["image"], scene["positive"], scene["unsure"]
        for name, answer in zip(classes, answers_of(image), strict=True):
            truth, scored = scored_pixels(positive, unsure, name)
            counts[name] += metrics.histogram(answer[scored], truth[scored])
    return counts
