"""How well probabilities tell positives from negatives, counted in histograms of their logit."""

import numpy as np
from scipy.special import expit, logit

LIMIT = 30.0  # logits beyond this (probabilities within 1e-13 of 0 or 1) share the end bins
BINS = 1 << 16


def bin_of(probability):
    """
    Bin of each probability, in equal steps of its logit.

    Parameters
    ----------
    probability : float or ndarray
        From 0 to 1, both included; NaN, as from a published network where the sky has no noise,
        counts as 0: no threshold lets it pass.

    Returns
    -------
    ndarray, int64
        From 0 to `BINS` - 1, rising with the probability.
    """
    probability = np.nan_to_num(probability, nan=0.0)
    with np.errstate(divide="ignore"):
        scaled = (logit(probability) + LIMIT) * (BINS / (2 * LIMIT))
    return np.clip(scaled, 0, BINS - 1).astype(np.int64)


def bin_logits():
    """
    Logit at the centre of each bin.

    Returns
    -------
    ndarray, float64, (BINS,)
    """
    return (np.arange(BINS) + 0.5) * (2 * LIMIT / BINS) - LIMIT


def histogram(probability, truth):
    """
    Count negatives and positives in each bin.

    Parameters
    ----------
    probability : ndarray
        Answers, from 0 to 1.
    truth : ndarray of bool
        Of the same shape.

    Returns
    -------
    ndarray, int64, (2, BINS)
        Row 0 counts the negatives, row 1 the positives. Histograms of several images add up.
    """
    bins = bin_of(probability)
    return np.stack([np.bincount(bins[truth == t], minlength=BINS) for t in (False, True)])


def roc(counts):
    """
    Receiver operating characteristic.

    Parameters
    ----------
    counts : ndarray, (2, BINS)
        Of `histogram`; at least one negative and one positive.

    Returns
    -------
    fpr, tpr : ndarray, float64, (BINS + 1,)
        False and true positive rates as the threshold falls from above 1 to 0.
    """
    tail = np.cumsum(counts[:, ::-1], axis=1) / counts.sum(axis=1, keepdims=True)
    fpr, tpr = np.pad(tail, ((0, 0), (1, 0)))
    return fpr, tpr


def roc_auc(counts):
    """
    Area under the ROC curve, ties counted half.

    Parameters
    ----------
    counts : ndarray, (2, BINS)
        Of `histogram`.

    Returns
    -------
    float
    """
    fpr, tpr = roc(counts)
    return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))


def tpr_at(counts, fpr):
    """
    True positive rate where the false positive rate reaches a value.

    Parameters
    ----------
    counts : ndarray, (2, BINS)
        Of `histogram`.
    fpr : float
        Between two thresholds the curve is taken as straight.

    Returns
    -------
    float
    """
    curve_fpr, curve_tpr = roc(counts)
    # np.interp needs rising abscissae: of the points at one rate the highest counts
    last = np.append(np.diff(curve_fpr) > 0, True)
    return float(np.interp(fpr, curve_fpr[last], curve_tpr[last]))


def average_precision(counts):
    """
    Precision averaged over recall, as a sum over thresholds without interpolation.

    Parameters
    ----------
    counts : ndarray, (2, BINS)
        Of `histogram`.

    Returns
    -------
    float
    """
    negative, positive = counts[:, ::-1]
    true = np.cumsum(positive)
    flagged = true + np.cumsum(negative)
    precision = true / np.maximum(flagged, 1)
    return float(np.sum(precision * positive) / true[-1])


def _confusion_of_bins(counts):
    """Confusion if bins k and above are flagged, for k from 0 to BINS: tp, fp, fn, tn."""
    negative, positive = counts.astype(np.float64)
    tp = np.append(np.cumsum(positive[::-1])[::-1], 0)
    fp = np.append(np.cumsum(negative[::-1])[::-1], 0)
    return tp, fp, positive.sum() - tp, negative.sum() - fp


def matthews(tp, fp, fn, tn):
    """
    Matthews correlation coefficient.

    Parameters
    ----------
    tp, fp, fn, tn : float or ndarray
        Confusion counts.

    Returns
    -------
    float64 or ndarray
        From -1 to 1; 0 where everything or nothing was flagged.
    """
    norm = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return (tp * tn - fp * fn) / np.where(norm > 0, norm, 1)


def best_threshold(counts):
    """
    Probability above which flagging gives the highest Matthews coefficient.

    Parameters
    ----------
    counts : ndarray, (2, BINS)
        Of `histogram`.

    Returns
    -------
    probability : float
        The edge between two bins.
    coefficient : float
        The Matthews coefficient there.
    """
    scores = matthews(*_confusion_of_bins(counts))
    # a plateau between two answers: its middle is the safest place
    best = np.flatnonzero(scores >= scores.max() - 1e-9)
    plateau = best[: np.argmax(np.append(np.diff(best) > 1, True)) + 1]
    edge = plateau[len(plateau) // 2] * (2 * LIMIT / BINS) - LIMIT
    return float(expit(edge)), float(scores.max())


def threshold_at(counts, fpr):
    """
    Lowest probability above which at most a share of the negatives is.

    Parameters
    ----------
    counts : ndarray, (2, BINS)
        Of `histogram`; at least one negative.
    fpr : float
        The share.

    Returns
    -------
    float
        The edge between two bins; 0 where all negatives may be above it.
    """
    _, fp, _, tn = _confusion_of_bins(counts)
    first = int(np.argmax(fp <= fpr * (fp + tn)))
    return float(expit(first * (2 * LIMIT / BINS) - LIMIT)) if first else 0.0


def reliability(counts, steps=15):
    """
    Share of positives against the probability that was given.

    The two agree for calibrated answers at the prior of the scored data: see `at_prior`.

    Parameters
    ----------
    counts : ndarray, (2, BINS)
        Of `histogram`.
    steps : int
        Number of equal steps of probability.

    Returns
    -------
    probability, share : ndarray, float64
        Mean probability and share of positives, of the steps that hold any pixels.
    number : ndarray, int64
        Pixels in each of those steps.
    """
    probability = expit(bin_logits())
    step = np.minimum((probability * steps).astype(int), steps - 1)
    both = counts.sum(axis=0)
    number = np.bincount(step, both, steps)
    kept = number > 0
    mean = np.bincount(step, both * probability, steps)[kept] / number[kept]
    share = np.bincount(step, counts[1], steps)[kept] / number[kept]
    return mean, share, number[kept].astype(np.int64)


def at_prior(counts, training_prior, prior):
    """
    Histogram of the same answers after a prior modification.

    Parameters
    ----------
    counts : ndarray, (2, BINS)
        Of `histogram`.
    training_prior, prior : float
        The prior that the probabilities were given at, and the new one.

    Returns
    -------
    ndarray, int64, (2, BINS)
    """
    shifted = bin_logits() + logit(prior) - logit(training_prior)
    bins = np.clip((shifted + LIMIT) * (BINS / (2 * LIMIT)), 0, BINS - 1).astype(np.int64)
    moved = np.zeros_like(counts)
    for row, values in zip(moved, counts, strict=True):
        np.add.at(row, bins, values)
    return moved
