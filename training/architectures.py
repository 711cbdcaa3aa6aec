"""The networks, in Keras: how they are built for training, and what is left of them to ship."""

import math

import keras
import numpy as np
from keras import layers, ops
from numpy.polynomial import hermite_e


def mask_network(n_classes, widths=(32, 40, 48, 64, 96, 128), deep=3, dtype=None):
    """
    U-Net on blocks of 2x2 pixels that gives each class a logit in every pixel.

    The blocks come in as channels and go out as channels, so that the widest maps have a
    quarter of the pixels. What the first layer saw goes straight to the last one beside what
    came up from below: single pixels need it. Skips are sums, half the work of concatenations.

    Every scale votes: the logits are the sum of those of all scales. Without that, the fine
    scales learn first, and silence the coarse ones, which only disturb them at that time.
    Nothing is normalised on the way: the brightness of scenes differs by so much that the
    statistics of a batch are those of its brightest scene, and hide the structure of all others.

    Parameters
    ----------
    n_classes : int
    widths : sequence of int
        Channels at each scale, from blocks of 2 pixels upwards by factors of 2. Height and width
        of the input must be multiples of ``2 ** len(widths)``.
    deep : int
        First scale with a residual block (He et al. 2016): there, further layers cost little, and
        tell what is large, like fringes from nebulae.
    dtype : str, optional
        Policy of precision; Keras' global one by default.

    Returns
    -------
    keras.Model
        (N, H, W, 2) pixels, as from `maxitools.normalisation.two_scale`, to
        (N, H, W, n_classes) logits.
    """

    def convolve(x, width, name, size=3, stride=1):
        x = layers.Conv2D(
            width,
            size,
            stride,
            padding="same" if size == 3 else "valid",
            kernel_initializer="he_normal",
            name=name,
            dtype=dtype,
        )(x)
        return layers.LeakyReLU(0.1, name=f"{name}_leaky", dtype=dtype)(x)

    def residual(x, width, name):
        y = convolve(x, width, f"{name}_c")
        y = layers.Conv2D(
            width, 3, padding="same", kernel_initializer="zeros", name=f"{name}_d", dtype=dtype
        )(y)
        return layers.Add(name=f"{name}_more", dtype=dtype)([x, y])

    def vote(x, votes, name):
        return layers.Conv2D(
            votes, 1, kernel_initializer="zeros", name=f"{name}_vote", dtype=dtype
        )(x)

    pixels = layers.Input((None, None, 2), name="pixels")
    x = layers.Lambda(arcsinh, name="arcsinh", dtype="float32")(pixels)
    x = convolve(x, widths[0], "blocks", size=2, stride=2)
    x = first = convolve(x, widths[0], "first")
    skips = []
    for level, width in enumerate(widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"down{level}", dtype=dtype)(x)
            x = convolve(x, width, f"down{level}_a")
        x = convolve(x, width, f"down{level}_b")
        if level >= deep:
            x = residual(x, width, f"down{level}")
        skips.append(x)
    x = skips.pop()
    votes = vote(x, n_classes, f"down{len(skips)}")
    for level in range(len(skips) - 1, -1, -1):
        x = layers.Conv2D(widths[level], 1, name=f"up{level}_a", dtype=dtype)(x)
        x = layers.UpSampling2D(2, name=f"up{level}", dtype=dtype)(x)
        x = layers.Add(name=f"skip{level}", dtype=dtype)([x, skips[level]])
        x = convolve(x, widths[level], f"up{level}_b")
        if level:
            votes = layers.UpSampling2D(2, name=f"up{level}_votes", dtype=dtype)(votes)
            votes = layers.Add(name=f"up{level}_sum", dtype=dtype)(
                [votes, vote(x, n_classes, f"up{level}")]
            )
    x = layers.Concatenate(name="last", dtype=dtype)([x, first])
    x = vote(x, 4 * n_classes, "pixel")
    # The four pixels of a block hear the same votes from above.
    votes = layers.UpSampling2D(2, name="up0_votes", dtype=dtype)(votes)
    votes = layers.Concatenate(name="votes", dtype=dtype)([votes] * 4)
    x = layers.Add(name="sum", dtype=dtype)([x, votes])
    logits = layers.Lambda(depth_to_space, name="logits", dtype=dtype)(x)
    return keras.Model(pixels, logits, name="mask")


def arcsinh(x):
    """Inverse hyperbolic sine: five times as fast as TensorFlow's own, which no vectors serve."""
    size = ops.abs(x)
    return ops.sign(x) * ops.log(size + ops.sqrt(size * size + 1))


def depth_to_space(x):
    """Channels of blocks back to 2x2 pixels: (N, h, w, 4 C) to (N, 2 h, 2 w, C)."""
    import tensorflow as tf

    return tf.nn.depth_to_space(x, 2)


STAMP = 32
# Side of the cells of which each lends at most one stamp, in pixels.
CELL = 32


def star_stamps(pixels, limit):
    """
    Cut out the brightest thing in each cell of a tile, most often a star.

    Parameters
    ----------
    pixels : tensor, (N, H, W, 2)
        As from `maxitools.normalisation.two_scale`; H and W multiples of `CELL`.
    limit : int
        Number of stamps from a tile: the brightest cells, and empty stamps when there are fewer.

    Returns
    -------
    tensor, (N, limit, STAMP, STAMP, 2)
        Pixels above the sky in units of its noise, and the same of a field three times as wide,
        in means of 3x3 pixels. Nothing in a stamp is exactly zero, but in empty ones all is.
    """
    sky = pixels[..., :1]
    n, height, width = (ops.shape(sky)[i] for i in range(3))
    wide = ops.average_pool(sky, 3, 1, padding="same")
    # Smoothed twice, thin cosmic rays rank behind stars.
    smooth = ops.average_pool(wide, 3, 1, padding="same")
    # A slope towards a brighter cell has no maximum of its own.
    peak = ops.where(smooth >= ops.max_pool(smooth, 9, 1, padding="same"), smooth, 0.0)
    rows, columns = height // CELL, width // CELL
    cells = ops.reshape(peak, (n, rows, CELL, columns, CELL))
    cells = ops.reshape(ops.transpose(cells, (0, 1, 3, 2, 4)), (n, rows * columns, CELL * CELL))
    # With as many empty cells the tile always has enough of them.
    cells = ops.pad(cells, ((0, 0), (0, limit), (0, 0)))
    height_of_peak, cell = ops.top_k(ops.max(cells, axis=-1), limit)
    place = ops.take_along_axis(ops.argmax(cells, axis=-1), cell, axis=1)
    cell = ops.minimum(cell, rows * columns - 1)
    y = cell // columns * CELL + place // CELL
    x = cell % columns * CELL + place % CELL
    stamps = []
    for image, step in ((sky, 1), (wide, 3)):
        half = STAMP // 2 * step
        image = ops.pad(image[..., 0], ((0, 0), (half, half), (half, half)))
        offset = ops.arange(STAMP) * step
        row = (y[..., None] + offset)[..., :, None]
        column = (x[..., None] + offset)[..., None, :]
        number = ops.reshape(ops.arange(n), (-1, 1, 1, 1))
        across = width + 2 * half
        flat = (number * (height + 2 * half) + row) * across + column
        stamps.append(ops.take(ops.reshape(image, (-1,)), flat))
    stamps = ops.stack(stamps, axis=-1)
    # The smoothed noise of the sky is 0.23 of that of a pixel: lower peaks are noise.
    return stamps * ops.cast(height_of_peak > 1.3, "float32")[..., None, None, None]


# Gaussian-Hermite functions up to this order, at these scales in pixels of a stamp.
ORDER, SCALES = 4, (1.2, 2.0, 3.5, 6.0)
# Spatial frequencies up to this many cycles per stamp, under a Gaussian window of this scale.
CYCLES, WINDOW = 8, 6.0


def stamp_network(width=96, heads=4, dtype=None):
    """
    Network that looks at the stars of a tile and answers once.

    Each stamp is measured (see `measures`), and described by dense layers. Each head gives each
    stamp a weight between 0 and 1 (is it a star that says something?), and what the network
    concludes from are the weighted means and scatters of the descriptions and the sums of the
    weights: images of stars that all look alike are told from galaxies, doubles and cosmic rays,
    and a tile without stars is known as such.

    Parameters
    ----------
    width : int
        Units of the dense layers.
    heads : int
        Number of different weights.
    dtype : str, optional
        Policy of precision; Keras' global one by default.

    Returns
    -------
    keras.Model
        (N, K, STAMP, STAMP, 2) stamps, as from `star_stamps`, to (N, 2): the log-odds of a
        tracking error, and the logarithm of the weight of this answer among those of other tiles.
    """
    stamps = layers.Input((None, STAMP, STAMP, 2), name="stamps")
    x = layers.Lambda(measures, name="measures", dtype="float32")(stamps)
    x = layers.BatchNormalization(momentum=0.98, name="scale", dtype=dtype)(x)
    for name in ("describe_a", "describe_b"):
        x = layers.Dense(width, activation="gelu", name=name, dtype=dtype)(x)
    values = layers.Dense(32 * heads, name="values", dtype=dtype)(x)
    weights = layers.Dense(heads, activation="sigmoid", name="weights", dtype=dtype)(x)
    x = layers.Lambda(weighted_moments, name="moments", dtype="float32")([stamps, values, weights])
    for name in ("conclude_a", "conclude_b"):
        x = layers.Dense(64, activation="gelu", name=name, dtype="float32")(x)
    return keras.Model(stamps, layers.Dense(2, name="answers", dtype="float32")(x), name="track")


def hermite_basis(scale):
    """Gaussian-Hermite functions on a stamp, (STAMP**2, n); the first is the Gaussian, sum 1."""
    axis = (np.arange(STAMP) - STAMP // 2) / scale
    weight = np.exp(-(axis**2) / 2) / np.sqrt(2 * np.pi) / scale
    functions = [
        weight * hermite_e.hermeval(axis, np.eye(ORDER + 1)[k]) / math.sqrt(math.factorial(k))
        for k in range(ORDER + 1)
    ]
    pairs = [(i, j) for i in range(ORDER + 1) for j in range(ORDER + 1 - i)]
    return np.stack([np.outer(functions[i], functions[j]).ravel() for i, j in pairs], axis=1)


def measures(stamps):
    """
    Measure stamps: moments at several scales, and the power spectrum around the middle.

    The moments, in units of the flux at their scale, tell sizes, elongations and asymmetries. The
    power, in units of that of the mean, does not depend on the place of the star in the stamp; a
    star that moved has the square of the transfer function of the motion in it, the zeros of a
    drift or the waves of a jump.

    Parameters
    ----------
    stamps : tensor, (N, K, STAMP, STAMP, 2)

    Returns
    -------
    tensor, (N K, n)
    """
    flat = ops.reshape(stamps, (-1, STAMP, STAMP, 2))
    found = []
    axis = np.arange(STAMP) - STAMP // 2
    window = np.exp(-(axis**2) / (2 * WINDOW**2))
    window = np.outer(window, window).astype(np.float32)
    k = 2 * np.pi / STAMP * np.outer(axis, np.arange(-CYCLES, CYCLES + 1))
    cosine, sine = np.cos(k).astype(np.float32), np.sin(k).astype(np.float32)
    for channel in range(2):
        image = flat[..., channel]
        moments = [
            ops.matmul(ops.reshape(image, (-1, STAMP**2)), hermite_basis(s).astype(np.float32))
            for s in SCALES
        ]
        for each in moments:
            flux = ops.maximum(each[:, :1], 0) + 0.3
            found += [ops.log(flux), each[:, 1:] / flux]
        image = ops.maximum(image, -5) * window
        mean = ops.sum(image, axis=(1, 2))
        # A transform of few frequencies is a product of small matrices: along x, then along y.
        real, imaginary = ops.matmul(image, cosine), ops.matmul(image, sine)
        c, s = cosine[:, CYCLES:].T, sine[:, CYCLES:].T
        real, imaginary = (
            ops.matmul(c, real) - ops.matmul(s, imaginary),
            ops.matmul(c, imaginary) + ops.matmul(s, real),
        )
        power = real**2 + imaginary**2
        power /= ops.maximum(mean, 0)[:, None, None] ** 2 + 100
        found.append(ops.log(ops.reshape(power, (-1, power.shape[1] * power.shape[2])) + 1e-3))
    return ops.clip(ops.concatenate(found, axis=-1), -20, 20)


def weighted_moments(inputs):
    """Means and scatters of values (N K, heads * k) under weights (N K, heads), over K, flat."""
    stamps, values, weights = inputs
    count, heads = ops.shape(stamps)[1], weights.shape[-1]
    weights = ops.reshape(weights, (-1, count, heads, 1))
    weights *= ops.cast(ops.any(stamps != 0, axis=(2, 3, 4)), "float32")[..., None, None]
    values = ops.reshape(values, (-1, count, heads, values.shape[-1] // heads))
    total = ops.sum(weights, axis=1) + 1e-2
    mean = ops.sum(weights * values, axis=1) / total
    square = ops.sum(weights * values**2, axis=1) / total
    scatter = ops.sqrt(ops.maximum(square - mean**2, 0) + 1e-3)
    parts = ops.concatenate([mean, scatter, ops.log(total)], axis=-1)
    return ops.reshape(parts, (-1, parts.shape[-1] * heads))


def tracking_network(stamps_network, limit):
    """
    A network on stamps, and what cuts them out.

    Parameters
    ----------
    stamps_network : keras.Model
        From `stamp_network`.
    limit : int
        Largest number of stamps from a tile.

    Returns
    -------
    keras.Model
        (N, H, W, 2) pixels, as from `maxitools.normalisation.two_scale`, H and W multiples of
        `CELL`, to (N, 2) as `stamp_network`.
    """
    pixels = layers.Input((None, None, 2), name="pixels")
    stamps = layers.Lambda(star_stamps, arguments={"limit": limit}, name="cut")(pixels)
    return keras.Model(pixels, stamps_network(stamps), name="track")
