"""Images through a network: strips of masks, or the answers about tracking."""

import numpy as np

from maxitools.pipeline import ahead
from maxitools.tiling import batches, tiles


def _batches(rows_of, shape, recipe, batch_size):
    """The tiles of an image in batches."""
    height, width = (max(s.stop - s.start for s in recipe.tiling.spans(n)) for n in shape)
    most = max(1, recipe.most_pixels // (height * width))
    return batches(tiles(rows_of, shape, recipe.tiling), min(batch_size, most))


def mask_strips(images, recipe, answer, batch_size=8):
    """
    Answer images strip by strip, from the first row to the last.

    The network does not wait between images: while strips are used, later tiles are answered,
    and the ones after them are made.

    Parameters
    ----------
    images : iterable of tuple
        For each image: what to call it, a function that gives its normalised rows, as from
        `recipe.normalise`, and its shape (H, W). Without such a function nothing is answered.
    recipe : maxitools.network.Recipe
        Of the network.
    answer : callable
        From `maxitools.network.Network.masks`.
    batch_size : int
        Tiles per network call, at the most.

    Yields
    ------
    name : object
        What the image is called.
    first : int
        Row of the image where the strip begins; None when nothing was to be answered.
    strip : ndarray, (C, rows, W), or None
        Of the type that `answer` gives.
    """

    def cut():
        for name, rows_of, shape in images:
            if rows_of is None:
                yield name, shape, None
                continue
            for batch in _batches(rows_of, shape, recipe, batch_size):
                yield name, shape, batch

    def answered():
        for name, shape, batch in ahead(cut()):
            yield name, shape, batch, batch and answer(batch)

    strip = None
    for name, shape, batch, answers in ahead(answered()):
        if batch is None:
            yield name, None, None
            continue
        for tile, planes in zip(batch, answers, strict=True):
            rows, columns = tile.rows, tile.columns
            if columns.first == 0:
                size = (planes.shape[-1], rows.last - rows.first, shape[1])
                strip = np.empty(size, planes.dtype)
            strip[:, :, columns.first : columns.last] = np.moveaxis(planes, -1, 0)
            if columns.last == shape[1]:
                yield name, rows.first, strip
                # Let go before the next one is made.
                strip = None


def track_answers(rows_of, shape, recipe, answer, batch_size=8):
    """
    Answer the tiles of an image about tracking.

    Parameters
    ----------
    rows_of : callable
        From `recipe.normalise`: the image's normalised rows.
    shape : tuple of int
        Shape (H, W) of the image.
    recipe, batch_size
        As for `mask_strips`.
    answer : callable
        From `maxitools.network.Network.tracks`.

    Returns
    -------
    ndarray, (tiles, ...)
        What the network answers to each tile.
    """
    cut = ahead(_batches(rows_of, shape, recipe, batch_size))
    return np.concatenate([answer(batch) for batch in cut])
