"""The tracking network's task: stamps of exposures in, the loss on labels, its description."""

import numpy as np
from keras import ops

from maxitools.normalisation import two_scale
from training.architectures import CELL, STAMP, stamp_network, star_stamps, tracking_network
from training.dataset import SceneFolder
from training.export import fold

MESH = 128
# Stamps kept from an exposure, in a batch, and from a tile in use.
KEPT, BATCH, LIMIT = 48, 1024, 96
# Tiles of an exposure and stamps from all of them, batch by batch.
SHAPES = (1, 8), (2, 32), (1, 32), (2, 16)


class Dataset(SceneFolder):
    """
    Stamps from the exposures of a folder, turned, flipped, stretched and made noisier.

    Some of each exposure are taken, in turns as one tile and as two. The two are what the weight
    of a tile is learned from. See `SceneFolder`.
    """

    def keep(self, scene):
        """Stamps of an exposure, and whether it is affected."""
        pixels = two_scale(scene["image"], MESH)
        height, width = (side // CELL * CELL for side in pixels.shape[:2])
        stamps = ops.convert_to_numpy(star_stamps(pixels[None, :height, :width], KEPT))[0]
        return np.clip(stamps, -6e4, 6e4).astype(np.float16), float(scene["affected"])

    def __getitem__(self, index):
        tiles, count = SHAPES[index % len(SHAPES)]
        chosen = [
            self.scenes[self.names[k]]
            for k in self.rng.integers(len(self.names), size=BATCH // count)
        ]
        stamps = np.empty((len(chosen), count, STAMP, STAMP, 2), np.float32)
        for some, (of, _) in zip(stamps, chosen, strict=True):
            of = of[self.rng.permutation(max(np.count_nonzero(of.any((1, 2, 3))), count))[:count]]
            of = np.rot90(of, self.rng.integers(4), axes=(1, 2))
            some[:] = of[:, ::-1] if self.rng.integers(2) else of
            if self.rng.integers(2):
                some[:] = stretched(self.rng, some)
            if self.rng.integers(2):
                # A shorter exposure: more noise, by which everything is then measured.
                noise = self.rng.uniform(0, 1.5)
                held = some != 0
                some += noise * held * self.rng.standard_normal(some.shape, dtype=np.float32)
                some /= np.sqrt(1 + noise**2)
        stamps = stamps.reshape(-1, count // tiles, STAMP, STAMP, 2)
        affected = np.repeat(np.array([affected for _, affected in chosen], np.float32), tiles)
        return stamps, np.stack([affected, np.full_like(affected, tiles)], axis=1)


def stretched(rng, stamps):
    """Stamps (K, S, S, 2) longer by some per cent along an axis, as optics leave them."""
    angle, factor = rng.uniform(0, np.pi), np.exp(np.abs(rng.normal(0, 0.12)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([factor**-0.5, factor**0.5]) @ turn.T
    grid = np.indices((STAMP, STAMP)).reshape(2, -1) - STAMP // 2
    place = np.clip(matrix @ grid + STAMP // 2, 0, STAMP - 1.001)
    corner = place.astype(int)
    fraction = (place - corner).astype(np.float32)
    flat = stamps.reshape(len(stamps), STAMP**2, 2)
    result = 0
    for step in np.ndindex(2, 2):
        weight = np.prod([f if s else 1 - f for f, s in zip(fraction, step, strict=True)], axis=0)
        pixel = (corner[0] + step[0]) * STAMP + corner[1] + step[1]
        result = result + weight[None, :, None] * flat[:, pixel]
    return result.reshape(stamps.shape)


def loss(labels, answers):
    """
    Cross-entropy of the tiles' answers and of those of whole exposures.

    Parameters
    ----------
    labels : tensor, (N, 2)
        Whether the exposure is affected, and the number of successive tiles that it has.
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
    """Of a truth (0 or 1) and log-odds."""
    return ops.softplus(odds) - truth * odds


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
    return stamp_network(), loss


def bare(model):
    """The trained network without what only training needs, in single precision."""
    return tracking_network(fold(model, stamp_network(dtype="float32")), LIMIT)


def describe(dataset):
    """
    What the network's directory says of it; see `maxitools.networks`.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    dict
        With gain and offset of the log-odds still to be fitted.
    """
    return {
        "format": 1,
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
