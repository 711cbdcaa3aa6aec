"""The tracking network's task: crops of exposures in, the loss on their labels, its description."""

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from maxitools.normalisation import two_scale
from training.architectures import tracking_network
from training.export import fold

MESH = 128
BATCH = 16


class Dataset(keras.utils.PyDataset):
    """
    Exposures of a folder, turned and flipped, in turns whole and in four parts.

    The parts are what the weight of a tile is learned from. Exposures that appear in the
    folder later join at the start of an epoch.

    Parameters
    ----------
    folder : Path
        Exposures from `training.simulate`, all of one size, a multiple of 32.
    steps : int
        Batches per epoch.
    seed : int
    """

    def __init__(self, folder, steps, seed):
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self.folder, self.steps = folder, steps
        self.rng = np.random.default_rng(seed)
        self.exposures = {}
        self.on_epoch_end()

    def on_epoch_end(self):
        """Read the exposures that are new."""
        new = [p for p in sorted(self.folder.glob("*.npz")) if p.name not in self.exposures]
        for path in tqdm(new, unit="exposure", desc="reading", disable=None, leave=False):
            with np.load(path) as exposure:
                pixels = two_scale(exposure["image"], MESH)[..., 0]
                affected = float(exposure["affected"])
            pixels = np.clip(pixels, -6e4, 6e4).astype(np.float16)
            self.exposures[path.name] = pixels, affected
        self.names = sorted(self.exposures)

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        chosen = [
            self.exposures[self.names[k]] for k in self.rng.integers(len(self.names), size=BATCH)
        ]
        size = chosen[0][0].shape[0]
        pixels = np.zeros((BATCH, size, size, 2), np.float32)
        for crop, (exposure, _) in zip(pixels, chosen, strict=True):
            turned = np.rot90(exposure, self.rng.integers(4))
            crop[..., 0] = turned[::-1] if self.rng.integers(2) else turned
        affected = np.array([affected for _, affected in chosen], np.float32)
        tiles = 1 + 3 * (index % 2)
        if tiles > 1:
            half = size // 2
            pixels = pixels.reshape(BATCH, 2, half, 2, half, 2).swapaxes(2, 3)
            pixels = pixels.reshape(BATCH * tiles, half, half, 2)
        affected = np.repeat(affected, tiles)
        return pixels, np.stack([affected, np.full_like(affected, tiles)], axis=1)


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
    return tracking_network(), loss


def bare(model):
    """The trained network without what only training needs, in single precision."""
    return fold(model, tracking_network(normalise=False, dtype="float32"))


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
        "tile": 640,
        "multiple": 16,
        "minimum": 64,
        "training_prior": 0.5,
        "default_prior": 0.05,
        "aggregation": {"gain": 1.0, "offset": 0.0},
    }
