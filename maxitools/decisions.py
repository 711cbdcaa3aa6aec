"""From probabilities to masks: prior modification, thresholds, growing, powers of two."""

import numpy as np


def prior_factor(training, new):
    """
    Factor f of a prior modification: f = t / (1 - t) * (1 - p) / p.

    Parameters
    ----------
    training : float or ndarray
        Prior t that the network was trained with, between 0 and 1.
    new : float or ndarray
        Prior p that is expected in the data, between 0 and 1.

    Returns
    -------
    float or ndarray
        1 where the priors agree, above 1 where the class is rarer than in training.
    """
    return training / (1 - training) * (1 - new) / new


def modify(probabilities, factor):
    """
    Probabilities under new priors: q' = q / (q + f (1 - q)).

    Parameters
    ----------
    probabilities : ndarray
        Raw probabilities q.
    factor : float or ndarray
        Of `prior_factor`; broadcast against `probabilities`.

    Returns
    -------
    ndarray
        Of the type of `probabilities`. 0 stays 0 and 1 stays 1.
    """
    return probabilities / (probabilities + factor * (1 - probabilities))


def raw_threshold(threshold, factor):
    """
    Raw probability above which a modified one is above the threshold.

    The inverse of `modify`: q' > t is the same as q > f t / (1 - t + f t), so that a
    pixel costs one comparison.

    Parameters
    ----------
    threshold : float or ndarray
        Threshold t of modified probabilities, from 0 to 1.
    factor : float or ndarray
        Of `prior_factor`.

    Returns
    -------
    ndarray, float64
    """
    threshold = np.asarray(threshold, np.float64)
    return factor * threshold / (1 - threshold + factor * threshold)


def raised(answers, most):
    """
    Raise each answer to the highest beside it.

    Parameters
    ----------
    answers : ndarray, (H, W)
        Probabilities of a class, or whether pixels are in it.
    most : ndarray, (H, W)
        What no answer is raised above.

    Returns
    -------
    ndarray, (H, W)
        The highest of the 3x3 pixels around each, or `most` where that is lower.
    """
    highest = answers
    for axis in (0, 1):
        lines = np.moveaxis(highest, axis, 0)
        highest = highest.copy()
        out = np.moveaxis(highest, axis, 0)
        np.maximum(out[1:], lines[:-1], out=out[1:])
        np.maximum(out[:-1], lines[1:], out=out[:-1])
    return np.minimum(highest, most)


def joined(planes, codes, dtype=np.int16):
    """
    One integer map from one map per class: the codes of a pixel's classes, joined bit by bit.

    Parameters
    ----------
    planes : ndarray, (C, ...)
        Thresholded maps, 0 or 1.
    codes : sequence of int
        Code of each class; powers of two add up.
    dtype : dtype
        Type of the map.

    Returns
    -------
    ndarray, (...)
    """
    one = np.zeros(planes.shape[1:], dtype)
    for plane, code in zip(planes, codes, strict=True):
        if code:
            one |= plane.astype(dtype) * one.dtype.type(code)
    return one


class Growth:
    """
    Grow the masks of an image while its strips come: by a square around each pixel.

    Parameters
    ----------
    distance : int
        Pixels to grow by, in rows and in columns.
    grows : sequence of bool
        For each plane, whether it does.
    height : int
        Rows of the image.
    """

    def __init__(self, distance, grows, height):
        self._distance, self._grows, self._height = distance, grows, height
        self._first, self._done, self._kept = 0, 0, None

    def add(self, strip):
        """
        Take the next strip.

        Parameters
        ----------
        strip : ndarray, (C, rows, W)
            0 or 1.

        Returns
        -------
        list of tuple
            The slice of rows of the image whose masks are known now, and these, (C, rows, W);
            empty while too few have come.
        """
        if self._kept is not None:
            strip = np.concatenate((self._kept, strip), axis=1)
        # The last rows wait for those that may grow into them.
        known = self._first + strip.shape[1]
        last = known if known == self._height else known - self._distance
        grown = []
        if last > self._done:
            rows = slice(self._done - self._first, last - self._first)
            grown = [(slice(self._done, last), self._grown(strip, rows))]
            self._done = last
        first = max(self._done - self._distance, self._first)
        self._kept, self._first = strip[:, first - self._first :].copy(), first
        return grown

    def _grown(self, strip, rows):
        # Here, as it takes a fifth of a second that only growing needs.
        from scipy import ndimage

        grown = strip[:, rows].copy()
        for place, plane in enumerate(strip):
            if self._grows[place] and plane.any():
                size = 2 * self._distance + 1
                grown[place] = ndimage.maximum_filter(plane, size, mode="constant")[rows]
        return grown
