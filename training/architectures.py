"""The networks, in Keras: how they are built for training, and what is left of them to ship."""

import keras
from keras import layers


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
        Batch normalisation after each convolution, for training. Without it, the network that
        `training.export.fold` fills.
    dtype : str, optional
        Policy of precision; Keras' global one by default.

    Returns
    -------
    keras.Model
        (N, H, W, 2) pixels, as from `maxitools.normalisation.two_scale`, to
        (N, H, W, n_classes) logits.
    """

    def convolve(x, width, name, size=3, stride=1):
        padding = "same" if size == 3 else "valid"
        x = layers.Conv2D(
            width, size, stride, padding=padding, use_bias=not normalise, name=name, dtype=dtype
        )(x)
        if normalise:
            x = layers.BatchNormalization(name=f"{name}_norm", dtype=dtype)(x)
        return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)

    pixels = layers.Input((None, None, 2), name="pixels")
    x = layers.Lambda(keras.ops.arcsinh, name="arcsinh", dtype=dtype)(pixels)
    first = convolve(x, widths[0], "blocks", size=2, stride=2)
    x = first = convolve(first, widths[0], "first")
    skips = []
    for level, width in enumerate(widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"down{level}", dtype=dtype)(x)
            x = convolve(x, width, f"down{level}_a")
        x = convolve(x, width, f"down{level}_b")
        skips.append(x)
    x = skips.pop()
    for level in range(len(skips) - 1, -1, -1):
        x = convolve(x, widths[level], f"up{level}_a", size=1)
        x = layers.UpSampling2D(2, name=f"up{level}", dtype=dtype)(x)
        x = layers.Add(name=f"skip{level}", dtype=dtype)([x, skips[level]])
        x = convolve(x, widths[level], f"up{level}_b")
    x = layers.Concatenate(name="last", dtype=dtype)([x, first])
    x = layers.Conv2D(4 * n_classes, 1, name="classes", dtype=dtype)(x)
    logits = layers.Lambda(depth_to_space, name="logits", dtype=dtype)(x)
    return keras.Model(pixels, logits, name="mask")


def depth_to_space(x):
    """Channels of blocks back to 2x2 pixels: (N, h, w, 4 C) to (N, 2 h, 2 w, C)."""
    import tensorflow as tf

    return tf.nn.depth_to_space(x, 2)


def tracking_network(widths=(16, 32, 64, 96), heads=4, normalise=True, dtype=None):
    """
    Network that looks at the stars of a tile, wherever they are, and answers once.

    Convolutions describe cells of 16 pixels; each head gives each cell a weight between 0 and 1
    (is there a star that says something?), and what the network concludes from are the weighted
    means and scatters of the descriptions and the sums of the weights: images of stars that all
    look alike are told from galaxies and doubles, and a tile without stars is known as such.

    Parameters
    ----------
    widths : sequence of int
        Channels at cells of 2, 4, 8 and 16 pixels.
    heads : int
        Number of different weights.
    normalise : bool
        As in `mask_network`.
    dtype : str, optional
        Policy of precision; Keras' global one by default.

    Returns
    -------
    keras.Model
        (N, H, W, 2) pixels, as from `maxitools.normalisation.two_scale`, H and W multiples of
        16, to (N, 2): the log-odds of a tracking error, and the logarithm of the weight of this
        answer among those of other tiles.
    """

    def convolve(x, width, name, size=3, stride=1):
        x = layers.Conv2D(
            width, size, stride, padding="same", use_bias=not normalise, name=name, dtype=dtype
        )(x)
        if normalise:
            x = layers.BatchNormalization(name=f"{name}_norm", dtype=dtype)(x)
        return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)

    pixels = layers.Input((None, None, 2), name="pixels")
    x = layers.Lambda(lambda p: keras.ops.arcsinh(p[..., :1]), name="arcsinh", dtype=dtype)(pixels)
    x = convolve(x, widths[0], "half", size=5, stride=2)
    for level, width in enumerate(widths[1:]):
        x = convolve(x, width, f"down{level}_a", stride=2)
        for part in "bc"[: level + 1]:
            x = layers.Add(name=f"down{level}_{part}_sum", dtype=dtype)(
                [x, convolve(x, width, f"down{level}_{part}")]
            )
    values = layers.Conv2D(32 * heads, 1, name="values", dtype=dtype)(x)
    weights = layers.Conv2D(heads, 1, activation="sigmoid", name="weights", dtype=dtype)(x)
    x = layers.Lambda(weighted_moments, name="moments", dtype="float32")([values, weights])
    x = layers.Dense(64, activation="relu", name="conclude", dtype="float32")(x)
    return keras.Model(pixels, layers.Dense(2, name="answers", dtype="float32")(x), name="track")


def weighted_moments(inputs):
    """Means and scatters of values (N, h, w, heads * k) under weights (N, h, w, heads), flat."""
    values, weights = inputs
    shape = keras.ops.shape(weights)
    heads = weights.shape[-1]
    weights = keras.ops.reshape(weights, (shape[0], -1, heads, 1))
    values = keras.ops.reshape(values, (shape[0], -1, heads, values.shape[-1] // heads))
    total = keras.ops.sum(weights, axis=1) + 1e-2
    mean = keras.ops.sum(weights * values, axis=1) / total
    square = keras.ops.sum(weights * values**2, axis=1) / total
    scatter = keras.ops.sqrt(keras.ops.maximum(square - mean**2, 0) + 1e-3)
    parts = keras.ops.concatenate([mean, scatter, keras.ops.log(total)], axis=-1)
    return keras.ops.reshape(parts, (-1, parts.shape[-1] * heads))
