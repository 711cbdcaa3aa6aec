"""The night at a glance, drawn as SVG."""

import io
import re
from datetime import datetime, timezone

import matplotlib
import numpy as np
from matplotlib import dates
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from maxitools.classes import BY_NAME, NAMES

_INK, _FAINT, _ALARM = "#1f4e79", "#d5dbe1", "#b3261e"
# Shares below this are drawn at the bottom, percent.
_LEAST = 1e-4
# Above that many points they are drawn as an image, which a browser shows at once.
_MANY = 1500
_STYLE = {
    # Text stays text, and a dollar is a dollar.
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5c6670",
    "axes.labelcolor": "#1b1f23",
    "xtick.color": "#3d454c",
    "ytick.color": "#3d454c",
}
DRAWN = tuple(name for name in NAMES if BY_NAME[name].code)


def _svg(figure, name):
    """A figure as the text of an SVG element."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    # Its comments repeat its words.
    return re.sub("<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)


def _moments(exposures):
    """When exposures began, in days since 1970, NaN where they do not tell; else their numbers."""
    found = np.full(len(exposures), np.nan)
    for i, each in enumerate(exposures):
        try:
            moment = datetime.fromisoformat((each.told("date_obs") or "").replace("Z", "+00:00"))
        except ValueError:
            continue
        found[i] = dates.date2num(moment.replace(tzinfo=moment.tzinfo or timezone.utc))
    if np.isnan(found).all():
        return np.arange(1.0, len(exposures) + 1), "exposure"
    undated = np.isnan(found).sum()
    missing = f" ({undated} without one are left out)" if undated else ""
    return found, f"date of observation{missing}"


def _time_axis(axis, label):
    if label.startswith("date"):
        locator = dates.AutoDateLocator(minticks=2, maxticks=4)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))


def shares_over_time(exposures):
    """
    Draw the share of each class in each exposure.

    Parameters
    ----------
    exposures : sequence of maxitools.nights.Exposure

    Returns
    -------
    str or None
        An SVG element; None where nothing was found.
    """
    masked = [each for each in exposures if each.shares]
    names = [name for name in DRAWN if any(name in each.shares for each in masked)]
    if not names:
        return None
    when, label = _moments(masked)
    with matplotlib.rc_context(_STYLE):
        columns = min(5, len(names))
        rows = -(-len(names) // columns)
        figure = Figure((12, 1.4 * rows + 0.4), layout="constrained")
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for i, axis in enumerate(axes.flat):
            axis.set_visible(i < len(names))
            # The lowest of a column tells the time.
            axis.tick_params(labelbottom=i + columns >= len(names))
        for name, axis in zip(names, axes.flat, strict=False):
            shares = np.array([100 * each.shares.get(name, np.nan) for each in masked])
            axis.plot(
                when,
                np.clip(shares, _LEAST, 100),
                ".",
                color=_INK,
                markersize=6 if len(masked) < 200 else 4,
                markeredgewidth=0,
                rasterized=len(names) * len(masked) > _MANY,
            )
            axis.set_title(f"{name}  {BY_NAME[name].title}", loc="left", fontsize=9)
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.set_ylim(_LEAST / 2, 150)
            axis.grid(axis="y", color=_FAINT, linewidth=0.6)
            _time_axis(axis, label)
        figure.supylabel("share of pixels, %", fontsize=10)
        figure.supxlabel(label, fontsize=10)
        return _svg(figure, "shares")


def shares_per_detector(exposures):
    """
    Draw the mean share of each class in each detector.

    Parameters
    ----------
    exposures : sequence of maxitools.nights.Exposure

    Returns
    -------
    str or None
        An SVG element; None where nothing was found.
    """
    sums, numbers = {}, {}
    for each in exposures:
        for detector, shares, _ in each.detectors():
            numbers[detector] = numbers.get(detector, 0) + 1
            row = sums.setdefault(detector, dict.fromkeys(DRAWN, 0.0))
            for name in DRAWN:
                row[name] += shares.get(name, 0.0)
    names = [name for name in DRAWN if any(row[name] for row in sums.values())]
    if not names:
        return None
    shares = 100 * np.array(
        [[row[name] / numbers[detector] for detector, row in sums.items()] for name in names]
    )
    with matplotlib.rc_context(_STYLE):
        figure = Figure((6, 0.22 * len(names) + 1), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(
            np.maximum(shares, _LEAST),
            norm=LogNorm(_LEAST, 100),
            cmap="Blues",
            aspect="auto",
            interpolation="nearest",
        )
        axis.set_yticks(range(len(names)), names)
        shown = range(0, len(sums), -(-len(sums) // 20))
        labels = [list(sums)[i] for i in shown]
        labels = [
            label if len(label) < 20 else f"{label[:18]}\N{HORIZONTAL ELLIPSIS}" for label in labels
        ]
        upright = len(shown) > 6
        axis.set_xticks(shown, labels, rotation=90 if upright else 0)
        axis.spines[:].set_visible(False)
        if len(sums) <= 6:
            for (row, column), share in np.ndenumerate(shares):
                if share:
                    colour = "white" if share > 1 else "#1b1f23"
                    axis.text(
                        column,
                        row,
                        f"{share:.2g}",
                        ha="center",
                        va="center",
                        color=colour,
                        fontsize=8,
                    )
        figure.colorbar(image, ax=axis, label="mean share, %", pad=0.01, format="{x:g}")
        return _svg(figure, "detectors")


def tracking(exposures):
    """
    Draw the probability of each exposure that its tracking failed.

    Parameters
    ----------
    exposures : sequence of maxitools.nights.Exposure

    Returns
    -------
    str or None
        An SVG element; None where no exposure has a probability.
    """
    judged = [each for each in exposures if each.probability is not None]
    if not judged:
        return None
    when, label = _moments(judged)
    probabilities = np.array([each.probability for each in judged])
    bad = probabilities > 0.5
    with matplotlib.rc_context(_STYLE):
        figure = Figure((6, 3.2), layout="constrained")
        axis = figure.subplots()
        many = len(judged) > _MANY
        axis.axhline(0.5, color="#5c6670", linewidth=0.8, linestyle="--")
        axis.plot(when[~bad], probabilities[~bad], ".", color=_INK, markersize=5, rasterized=many)
        axis.plot(
            when[bad],
            probabilities[bad],
            "X",
            color=_ALARM,
            markersize=8,
            markeredgecolor="white",
            rasterized=many,
        )
        axis.set(ylim=(-0.04, 1.06), ylabel="probability")
        axis.set_xlabel(label)
        axis.grid(axis="y", color=_FAINT, linewidth=0.6)
        _time_axis(axis, label)
        return _svg(figure, "tracking")
