"""The networks, in Keras: how they are built for training, and what is left of them to ship."""

import keras
from keras import layers


def mask_network(n_classes, widths=(32, 48, 64, 96, 128, 128), normalise=True):
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
        `folded` fills.

    Returns
    -------
    keras.Model
        (N, H, W, 2) pixels, as from `maxitools.normalisation.two_scale`, to
        (N, H, W, n_classes) logits.
    """

    def convolve(x, width, name, size=3, stride=1):
        padding = "same" if size == 3 else "valid"
        x = layers.Conv2D(
            width, size, stride, padding=padding, use_bias=not normalise, name=name
        )(x)
        if normalise:
            x = layers.BatchNormalization(name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    pixels = layers.Input((None, None, 2), name="pixels")
    x = layers.Lambda(keras.ops.arcsinh, name="arcsinh")(pixels)
    first = convolve(x, widths[0], "blocks", size=2, stride=2)
    x = first = convolve(first, widths[0], "first")
    skips = []
    for level, width in enumerate(widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"down{level}")(x)
            x = convolve(x, width, f"down{level}_a")
        x = convolve(x, width, f"down{level}_b")
        skips.append(x)
    x = skips.pop()
    for level in range(len(skips) - 1, -1, -1):
        x = convolve(x, widths[level], f"up{level}_a", size=1)
        x = layers.UpSampling2D(2, name=f"up{level}")(x)
        x = layers.Add(name=f"skip{level}")([x, skips[level]])
        x = convolve(x, widths[level], f"up{level}_b")
    x = layers.Concatenate(name="last")([x, first])
    x = layers.Conv2D(4 * n_classes, 1, name="classes")(x)
    logits = layers.Lambda(depth_to_space, name="logits")(x)
    return keras.Model(pixels, logits, name="mask")


def depth_to_space(x):
    """Channels of blocks back to 2x2 pixels: (N, h, w, 4 C) to (N, 2 h, 2 w, C)."""
    import tensorflow as tf

    return tf.nn.depth_to_space(x, 2)
