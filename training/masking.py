"""The mask network's task: crops of scenes in, the loss on their labels, and its description."""

import numpy as np
from keras import ops
from scipy import ndimage
from scipy.special import expit, logit

from maxitools.classes import NAMES
from maxitools.descriptions import FORMATS
from maxitools.normalisation import two_scale
from training.architectures import mask_network
from training.dataset import SceneFolder
from training.simulation.scenes import BIT

MESH = 128
CROP = 384
BATCH = 2
# What labels are of, where they are not a network's answers: see `weighted_cross_entropy`.
PARTS = 3
# Weight of a positive pixel in the loss: the rarer the class, the more.
WEIGHTS = {
    "CR": 4, "HCL": 4, "DCL": 4, "HP": 10, "DP": 10, "P": 3, "TRL": 2, "FR": 1, "NEB": 1,
    "SAT": 4, "SP": 4, "OV": 2, "BBG": 1, "BG": 1,
}  # fmt: skip
# Logits that a network said are kept in a byte: steps of an eighth, from -16 to 16.
STEP, MIDDLE = 1 / 8, 128
# What an object's core may be mistaken for.
SPOTS = BIT["CR"] | BIT["HP"] | BIT["HCL"] | BIT["SAT"] | BIT["OV"]
# Weight in the loss of the class CR, positive or not, where a hit and a star may be confused (see
# `crucial`): few pixels, and what users see. It is the same for both, so that neither is favoured:
# with more for stars than for hits the network grows timid, and thresholds have to mend it.
CORE_WEIGHT = 10
# Hits and hot pixels of a scene share that weight so that neither's number teaches what to expect:
# by up to this factor more for the fewer, and less for the others.
MOST_SHIFT = 4
# Pixels from the edge of a scene within which what is bright is crucial.
EDGE = 4

# What a plain night delivers: shares of the pixels of an exposure nobody chose for its faults.
DEFAULT_PRIORS = {
    "CR": 1e-3, "HCL": 1e-3, "DCL": 1e-3, "HP": 1e-4, "DP": 1e-4, "P": 1e-3, "TRL": 2e-3,
    "FR": 1e-2, "NEB": 1e-2, "SAT": 1e-3, "SP": 2e-3, "OV": 1e-2, "BBG": 5e-2, "BG": 0.9,
}  # fmt: skip

# What the log-odds of a pixel may gain where a neighbour's are higher. The rim of a hit is always
# in doubt; with thresholds that spare the cores of stars, tracks would be dashes, and ghosts lace.
NEIGHBOUR_GAINS = {"CR": 1.0, "P": 2.0}


class Dataset(SceneFolder):
    """
    Random crops of the scenes in a folder, turned and flipped; see `SceneFolder`.

    Attributes
    ----------
    priors : ndarray, (n_classes,), or None
        Of the network that taught, where scenes hold what it said (see `training.teach`): that
        counts as much then as the labels, and alone where they are unsure.
    """

    def __init__(self, folder, steps, seed):
        self.counts, self.priors = np.zeros((2, len(NAMES))), None
        super().__init__(folder, steps, seed)

    def keep(self, scene):
        """Normalised pixels and labels of a scene, whose classes are counted."""
        positive, unsure = scene["positive"], scene["unsure"]
        if min(positive.shape) < CROP:
            raise ValueError(
                f"{positive.shape[1]}x{positive.shape[0]} pixels are too small: crops of "
                f"{CROP}x{CROP} are taken from scenes; see --size of training.simulate"
            )
        for i, bit in enumerate(BIT.values()):
            self.counts[:, i] += (positive & bit).astype(bool).sum(), (unsure & bit == 0).sum()
        if self.scenes and ("said" in scene) == (self.priors is None):
            raise ValueError("scenes with the answers of a network and scenes without do not mix")
        pixels = np.clip(two_scale(scene["image"], MESH), -6e4, 6e4)
        weight = crucial(pixels[..., 0], positive, unsure)
        if "said" in scene:
            self.priors = scene["priors"]
            taught = corrected(scene["said"], positive, unsure)
            labels = np.concatenate([weight[..., None].astype(np.uint8), taught], axis=-1)
        else:
            labels = np.stack([positive, unsure, weight], axis=-1)
        # Half precision holds what matters: values are compared by their arcsinh.
        return pixels.astype(np.float16), labels

    @property
    def shares(self):
        """Share of the pixels that are in each class, among those where it is sure."""
        return self.counts[0] / np.maximum(self.counts[1], 1)

    def __getitem__(self, index):
        pixels = np.empty((BATCH, CROP, CROP, 2), np.float32)
        any_labels = self.scenes[self.paths[0]][1]
        labels = np.empty((BATCH, CROP, CROP, any_labels.shape[-1]), any_labels.dtype)
        for k in range(BATCH):
            scene = self.scenes[self.paths[self.rng.integers(len(self.paths))]]
            y, x = (self.rng.integers(side - CROP + 1) for side in scene[0].shape[:2])
            turns, flip = self.rng.integers(4), self.rng.integers(2)
            for part, out in zip(scene, (pixels, labels), strict=True):
                crop = np.rot90(part[y : y + CROP, x : x + CROP], turns)
                out[k] = crop[::-1] if flip else crop
        return pixels, in_blocks(labels)


def crucial(sky, positive, unsure):
    """
    Weigh the pixels that decide whether masks of cosmic rays are of use.

    Parameters
    ----------
    sky : ndarray, (H, W)
        Pixels above the local sky, in units of its noise.
    positive, unsure : ndarray, uint16, (H, W)
        Bit masks of the classes.

    Returns
    -------
    ndarray, uint16, (H, W)
        Weight in the loss of CR of the cores of objects that no ray has hit, sharp stars most of
        all; of those of hits; of hot pixels; around what is or was saturated, where bleeding ends;
        and of what is bright at the edge of the frame, where columns glow. Elsewhere 0.
    """
    # A class that nobody marked in the whole scene does not tell spots from stars.
    unsure = unsure & ~np.bitwise_and.reduce(unsure, axis=None)
    spots = (positive | unsure) & SPOTS > 0
    rays, full = positive & BIT["CR"] > 0, (positive | unsure) & BIT["SAT"] > 0
    around = ndimage.maximum_filter(full.view(np.uint8), 7).view(bool) & ~rays
    around &= positive & BIT["SAT"] == 0
    peaks = ~ndimage.maximum_filter(spots.view(np.uint8), 3).view(bool)
    edge = (sky > 8) & (positive & (BIT["SAT"] | BIT["TRL"]) == 0)
    edge[EDGE:-EDGE, EDGE:-EDGE] = False
    hits = _cores(sky, rays) & rays
    hot = (positive & BIT["HP"] > 0) & ~rays
    weight = CORE_WEIGHT * (_cores(sky, peaks) & ~spots | hits | around | edge)
    if hot.any():
        shift = np.sqrt(hot.sum() / max(hits.sum(), 1))
        shift = np.clip(shift, 1 / MOST_SHIFT, MOST_SHIFT)
        weight = np.where(hits, CORE_WEIGHT * shift, weight)
        weight = np.where(hot, CORE_WEIGHT / shift, weight)
    return np.rint(weight).astype(np.uint16)


def _cores(sky, there):
    """Pixels above half of a maximum of at least 8 that is `there`, next to it or itself."""
    highest = ndimage.maximum_filter(sky, 3)
    peaks = (sky == highest) & (sky > 8) & there
    return ndimage.maximum_filter(peaks.view(np.uint8), 3).view(bool) & (sky > highest / 2)


def in_blocks(labels):
    """Labels (N, H, W, k) as the network answers: (N, H / 2, W / 2, 4, k), of blocks of 2x2."""
    n, height, width, parts = labels.shape
    labels = labels.reshape(n, height // 2, 2, width // 2, 2, parts).swapaxes(2, 3)
    return labels.reshape(n, height // 2, width // 2, 4, parts)


def effective_priors(shares):
    """
    Share of each class that the network's probabilities take for granted.

    A positive pixel that weighs w counts as w pixels: the prior p acts as
    w p / (w p + 1 - p).
    """
    weighted = _weights() * shares
    # Scenes that lack a class, or are full of it, do not tell that all frames are so.
    return np.clip(weighted / (weighted + 1 - shares), 1e-6, 1 - 1e-6)


def _weights():
    return np.array([WEIGHTS[name] for name in NAMES], np.float32)


def ignorant_loss(shares):
    """What a network pays for each class that knows its share of the pixels, and nothing else."""
    guess = effective_priors(shares)
    loss = -_weights() * shares * np.log(guess) - (1 - shares) * np.log1p(-guess)
    # A class that hardly occurs has nothing to teach, and would drown the others.
    return np.maximum(loss, 0.01)


def weighted_cross_entropy(weights, scales):
    """
    Cross-entropy of each class by itself, over the pixels where its label is sure.

    Parameters
    ----------
    weights : ndarray, (n_classes,)
        Of positive pixels.
    scales : ndarray, (n_classes,)
        Divides the loss of each class: with `ignorant_loss`, 1 is what nothing learnt costs,
        and rare classes count no less than common ones.

    Returns
    -------
    callable
        `loss(labels, logits)`: integers (..., 3), bit masks of the positive and unsure classes, and
        the weight of CR, positive or not, where that is crucial, else 0 (see `crucial`); as many
        float logits as there are labels and classes.
    """
    places = np.arange(len(weights), dtype=np.int32)
    rays = (places == NAMES.index("CR")).astype(np.float32)

    def loss(labels, logits):
        labels = ops.cast(labels, "int32")
        bits = ops.right_shift(labels[..., :2, None], places) & 1
        bits = ops.cast(bits, "float32")
        positive, unsure = bits[..., 0, :], bits[..., 1, :]
        core = ops.cast(labels[..., 2:], "float32") * rays
        weight = ops.where(core > 0, core, 1 + positive * (weights - 1))
        weight *= (1 - unsure) / scales
        logits = ops.reshape(ops.cast(logits, "float32"), ops.shape(positive))
        # softplus(x) - x = softplus(-x): what a positive pixel costs, in one softplus for both.
        return ops.mean(weight * (ops.softplus(logits) - positive * logits), axis=-1)

    return loss


def spoken(said):
    """The logits, float, in an array or a tensor of float that holds the bytes they are kept in."""
    return (said - MIDDLE) * STEP


def kept(logits):
    """Logits as the bytes, uint8, that `spoken` reads."""
    return np.clip(np.rint(logits / STEP) + MIDDLE, 0, 255).astype(np.uint8)


def corrected(said, positive, unsure):
    """
    What a network said, and the labels where they are sure: the mean of both probabilities.

    Parameters
    ----------
    said : ndarray, uint8, (H, W, n_classes)
        As from `training.teach.said`.
    positive, unsure : ndarray, uint16, (H, W)
        Bit masks of the classes.

    Returns
    -------
    ndarray, uint8, (H, W, n_classes)
    """
    # For each of the bytes, where the label is negative and where it is positive.
    probable = expit(spoken(np.arange(256, dtype=np.float32)))
    mean = kept(logit((probable + np.float32([[0], [1]])) / 2))
    taught = said.copy()
    for i, bit in enumerate(BIT.values()):
        sure = unsure & bit == 0
        taught[sure, i] = mean[(positive[sure] & bit > 0).astype(np.uint8), said[sure, i]]
    return taught


def taught_cross_entropy(weights, scales):
    """
    What answers lack of those of a network that teaches: cross-entropy less that network's own.

    Parameters
    ----------
    weights, scales
        As for `weighted_cross_entropy`. A pixel weighs more by the probability that it is positive.

    Returns
    -------
    callable
        `loss(labels, logits)`: integers (..., 1 + n_classes), the weight of CR where that is
        crucial, else 0, and what was said, as from `corrected`; as many float logits.
    """
    rays = np.array([name == "CR" for name in NAMES], np.float32)

    def loss(labels, logits):
        labels = ops.cast(labels, "float32")
        core, taught = labels[..., :1] * rays, spoken(labels[..., 1:])
        positive = ops.sigmoid(taught)
        weight = ops.where(core > 0, core, 1 + positive * (weights - 1)) / scales
        logits = ops.reshape(ops.cast(logits, "float32"), ops.shape(positive))
        excess = ops.softplus(logits) - ops.softplus(taught) - positive * (logits - taught)
        return ops.mean(weight * excess, axis=-1)

    return loss


def architecture(dtype=None):
    """The network of this task, untrained, of Keras' global precision or of another."""
    return mask_network(len(NAMES), dtype=dtype)


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
    network = architecture()
    priors = _priors(dataset)
    # It begins by knowing each class's share, instead of having to learn that first.
    bias = np.log(priors / (1 - priors))
    network.get_layer("pixel_vote").bias.assign(np.tile(bias, 4))
    scales = ignorant_loss(dataset.shares).astype(np.float32)
    return network, loss(scales)


def _priors(dataset):
    """Those that the network's probabilities take for granted."""
    return effective_priors(dataset.shares) if dataset.priors is None else dataset.priors


def loss(scales):
    """
    `weighted_cross_entropy` or, of what a network said, `taught_cross_entropy`, by the labels.
    """
    marked = weighted_cross_entropy(_weights(), scales)
    taught = taught_cross_entropy(_weights(), scales)

    def either(labels, logits):
        return (marked if labels.shape[-1] == PARTS else taught)(labels, logits)

    return either


def bare(model):
    """The trained network in single precision, of operations that LiteRT is good at."""
    twin = mask_network(len(NAMES), dtype="float32", shipped=True)
    for layer in twin.layers:
        weights = model.get_layer(layer.name).get_weights()
        copies = [
            new.shape[-1] // old.shape[-1] for new, old in zip(layer.weights, weights, strict=True)
        ]
        layer.set_weights([np.tile(old, n) for old, n in zip(weights, copies, strict=True)])
    last = twin.get_layer("pixel_vote")
    last.set_weights([_class_by_class(weights) for weights in last.get_weights()])
    return twin


def _class_by_class(weights):
    """Filters of the last layer, (..., 4 n_classes), row by row and in a row class by class."""
    by_row = weights.reshape(*weights.shape[:-1], 2, 2, -1)
    return by_row.swapaxes(-1, -2).reshape(weights.shape)


def describe(dataset):
    """
    What the network's directory says of it; see `maxitools.frozen`.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    dict
        With thresholds still to be chosen.
    """
    priors = _priors(dataset)
    return {
        "format": FORMATS["mask"],
        "task": "mask",
        "graph": "graph.pb",
        "input": "pixels:0",
        "output": "logits:0",
        "block": 2,
        "classes": NAMES,
        "normalisation": "two_scale",
        "mesh": MESH,
        "tile": 1344,
        "halo": 32,
        "multiple": 64,
        "training_priors": {n: float(f"{p:.4g}") for n, p in zip(NAMES, priors, strict=True)},
        "default_priors": DEFAULT_PRIORS,
        "neighbour_gains": NEIGHBOUR_GAINS,
        "thresholds": dict.fromkeys(NAMES, 0.5),
    }
