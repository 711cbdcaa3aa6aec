"""Images through a network: strips of masks, or the answers about tracking."""

import time
from itertools import groupby
from operator import itemgetter

import numpy as np

from maxitools.pipeline import ahead
from maxitools.tiling import batches, tiles


def _batches(rows_of, shape, recipe, batch_size):
    """The tiles of an image in batches."""
    height, width = (max(s.stop - s.start for s in recipe.tiling.spans(n)) for n in shape)
    most = max(1, recipe.most_pixels // (height * width))
    return batches(tiles(rows_of, shape, recipe.tiling), min(batch_size, most))


def _answered(images, recipe, answer, batch_size):
    """
    What an image is, (number, name, shape), with a batch of its tiles and the answers to it.

    An error of either is in the place of the answers; both are None where nothing is asked.
    The network does not wait between images: while answers are used, later tiles are answered,
    and the ones after them are made.
    """

    def cut():
        for number, (name, rows_of, shape, seconds) in enumerate(images):
            image = number, name, shape
            if rows_of is None:
                yield image, None, seconds
                continue
            try:
                for batch in _batches(rows_of, shape, recipe, batch_size):
                    yield image, batch, seconds
            except Exception as error:
                yield image, error, seconds

    def answered():
        for image, batch, seconds in ahead(cut()):
            answers = batch
            if isinstance(batch, list):
                start = time.perf_counter()
                try:
                    answers = answer(batch)
                except Exception as error:
                    answers = error
                seconds["network"] += time.perf_counter() - start
            yield image, batch, answers

    return ahead(answered())


def mask_strips(images, recipe, answer, batch_size=8, growth=None):
    """
    Answer images strip by strip, from the first row to the last.

    Parameters
    ----------
    images : iterable of tuple
        For each image: what to call it, a function that gives its normalised rows, as from
        `recipe.normalise`, its shape (H, W), and a Counter, to which is added what the network
        takes, in seconds. Without such a function nothing is answered.
    recipe : maxitools.network.Recipe
        Of the network.
    answer : callable
        From `maxitools.network.Network.masks`.
    batch_size : int
        Tiles per network call, at the most.
    growth : callable, optional
        From the height of an image to what grows its masks, a `maxitools.decisions.Growth`.

    Yields
    ------
    name : object
        What the image is called.
    rows : slice
        Rows of the image that are answered; None when there is no strip.
    strip : ndarray, (C, rows, W), or None, or Exception
        Of the type that `answer` gives; None when nothing was to be answered, and what went
        wrong where an image cannot be.
    """
    strip = None
    for (_, name, shape), batch, answers in _answered(images, recipe, answer, batch_size):
        if batch is None or isinstance(answers, Exception):
            yield name, None, answers
            continue
        for tile, planes in zip(batch, answers, strict=True):
            rows, columns = tile.rows, tile.columns
            if columns.first == 0:
                size = (planes.shape[-1], rows.last - rows.first, shape[1])
                strip = np.empty(size, planes.dtype)
            strip[:, :, columns.first : columns.last] = np.moveaxis(planes, -1, 0)
            if columns.last < shape[1]:
                continue
            if growth and rows.first == 0:
                growing = growth(shape[0])
            pieces = growing.add(strip) if growth else [(slice(rows.first, rows.last), strip)]
            # Let go before the next one is made.
            strip = None
            while pieces:
                yield name, *pieces.pop()


def track_answers(images, recipe, answer, batch_size=8):
    """
    Answer the tiles of images about tracking.

    Parameters
    ----------
    images, recipe, batch_size
        As for `mask_strips`.
    answer : callable
        From `maxitools.network.Network.tracks`.

    Yields
    ------
    name, rows
        As from `mask_strips`: all rows of the image.
    answers : ndarray, (tiles, ...), or None, or Exception
        What the network answers to each tile, or as from `mask_strips`.
    """
    parts = _answered(images, recipe, answer, batch_size)
    for (_, name, shape), image in groupby(parts, itemgetter(0)):
        found = [answers for *_, answers in image]
        wrong = next((answers for answers in found if isinstance(answers, Exception)), None)
        if wrong or found[0] is None:
            yield name, None, wrong
        else:
            yield name, slice(0, shape[0]), np.concatenate(found)
