"""A mask network's answers over scenes with a truth, counted."""

import sys

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from training.judges import metrics
from training.simulation.scenes import BIT

# Smoothed light of objects has no sharp meaning where the sky itself carries structure.
BBG_SPOILERS = ("FR", "NEB")
CORNERS = np.ones((3, 3))


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


def count_scenes(paths, answers_of, classes, limits=None):
    """
    Count a mask network's answers over scenes, all classes in one pass.

    Parameters
    ----------
    paths : sequence of Path
        Scenes as `training.simulate` writes them, of any size.
    answers_of : callable
        `answers_of(image)` gives the probabilities, float32 (C, H, W).
    classes : sequence of str
        Names of the C classes.
    limits : dict of str to float, optional
        Raw thresholds by class, for objects to be counted, too.

    Returns
    -------
    pixels : dict of str to ndarray
        By class, as `metrics.histogram`.
    objects : dict of str to ndarray
        By class, as `count_objects`; zeros without limits.
    """
    pixels = {name: np.zeros((2, metrics.BINS), np.int64) for name in classes}
    objects = {name: np.zeros(3, np.int64) for name in classes}
    for path in tqdm(paths, unit="scene", disable=not sys.stderr.isatty()):
        with np.load(path) as scene:
            image, positive, unsure = scene["image"], scene["positive"], scene["unsure"]
        for name, answer in zip(classes, answers_of(image), strict=True):
            truth, scored = scored_pixels(positive, unsure, name)
            pixels[name] += metrics.histogram(answer[scored], truth[scored])
            if limits:
                objects[name] += count_objects(answer > limits[name], truth, scored)
    return pixels, objects


def count_objects(mask, truth, scored):
    """
    Count what is in one piece: hits, trails, spikes, not their pixels.

    Parameters
    ----------
    mask, truth, scored : ndarray of bool, (H, W)
        What a network says, what is right, and where that is known.

    Returns
    -------
    there, found, false : int
        Pieces of the truth, those of which the mask holds half of the pixels or more, and
        pieces of the mask that touch neither a positive nor an unsure pixel. Pixels that share
        a corner are in one piece.
    """
    pieces, there = ndimage.label(truth & scored, CORNERS)
    size, covered = (np.bincount(pieces[part], minlength=there + 1)[1:] for part in (truth, mask))
    stains, said = ndimage.label(mask, CORNERS)
    excused = np.unique(stains[mask & (truth | ~scored)])
    return there, int(np.sum(covered >= size / 2)), said - len(excused)
