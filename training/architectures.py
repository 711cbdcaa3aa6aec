"""The networks, in Keras: how they are built for training, and what is left of them to ship."""

import keras
from keras import layers, ops


def mask_network(n_classes, widths=(32, 40, 48, 64, 96, 128), normalise=True, dtype=None):
    """
    U-Net on blocks of 2x2 pixels that gives each class a logit in every pixel.

    The blocks come in as channels and go out as channels, so that the widest maps have a
    quarter of the pixels. What the first layer saw goes straight to the last one beside what
    came up from below: single pixels need it. Skips are sums, half the work of concatenations.

    Parameters
    ----------
    n_classes : int
    widths : sequence of int
        Channels at each scale, from blocks of 2 pixels upwards by factors of 2. Height and width
        of the input must be multiples of ``2 ** len(widths)``.
    normalise : bool
        Batch normalisation after each convolution at the two finest scales, for training.
        Without it, the network that `training.export.fold` fills.
    dtype : str, optional
        Policy of precision; Keras' global one by default.

    Returns
    -------
    keras.Model
        (N, H, W, 2) pixels, as from `maxitools.normalisation.two_scale`, to
        (N, H, W, n_classes) logits.
    """

    def convolve(x, width, level, name, size=3, stride=1):
        # Statistics of a batch serve the fine scales, and cost nothing once trained. On the
        # coarse ones a few scenes full of light would set the scale for all: there each place
        # is normalised by itself.
        local = level > 1
        x = layers.Conv2D(
            width,
            size,
            stride,
            padding="same" if size == 3 else "valid",
            use_bias=local or not normalise,
            name=name,
            dtype=dtype,
        )(x)
        if local:
            x = layers.LayerNormalization(name=f"{name}_local", dtype=dtype)(x)
        elif normalise:
            x = layers.BatchNormalization(name=f"{name}_norm", dtype=dtype)(x)
        return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)

    pixels = layers.Input((None, None, 2), name="pixels")
    x = layers.Lambda(ops.arcsinh, name="arcsinh", dtype=dtype)(pixels)
    x = convolve(x, widths[0], 0, "blocks", size=2, stride=2)
    x = first = convolve(x, widths[0], 0, "first")
    skips = []
    for level, width in enumerate(widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"down{level}", dtype=dtype)(x)
            x = convolve(x, width, level, f"down{level}_a")
        x = convolve(x, width, level, f"down{level}_b")
        skips.append(x)
    x = skips.pop()
    for level in range(len(skips) - 1, -1, -1):
        x = convolve(x, widths[level], level + 1, f"up{level}_a", size=1)
        x = layers.UpSampling2D(2, name=f"up{level}", dtype=dtype)(x)
        x = layers.Add(name=f"skip{level}", dtype=dtype)([x, skips[level]])
        x = convolve(x, widths[level], level, f"up{level}_b")
    x = layers.Concatenate(name="last", dtype=dtype)([x, first])
    x = layers.Conv2D(4 * n_classes, 1, name="classes", dtype=dtype)(x)
    logits = layers.Lambda(depth_to_space, name="logits", dtype=dtype)(x)
    return keras.Model(pixels, logits, name="mask")


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
    smooth = ops.average_pool(sky, 3, 1, padding="same")
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
    wide = ops.average_pool(sky, 3, 1, padding="same")
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
    # Peaks of less than 2.5 sigma of a mean of 9 pixels are noise.
    return stamps * ops.cast(height_of_peak > 2.5, "float32")[..., None, None, None]


def stamp_network(widths=(24, 48, 64, 96), heads=4, normalise=True, dtype=None):
    """
    Network that looks at the stars of a tile and answers once.

    Each stamp is described by the same convolutions. Each head gives each stamp a weight between
    0 and 1 (is it a star that says something?), and what the network concludes from are the
    weighted means and scatters of the descriptions and the sums of the weights: images of stars
    that all look alike are told from galaxies, doubles and cosmic rays, and a tile without stars
    is known as such.

    Parameters
    ----------
    widths : sequence of int
        Channels of pixels of 1, 2, 4 and 8.
    heads : int
        Number of different weights.
    normalise : bool
        As in `mask_network`.
    dtype : str, optional
        Policy of precision; Keras' global one by default.

    Returns
    -------
    keras.Model
        (N, K, STAMP, STAMP, 2) stamps, as from `star_stamps`, to (N, 2): the log-odds of a
        tracking error, and the logarithm of the weight of this answer among those of other tiles.
    """

    def convolve(x, width, name, stride=1):
        x = layers.Conv2D(
            width, 3, stride, padding="same", use_bias=not normalise, name=name, dtype=dtype
        )(x)
        if normalise:
            x = layers.BatchNormalization(momentum=0.95, name=f"{name}_norm", dtype=dtype)(x)
        return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)

    stamps = layers.Input((None, STAMP, STAMP, 2), name="stamps")
    x = layers.Lambda(contrast, name="contrast", dtype=dtype)(stamps)
    x = convolve(x, widths[0], "stamp", stride=2)
    for level, width in enumerate(widths[1:]):
        x = convolve(x, width, f"level{level}_a", stride=2)
        x = layers.Add(name=f"level{level}_sum", dtype=dtype)(
            [x, convolve(x, width, f"level{level}_b")]
        )
    x = layers.Flatten(name="flat", dtype=dtype)(x)
    x = layers.Dense(128, activation="relu", name="describe", dtype=dtype)(x)
    values = layers.Dense(32 * heads, name="values", dtype=dtype)(x)
    weights = layers.Dense(heads, activation="sigmoid", name="weights", dtype=dtype)(x)
    x = layers.Lambda(weighted_moments, name="moments", dtype="float32")([stamps, values, weights])
    x = layers.Dense(64, activation="relu", name="conclude", dtype="float32")(x)
    return keras.Model(stamps, layers.Dense(2, name="answers", dtype="float32")(x), name="track")


def contrast(stamps):
    """Stamps (N, K, S, S, 2) to (N K, S, S, 4): arcsinh, and linear with peaks of about 1."""
    flat = ops.reshape(stamps, (-1, *stamps.shape[2:]))
    peak = ops.max(ops.average_pool(flat, 3, 1), axis=(1, 2), keepdims=True)
    return ops.concatenate([ops.arcsinh(flat) / 4, flat / (ops.maximum(peak, 0) + 3)], axis=-1)


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
