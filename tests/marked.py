"""Scenes with a truth, and a network that knows it."""

from types import SimpleNamespace

import numpy as np

from maxitools.classes import NAMES
from training.simulation.scenes import BIT


def recipe(**values):
    """A recipe with the same prior and threshold for all classes."""
    return SimpleNamespace(
        classes=NAMES, **{key: dict.fromkeys(NAMES, value) for key, value in values.items()}
    )


def write_scene(path, positive, unsure=()):
    """Write a scene whose image carries the truth, bit by bit."""
    truth = np.zeros((16, 16), np.uint16)
    left_out = np.zeros((16, 16), np.uint16)
    for name, region in positive:
        truth[region] |= BIT[name]
    for name, region in unsure:
        left_out[region] |= BIT[name]
    np.savez(path, image=truth.astype(np.float32), positive=truth, unsure=left_out)


def oracle(image):
    """Probabilities 0.9 and 0.1, right in every pixel."""
    bits = image.astype(np.uint16)
    planes = [(bits & BIT[name]) > 0 for name in NAMES]
    return np.where(planes, np.float32(0.9), np.float32(0.1))
