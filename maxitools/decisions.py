"""From probabilities to masks: prior modification, thresholds, powers of two."""

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


def single_mask(planes, codes):
    """
    One integer map from one map per class: the sum of the codes of a pixel's classes.

    Parameters
    ----------
    planes : ndarray, (C, H, W)
        Thresholded maps, 0 or 1.
    codes : sequence of int
        Code of each class, a power of two or 0.

    Returns
    -------
    ndarray, int16, (H, W)
    """
    joined = np.zeros(planes.shape[1:], np.int16)
    for plane, code in zip(planes, codes, strict=True):
        if code:
            joined |= plane.astype(np.int16) * np.int16(code)
    return joined
