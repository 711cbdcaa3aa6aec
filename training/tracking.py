"""The tracking network's task: stamps of exposures in, the loss on labels, its description."""

import numpy as np
from keras import ops
from scipy.special import expit

from maxitools.descriptions import FORMATS
from maxitools.normalisation import two_scale
from training.architectures import (
    CELL,
    STAMP,
    fold,
    stamp_network,
    star_stamps,
    tracking_network,
)
from training.dataset import SceneFolder

MESH = 128
# Stamps kept from an exposure, in a batch, and from a tile in use.
KEPT, BATCH, LIMIT = 64, 1536, 96
# Tiles of an exposure and stamps from all of them, batch by batch.
SHAPES = (1, 12), (2, 64), (1, 48), (2, 24)


class Dataset(SceneFolder):
    """
    Stamps from the exposures of a folder, turned, flipped and made noisier.

    Some of each exposure are taken, in turns as one tile and as two. The two are what the weight
    of a tile is learned from. See `SceneFolder`.
    """

    def keep(self, scene):
        """
        Stamps of an exposure, their places, and whether it is affected, 0 or 1.

        Where a network said how likely it is that it is (see `training.teach`), that counts as
        much.
        """
        pixels = two_scale(scene["image"], MESH)
        height, width = (side // CELL * CELL for side in pixels.shape[:2])
        stamps, places = star_stamps(pixels[None, :height, :width], KEPT)
        stamps = np.clip(ops.convert_to_numpy(stamps[0]), -6e4, 6e4).astype(np.float16)
        held = stamps.any((1, 2, 3))
        affected = float(scene["affected"])
        if "said" in scene:
            affected = (affected + expit(float(scene["said"]))) / 2
        return stamps[held], ops.convert_to_numpy(places[0])[held], affected

    def __getitem__(self, index):
        tiles, count = SHAPES[index % len(SHAPES)]
        chosen = self.rng.integers(len(self.paths), size=BATCH // count)
        stamps = np.zeros((len(chosen), count, STAMP, STAMP, 2), np.float32)
        places = np.zeros((len(chosen), count, 2), np.float32)
        affected = np.zeros(len(chosen), np.float32)
        for i, scene in enumerate(chosen):
            those, at, affected[i] = self.scenes[self.paths[scene]]
            # Empty stamps stay where there are too few.
            order = self.rng.permutation(max(len(those), count))[:count]
            order, into = order[order < len(those)], np.flatnonzero(order < len(those))
            stamps[i, into], places[i, into] = varied(self.rng, those[order], at[order])
        stamps = stamps.reshape(-1, count // tiles, STAMP, STAMP, 2)
        affected = np.repeat(affected, tiles)
        labels = np.stack([affected, np.full_like(affected, tiles)], axis=1)
        return (stamps, places.reshape(-1, count // tiles, 2)), labels


def varied(rng, stamps, places):
    """Stamps (K, S, S, 2) and places (K, 2), all turned, flipped and made noisier alike."""
    for _ in range(rng.integers(4)):
        stamps, places = np.rot90(stamps, axes=(1, 2)), places[:, ::-1] * [-1, 1]
    if rng.integers(2):
        stamps, places = stamps[:, ::-1], places * [-1, 1]
    stamps = stamps.astype(np.float32)
    if rng.integers(2):
        # A shorter exposure: more noise, by which everything is then measured.
        noise = rng.uniform(0, 1.5)
        # Means of 3x3 pixels have a third of the noise.
        stamps += noise * rng.standard_normal(stamps.shape, np.float32) * np.float32([1, 1 / 3])
        stamps /= np.sqrt(1 + noise**2)
    return stamps, places


def loss(labels, answers):
    """
    Cross-entropy of the tiles' answers and of those of whole exposures.

    Parameters
    ----------
    labels : tensor, (N, 2)
        How likely it is that the exposure is affected, and the number of successive tiles that it
        has.
    answers : tensor, (N, 2)
        Log-odds and log weight.

    Returns
    -------
    tensor, scalar
    """
    tiles = ops.cast(labels[0, 1], "int32")
    affected, odds, weight = (
        ops.reshape(part, (-1, tiles)) for part in (labels[:, 0], answers[:, 0], answers[:, 1])
    )
    whole = ops.sum(odds * ops.softmax(weight, axis=1), axis=1)
    return 0.5 * ops.mean(cross_entropy(affected, odds)) + 0.5 * ops.mean(
        cross_entropy(affected[:, 0], whole)
    )


def cross_entropy(truth, odds):
    """Of a truth (0 to 1) and log-odds."""
    return ops.softplus(odds) - truth * odds


def architecture(dtype=None):
    """The network of this task, untrained, of Keras' global precision or of another."""
    return stamp_network(dtype=dtype)


def build(dataset):
    """
    The network to train, and its loss.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    network : keras.Model
    loss : callable
    """
    return architecture(), loss


def bare(model):
    """The trained network without what only training needs, in single precision."""
    return tracking_network(fold(model, architecture("float32")), LIMIT)


def describe(dataset):
    """
    What the network's directory says of it; see `maxitools.frozen`.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    dict
        With gain and offset of the log-odds still to be fitted.
    """
    return {
        "format": FORMATS["track"],
        "task": "track",
        "graph": "graph.pb",
        "input": "pixels:0",
        "output": "answers:0",
        "normalisation": "two_scale",
        "mesh": MESH,
        "tile": 1024,
        "multiple": CELL,
        "training_prior": 0.5,
        "default_prior": 0.05,
        "aggregation": {"gain": 1.0, "offset": 0.0},
    }
