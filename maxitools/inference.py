"""An image through a network: strips of a mask, or the answers about tracking."""

import numpy as np

from maxitools.tiling import batches, tiles


def mask_strips(image, recipe, answer, batch_size=8, done=None):
    """
    Answer an image strip by strip, from the first row to the last.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values as read.
    recipe : maxitools.networks.Recipe
        Of the network.
    answer : callable
        From `maxitools.networks.Network.masks`.
    batch_size : int
        Tiles per network call.
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
    for batch in batches(tiles(recipe.normalise(image), image.shape, recipe.tiling), batch_size):
        for tile, planes in zip(batch, answer(batch), strict=True):
            rows, columns = tile.rows, tile.columns
            if columns.first == 0:
                shape = (planes.shape[-1], rows.last - rows.first, image.shape[1])
                strip = np.empty(shape, planes.dtype)
            strip[:, :, columns.first : columns.last] = np.moveaxis(planes, -1, 0)
            if columns.last == image.shape[1]:
                yield rows.first, strip
        if done:
            done(len(batch))
