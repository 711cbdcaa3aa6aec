"""An image through a network: strips of a mask, or the answers about tracking."""

import numpy as np

from maxitools.pipeline import ahead
from maxitools.tiling import batches, tiles


def _batches(rows_of, shape, recipe, batch_size):
    """The tiles of an image in batches, the next one made while one is answered."""
    height, width = (max(s.stop - s.start for s in recipe.tiling.spans(n)) for n in shape)
    most = max(1, recipe.most_pixels // (height * width))
    return ahead(batches(tiles(rows_of, shape, recipe.tiling), min(batch_size, most)))


def mask_strips(rows_of, shape, recipe, answer, batch_size=8, done=None):
    """
    Answer an image strip by strip, from the first row to the last.

    Parameters
    ----------
    rows_of : callable
        From `recipe.normalise`: the image's normalised rows.
    shape : tuple of int
        Shape (H, W) of the image.
    recipe : maxitools.networks.Recipe
        Of the network.
    answer : callable
        From `maxitools.networks.Network.masks`.
    batch_size : int
        Tiles per network call, at the most.
    done : callable, optional
        Called with a number of tiles when so many are done.

    Yields
    ------
    first : int
        Row of the image where the strip begins.
    strip : ndarray, (C, rows, W)
        Of the type that `answer` gives.
    """
    strip = None
    cut = _batches(rows_of, shape, recipe, batch_size)
    for batch, answers in ahead((batch, answer(batch)) for batch in cut):
        for tile, planes in zip(batch, answers, strict=True):
            rows, columns = tile.rows, tile.columns
            if columns.first == 0:
                size = (planes.shape[-1], rows.last - rows.first, shape[1])
                strip = np.empty(size, planes.dtype)
            strip[:, :, columns.first : columns.last] = np.moveaxis(planes, -1, 0)
            if columns.last == shape[1]:
                yield rows.first, strip
                # Let go before the next one is made.
                strip = None
        if done:
            done(len(batch))


def track_answers(rows_of, shape, recipe, answer, batch_size=8):
    """
    Answer the tiles of an image about tracking.

    Parameters
    ----------
    rows_of, shape, recipe, batch_size
        As for `mask_strips`.
    answer : callable
        From `maxitools.networks.Network.tracks`.

    Returns
    -------
    ndarray, (tiles, ...)
        What the network answers to each tile.
    """
    cut = _batches(rows_of, shape, recipe, batch_size)
    return np.concatenate([answer(batch) for batch in cut])
