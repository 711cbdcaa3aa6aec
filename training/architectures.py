"""The networks, in Keras: how they are built for training, and what is left of them to ship."""

import math

import keras
import numpy as np
from keras import layers, ops
from numpy.polynomial import hermite_e


def mask_network(
    n_classes,
    widths=(16, 32, 48, 64, 96, 128),
    deep=3,
    plain=2,
    dtype=None,
    shipped=False,
):
    """
    U-Net on blocks of 2x2 pixels that gives each class a logit in every pixel.

    The blocks come in as channels and go out as channels, so that the widest maps have a
    quarter of the pixels. What the first layer saw goes straight to the last one beside what
    came up from below: single pixels need it. Skips are sums, half the work of concatenations.

    Every scale votes: the logits are the sum of those of all scales. Without that, the fine
    scales learn first, and silence the coarse ones, which only disturb them at that time. The last
    convolution hands the votes on to the pixels, and may weigh them otherwise.
    Nothing is normalised on the way: the brightness of scenes differs by so much that the
    statistics of a batch are those of its brightest scene, and hide the structure of all others.

    Parameters
    ----------
    n_classes : int
    widths : sequence of int
        Channels at each scale, from blocks of 2 pixels upwards by factors of 2; LiteRT's kernels
        take them by 16. Height and width of the input must be multiples of ``2 ** len(widths)``.
    deep : int
        First scale with a residual block (He et al. 2016): there, further layers cost little, and
        tell what is large, like fringes from nebulae.
    plain : int
        Finest scales with plain rectifiers, not leaky ones: memory sets the pace there, and a plain
        one costs LiteRT no pass of its own.
    dtype : str, optional
        Policy of precision; Keras' global one by default.
    shipped : bool
        Whether to double maps by what LiteRT does with all threads: the layers ``upN_a`` then
        have each filter four times, and `training.masking.bare` sorts those of the last one.

    Returns
    -------
    keras.Model
        (N, H, W, 2) pixels, as from `maxitools.normalisation.two_scale`, to
        (N, H / 2, W / 2, 4 n_classes) logits: those of the four pixels of a block, row by row.
    """

    def convolve(x, width, name, size=3, stride=1, level=0):
        x = layers.Conv2D(
            width,
            size,
            stride,
            padding="same" if size == 3 else "valid",
            kernel_initializer="he_normal",
            name=name,
            dtype=dtype,
        )(x)
        if level < plain:
            return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)
        return layers.LeakyReLU(0.1, name=f"{name}_leaky", dtype=dtype)(x)

    def residual(x, width, name, level):
        y = convolve(x, width, f"{name}_c", level=level)
        y = layers.Conv2D(
            width, 3, padding="same", kernel_initializer="zeros", name=f"{name}_d", dtype=dtype
        )(y)
        return layers.Add(name=f"{name}_more", dtype=dtype)([x, y])

    def vote(x, votes, name, kernel="zeros"):
        return layers.Conv2D(votes, 1, kernel_initializer=kernel, name=f"{name}_vote", dtype=dtype)(
            x
        )

    def double(x, name, copies=1):
        if not shipped:
            return layers.UpSampling2D(2, name=name, dtype=dtype)(x)

        def interleave(x):
            import tensorflow as tf

            if copies == 1:
                # A product with ones and zeros copies channels faster than a concatenation.
                copies_of_each = np.tile(np.eye(x.shape[-1], dtype=np.float32), 4)
                x = tf.nn.conv2d(x, copies_of_each[np.newaxis, np.newaxis], 1, "VALID")
            return tf.nn.depth_to_space(x, 2)

        return layers.Lambda(interleave, name=name, dtype=dtype)(x)

    pixels = layers.Input((None, None, 2), name="pixels")
    x = layers.Lambda(arcsinh, name="arcsinh", dtype="float32")(pixels)
    x = convolve(x, widths[0], "blocks", size=2, stride=2)
    x = first = convolve(x, widths[0], "first")
    skips = []
    for level, width in enumerate(widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"down{level}", dtype=dtype)(x)
            x = convolve(x, width, f"down{level}_a", level=level)
        x = convolve(x, width, f"down{level}_b", level=level)
        if level >= deep:
            x = residual(x, width, f"down{level}", level)
        skips.append(x)
    x = skips.pop()
    votes = vote(x, n_classes, f"down{len(skips)}")
    for level in range(len(skips) - 1, -1, -1):
        copies = 4 if shipped else 1
        x = layers.Conv2D(copies * widths[level], 1, name=f"up{level}_a", dtype=dtype)(x)
        x = double(x, f"up{level}", copies)
        x = layers.Add(name=f"skip{level}", dtype=dtype)([x, skips[level]])
        x = convolve(x, widths[level], f"up{level}_b", level=level)
        if level:
            votes = double(votes, f"up{level}_votes")
            # What coarse scales tell, like a nebula, has no corners.
            votes = layers.AveragePooling2D(
                3, 1, padding="same", name=f"up{level}_smooth", dtype=dtype
            )(votes)
            votes = layers.Add(name=f"up{level}_sum", dtype=dtype)(
                [votes, vote(x, n_classes, f"up{level}")]
            )
    votes = double(votes, "up0_votes")
    x = layers.Concatenate(name="last", dtype=dtype)([x, first, votes])
    logits = vote(x, 4 * n_classes, "pixel", _handed_on)
    return keras.Model(pixels, logits, name="mask")


def _handed_on(shape, dtype=None):
    """Kernel by which the last channels, votes, reach each pixel of a block, and no others do."""
    inputs, outputs = shape[-2:]
    votes = np.tile(np.eye(outputs // 4), 4)
    kernel = np.concatenate([np.zeros((inputs - len(votes), outputs)), votes])
    return ops.reshape(ops.cast(kernel, dtype), shape)


def arcsinh(x):
    """
    Inverse hyperbolic sine: five times as fast as TensorFlow's own, which no vectors serve.

    Nor do LiteRT's threads share a sign, but they do a quotient.
    """
    size = ops.abs(x)
    sign = x / ops.maximum(size, 1e-30)
    return sign * ops.log(size + ops.sqrt(size * size + 1))


# Side of a stamp: odd, so that it can be turned about its middle pixel.
STAMP = 33
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
    stamps : tensor, (N, limit, STAMP, STAMP, 2)
        Pixels above the sky in units of its noise, and the same of a field three times as wide,
        in means of 3x3 pixels. Nothing in a stamp is exactly zero, but in empty ones all is.
    places : tensor, (N, limit, 2)
        Where the middle of a stamp lies in the tile, down and to the right, from -1 to 1.
    """
    # Rows of one pixel's height with the columns as channels: pooling and padding are many times
    # faster over many channels than over one.
    sky = ops.transpose(pixels, (0, 1, 3, 2))[:, :, :1]
    on_its_side = turned(sky)
    n, height, _, width = (ops.shape(sky)[i] for i in range(4))
    wide = pooled(ops.average_pool, on_its_side, 3)
    # A pixel is as bright as its neighbours on both axes are: hot pixels and thin cosmic rays
    # rank behind stars.
    cross = ops.minimum(around(on_its_side), turned(around(sky)))
    smooth = pooled(ops.average_pool, cross / 2, 3)
    # A slope towards a brighter cell has no maximum of its own.
    peak = ops.where(smooth >= turned(pooled(ops.max_pool, smooth, 9)), smooth, 0.0)
    rows, columns = height // CELL, width // CELL
    cells = ops.reshape(peak, (n, rows, CELL, columns, CELL))
    cells = ops.reshape(ops.transpose(cells, (0, 1, 3, 2, 4)), (n, rows * columns, CELL * CELL))
    # With as many empty cells the tile always has enough of them.
    cells = ops.pad(cells, ((0, 0), (0, limit), (0, 0)))
    highest, place = ops.top_k(cells, 1)
    height_of_peak, cell = ops.top_k(highest[..., 0], limit)
    place = ops.take_along_axis(place[..., 0], cell, axis=1)
    cell = ops.minimum(cell, rows * columns - 1)
    y = cell // columns * CELL + place // CELL
    x = cell % columns * CELL + place % CELL
    stamps = []
    for image, step in ((sky, 1), (wide, 3)):
        half = STAMP // 2 * step
        image = ops.pad(image, ((0, 0), (half, half), (0, 0), (half, half)))
        across = width + 2 * half
        number = ops.reshape(ops.arange(n), (-1, 1))
        first = (number * (height + 2 * half) + y) * across + x
        offset = ops.arange(STAMP) * step
        offsets = ops.reshape(offset[:, None] * across + offset, (1, 1, -1))
        stamps.append(ops.take(ops.reshape(image, (-1,)), first[..., None] + offsets))
    stamps = ops.reshape(ops.stack(stamps, axis=-1), (n, limit, STAMP, STAMP, 2))
    places = [
        2 * ops.cast(at, "float32") / ops.cast(side, "float32") - 1
        for at, side in ((y, height), (x, width))
    ]
    held = ops.cast(height_of_peak > FAINTEST, "float32")
    return stamps * held[..., None, None, None], ops.stack(places, axis=-1)


def turned(image):
    """An image (N, H, 1, W), about its diagonal: (N, W, 1, H)."""
    return ops.transpose(image, (0, 3, 2, 1))


def pooled(pool, image, size):
    """Pool the `size` x `size` pixels around each of (N, H, 1, W), turned: (N, W, 1, H)."""
    image = turned(pool(image, (size, 1), 1, padding="same"))
    return pool(image, (size, 1), 1, padding="same")


def around(image):
    """Sum of the pixels above and below each of (N, H, 1, W), 0 beyond the edges."""
    framed = ops.pad(image, ((0, 0), (1, 1), (0, 0), (0, 0)))
    return framed[:, :-2] + framed[:, 2:]


# Lower peaks are mostly noise, of which the smoothed one has about a fifth of that of a pixel.
FAINTEST = 0.8
# Gaussian-Hermite functions up to this order, at these scales in pixels of a stamp.
ORDER, SCALES = 4, (1.2, 2.0, 3.5, 6.0)
# Spatial frequencies up to this many cycles per stamp, under a Gaussian window of this scale.
CYCLES, WINDOW = 8, 6.0


def stamp_network(width=96, heads=4, dtype=None):
    """
    Network that looks at the stars of a tile and answers once.

    It looks twice. First each stamp is measured (see `measures`) and described by itself. Each
    head gives each stamp a weight between 0 and 1 (is it a star that says something?), and the
    weighted means and scatters of the descriptions say what the stars of the tile are like. All
    stars share the motion of the telescope: with that in mind each stamp is described and
    weighted once more, by which cosmic rays, galaxies and double stars fall out. The conclusion is
    drawn from the means, the scatters and the slopes over the tile, and from images: the weighted
    means of the stamps, which have far less noise than one star.

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
        (N, K, STAMP, STAMP, 2) stamps and (N, K, 2) places, as from `star_stamps`, to (N, 2): the
        log-odds of a tracking error, and the logarithm of the weight of this answer among those
        of other tiles.
    """

    def dense(x, units, name, activation="gelu"):
        return layers.Dense(units, activation=activation, name=name, dtype=dtype)(x)

    def join(function, inputs, name):
        return layers.Lambda(function, name=name, dtype="float32")(inputs)

    stamps = layers.Input((None, STAMP, STAMP, 2), name="stamps")
    places = layers.Input((None, 2), name="places")
    x = join(measures, stamps, "measures")
    x = layers.BatchNormalization(momentum=0.98, name="scale", dtype=dtype)(x)
    x = dense(dense(x, width, "describe_a"), width, "describe_b")
    held = join(lambda s: ops.cast(ops.any(s != 0, axis=(2, 3, 4)), "float32"), stamps, "held")
    first = join(
        moments,
        [dense(x, 16 * heads, "values", None), dense(x, heads, "weights", "sigmoid"), held],
        "moments",
    )
    context = dense(dense(first, width, "context_a"), width, "context_b", None)
    x = layers.Add(name="in_context", dtype=dtype)(
        [dense(x, width, "again_a", None), join(lambda c: c[:, None], context, "each")]
    )
    x = dense(layers.Activation("gelu", name="again_gelu", dtype=dtype)(x), width, "again_b")
    values, weights = (
        dense(x, 16 * heads, "values_again", None),
        dense(x, heads, "weights_again", "sigmoid"),
    )
    second = join(moments, [values, weights, held], "moments_again")
    slopes = join(slopes_over_tile, [values, weights, held, places], "slopes")
    image = join(mean_stamps, [stamps, weights, held], "mean_stamps")
    for name, channels in (("image_a", 24), ("image_b", 32), ("image_c", 48)):
        image = layers.Conv2D(
            channels, 3, 2, padding="same", activation="gelu", name=name, dtype=dtype
        )(image)
    image = dense(layers.Flatten(name="image_flat", dtype=dtype)(image), width, "image")
    x = layers.Concatenate(name="all", dtype="float32")([first, second, slopes, image])
    x = dense(dense(x, width, "conclude_a"), width, "conclude_b")
    answers = layers.Dense(2, name="answers", dtype="float32")(x)
    return keras.Model([stamps, places], answers, name="track")


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
    tensor, (N, K, n)
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
    found = ops.clip(ops.concatenate(found, axis=-1), -20, 20)
    return ops.reshape(found, (-1, ops.shape(stamps)[1], found.shape[-1]))


def by_head(values, weights, held):
    """Values (N, K, heads * k) and weights (N, K, heads), to (N, K, heads, k) and (.., 1)."""
    heads = weights.shape[-1]
    values = ops.reshape(values, (-1, ops.shape(values)[1], heads, values.shape[-1] // heads))
    return values, (weights * held[..., None])[..., None]


def flat(parts):
    """Concatenate, and keep only the first axis."""
    parts = ops.concatenate(parts, axis=-1)
    return ops.reshape(parts, (-1, math.prod(parts.shape[1:])))


def moments(inputs):
    """Means, scatters and sums of weights, over the stamps, of values; see `by_head`."""
    values, weights = by_head(*inputs)
    total = ops.sum(weights, axis=1) + 1e-2
    mean = ops.sum(weights * values, axis=1) / total
    square = ops.sum(weights * values**2, axis=1) / total
    scatter = ops.sqrt(ops.maximum(square - mean**2, 0) + 1e-3)
    return flat([mean, scatter, ops.log(total)])


def slopes_over_tile(inputs):
    """Covariances of values and the stamps' places in the tile; see `by_head`."""
    *inputs, places = inputs
    values, weights = by_head(*inputs)
    # As with some more stars in the middle: with one or two there is no slope.
    total = ops.sum(weights, axis=1, keepdims=True) + 2
    mean = ops.sum(weights * values, axis=1, keepdims=True) / total
    return flat(
        [
            ops.sum(weights * (values - mean) * places[..., i, None, None], axis=1) / total[:, 0]
            for i in range(2)
        ]
    )


def mean_stamps(inputs):
    """
    Mean images of the stars, as each head weights them.

    Parameters
    ----------
    inputs : sequence of tensor
        Stamps, weights (N, K, heads), and which of the stamps hold anything (N, K).

    Returns
    -------
    tensor, (N, STAMP, STAMP, 4 * heads)
        Both scales of the mean, in units of its maximum, and the same on a scale that shows
        faint wings.
    """
    stamps, weights, held = inputs
    heads = weights.shape[-1]
    flux = ops.sum(stamps[..., 0] * hermite_basis(6.0)[:, 0].reshape(STAMP, STAMP), axis=(2, 3))
    # Faint stars count by their signal, and bright ones no more than others.
    share = weights * (held / (ops.maximum(flux, 0) + 0.5))[..., None]
    pixels = ops.reshape(stamps, (-1, ops.shape(stamps)[1], STAMP * STAMP * 2))
    mean = ops.matmul(ops.transpose(share, (0, 2, 1)), pixels)
    mean = ops.reshape(mean, (-1, heads, STAMP, STAMP, 2))
    mean /= ops.max(mean[..., 0], axis=(2, 3))[..., None, None, None] + 0.01
    mean = ops.clip(mean, -1, 3)
    mean = ops.concatenate([mean, arcsinh(30 * mean) / 4], axis=-1)
    return ops.reshape(ops.transpose(mean, (0, 2, 3, 1, 4)), (-1, STAMP, STAMP, 4 * heads))


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
    cut = layers.Lambda(star_stamps, arguments={"limit": limit}, name="cut")(pixels)
    return keras.Model(pixels, stamps_network(cut), name="track")


def fold(trained, bare):
    """
    Put a network's weights into its twin without batch normalisation.

    A convolution followed by a normalisation with fixed statistics is a convolution with
    other weights and a bias: the same answers for less work.

    Parameters
    ----------
    trained : keras.Model
        Layers ``NAME`` without bias are followed by ``NAME_norm``.
    bare : keras.Model
        The same layers, each with a bias and without a normalisation.

    Returns
    -------
    keras.Model
        `bare`, filled.
    """
    norms = {layer.name: layer for layer in trained.layers if layer.name.endswith("_norm")}
    for layer in bare.layers:
        if not layer.weights:
            continue
        weights = trained.get_layer(layer.name).get_weights()
        norm = norms.get(f"{layer.name}_norm")
        if norm is not None:
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            weights = [weights[0] * scale, beta - mean * scale]
        layer.set_weights(weights)
    return bare
