"""Score networks side by side on scenes with a truth, simulated ones or marked real frames.

``python -m training.judges.evaluate --help`` tells how. Of masks, pixels are scored, and objects:
how many hits, trails and so on there are, how many of them have half of their pixels masked, and
how many pieces of the masks lie where there is nothing.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from tqdm import tqdm

import maximask
import maxitrack
from maxitools import decisions, networks
from maxitools.classes import NAMES
from training.dataset import scene_paths
from training.judges import metrics
from training.judges.counts import count_scenes

MASK_COLUMNS = ("AUC", "TPR@1e-3", "TPR@1e-2", "AP", "Matthews", "precision", "recall", "ECE")
OBJECT_COLUMNS = ("objects", "found", "false")


def raw_limits(recipe):
    """Raw probability by class above which a pixel is in it, at the defaults of a recipe."""
    limits = {}
    for name in recipe.classes:
        factor = decisions.prior_factor(recipe.training_priors[name], recipe.default_priors[name])
        limits[name] = float(decisions.raw_threshold(recipe.thresholds[name], factor))
    return limits


def mask_scores(pixels, objects, recipe):
    """
    Scores of a mask network, class by class.

    Parameters
    ----------
    pixels, objects : dict of str to ndarray
        Of `count_scenes`.
    recipe : maxitools.network.Recipe
        Whose priors and thresholds make the masks.

    Returns
    -------
    dict of str to dict of str to float
        By class, then by the names in `MASK_COLUMNS` and `OBJECT_COLUMNS`. A class without
        positives or without negatives is left out.
    """
    scores, limits = {}, raw_limits(recipe)
    for name, histogram in pixels.items():
        number = histogram.sum(axis=1)
        if number.min() == 0:
            continue
        above = histogram[:, metrics.bin_of(limits[name]) + 1 :]
        negative, positive = above.sum(axis=1)
        tp, fp, fn, tn = positive, negative, number[1] - positive, number[0] - negative
        own = metrics.at_prior(histogram, recipe.training_priors[name], number[1] / number.sum())
        mean, share, weight = metrics.reliability(own)
        values = (
            metrics.roc_auc(histogram),
            metrics.tpr_at(histogram, 1e-3),
            metrics.tpr_at(histogram, 1e-2),
            metrics.average_precision(histogram),
            metrics.matthews(tp, fp, fn, tn),
            tp / max(tp + fp, 1),
            tp / number[1],
            np.average(np.abs(mean - share), weights=weight),
        )
        scores[name] = dict(zip(MASK_COLUMNS, map(float, values), strict=True))
        scores[name] |= dict(zip(OBJECT_COLUMNS, map(int, objects[name]), strict=True))
    return scores


def track_scores(probabilities, affected):
    """
    Scores of a tracking network.

    Parameters
    ----------
    probabilities : ndarray, (N,)
        Answers at equal priors.
    affected : ndarray of bool, (N,)
        The truth.

    Returns
    -------
    dict of str to float
    """
    histogram = metrics.histogram(probabilities, affected)
    mean, share, weight = metrics.reliability(histogram, 10)
    return {
        "AUC": metrics.roc_auc(histogram),
        "accuracy": float(np.mean((probabilities > 0.5) == affected)),
        "highest without error": float(np.max(probabilities[~affected])),
        "ECE": float(np.average(np.abs(mean - share), weights=weight)),
    }


def calibration(probabilities, affected):
    """
    What makes a tracking network's answers right as often as they say.

    Parameters
    ----------
    probabilities : ndarray, (N,)
        Answers at equal priors, on scenes that the network was not trained on.
    affected : ndarray of bool, (N,)
        The truth.

    Returns
    -------
    gain, offset : float
        Of the log-odds; with them the truth is likeliest.
    """
    odds = np.clip(logit(probabilities), -20, 20)

    def surprise(fit):
        answers = fit[0] * odds + fit[1]
        return np.mean(np.logaddexp(0, answers) - affected * answers)

    return tuple(map(float, minimize(surprise, [1.0, 0.0]).x))


def mask_table(scores):
    """
    Scores of several mask networks as a Markdown table, one line per class and network.

    Parameters
    ----------
    scores : dict of str to dict
        `mask_scores` by the name of the network.

    Returns
    -------
    str
    """
    columns = MASK_COLUMNS + OBJECT_COLUMNS
    lines = [
        "| class | network | " + " | ".join(columns) + " |",
        "| --- " * (len(columns) + 2) + "|",
    ]
    for name in NAMES:
        for network, values in scores.items():
            if name in values:
                cells = [f"{values[name][column]:.4f}" for column in MASK_COLUMNS]
                cells += [str(values[name][column]) for column in OBJECT_COLUMNS]
                lines.append(f"| {name} | {network} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def track_table(scores, names, affected, answers):
    """
    Scores of several tracking networks, and every exposure's answers, as Markdown tables.

    Parameters
    ----------
    scores : dict of str to dict
        `track_scores` by the name of the network.
    names : sequence of str, (N,)
        Of the exposures.
    affected : ndarray of bool, (N,)
        The truth.
    answers : dict of str to ndarray, (N,)
        Probabilities by the name of the network.

    Returns
    -------
    str
    """
    columns = list(next(iter(scores.values())))
    lines = ["| network | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for network, values in scores.items():
        lines.append(f"| {network} | " + " | ".join(f"{values[c]:.4f}" for c in columns) + " |")
    lines += ["", "| exposure | affected | " + " | ".join(answers) + " |"]
    lines.append("| --- " * (len(answers) + 2) + "|")
    for i, name in enumerate(names):
        cells = " | ".join(f"{values[i]:.4f}" for values in answers.values())
        lines.append(f"| {name} | {'yes' if affected[i] else 'no'} | {cells} |")
    return "\n".join(lines) + "\n"


def draw(panels, folder):
    """
    Draw ROC curves and reliability.

    Parameters
    ----------
    panels : dict of str to dict of str to ndarray
        Histograms at the prior of the scored data, by panel title, then by network.
    folder : Path
        Where `roc.png` and `reliability.png` go.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    size = {"figsize": (3.6 * columns, 3.4 * rows), "squeeze": False, "layout": "constrained"}
    roc_figure, roc_axes = plt.subplots(rows, columns, **size)
    reliability_figure, reliability_axes = plt.subplots(rows, columns, **size)
    for axes in (*roc_axes.flat[len(panels) :], *reliability_axes.flat[len(panels) :]):
        axes.axis("off")
    for (title, networks_), roc_axis, axis in zip(
        panels.items(), roc_axes.flat, reliability_axes.flat, strict=False
    ):
        for network, histogram in networks_.items():
            roc_axis.plot(*metrics.roc(histogram), label=network)
            axis.plot(*metrics.reliability(histogram)[:2], "o-", ms=3, label=network)
        roc_axis.set(xscale="log", xlim=(1e-5, 1), ylim=(0, 1), title=title)
        roc_axis.set(xlabel="false positive rate", ylabel="true positive rate")
        axis.plot([0, 1], [0, 1], color="0.7", lw=0.8)
        axis.set(xlim=(0, 1), ylim=(0, 1), title=title)
        axis.set(xlabel="probability given", ylabel="share of positives")
    roc_axes.flat[0].legend(fontsize="small")
    reliability_axes.flat[0].legend(fontsize="small")
    roc_figure.savefig(folder / "roc.png", dpi=100)
    reliability_figure.savefig(folder / "reliability.png", dpi=100)


def evaluate_masks(paths, net_paths):
    """Histograms by class and network, scores by network."""
    counts, scores = {}, {}
    for net_path in net_paths:
        label = str(net_path)
        recipe = networks.find(net_path, "mask").recipe
        counts[label], objects = count_scenes(
            paths,
            lambda image, net_path=net_path: maximask.probabilities(image, net_path),
            recipe.classes,
            raw_limits(recipe),
        )
        scores[label] = mask_scores(counts[label], objects, recipe)
        for name, histogram in counts[label].items():
            number = histogram.sum(axis=1)
            if number.min() > 0:
                counts[label][name] = metrics.at_prior(
                    histogram, recipe.training_priors[name], number[1] / number.sum()
                )
    panels = {
        name: {label: counts[label][name] for label in counts if name in scores[label]}
        for name in NAMES
    }
    return {name: panel for name, panel in panels.items() if panel}, scores


def update(path, **entries):
    """Change entries of the description of a network, `network.json`."""
    description = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(description | entries, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")


def evaluate_tracks(paths, net_paths, calibrate):
    """Histograms, scores, names, truth, answers by network; `calibrate` fits the log-odds first."""
    answers = {str(net_path): [] for net_path in net_paths}
    # One network after the other: only one is kept loaded.
    for net_path in net_paths:
        names, affected = [], []
        for path in tqdm(paths, unit="exposure", disable=not sys.stderr.isatty()):
            with np.load(path) as exposure:
                image = exposure["image"]
                affected.append(bool(exposure["affected"]))
                names.append(str(exposure["name"]) if "name" in exposure else path.stem)
            answers[str(net_path)].append(maxitrack.probability(image, net_path, prior=0.5))
    affected = np.array(affected)
    answers = {label: np.array(values) for label, values in answers.items()}
    for net_path in net_paths if calibrate else []:
        description = networks.find(net_path, "track").path / "network.json"
        if description.exists():
            gain, offset = calibration(answers[str(net_path)], affected)
            old = json.loads(description.read_text(encoding="utf-8"))["aggregation"]
            new = {"gain": gain * old["gain"], "offset": gain * old["offset"] + offset}
            update(description, aggregation={k: float(f"{v:.4g}") for k, v in new.items()})
            answers[str(net_path)] = expit(gain * logit(answers[str(net_path)]) + offset)
    panel = {label: metrics.histogram(values, affected) for label, values in answers.items()}
    scores = {label: track_scores(values, affected) for label, values in answers.items()}
    return {"tracking error": panel}, scores, names, affected, answers


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.judges.evaluate", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of scenes (.npz), searched through")
    parser.add_argument(
        "--net_path", type=Path, action="append", required=True, help="may be given repeatedly"
    )
    parser.add_argument("--task", choices=("mask", "track"), default="mask")
    parser.add_argument("--output", type=Path, default=Path("scores"), help="default: scores")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="first write the gain and offset of the log-odds that are best on these exposures "
        "into network.json of each network of this project",
    )
    options = parser.parse_args(arguments)
    if options.calibrate and options.task == "mask":
        parser.error("--calibrate is for --task track")
    try:
        paths = scene_paths(options.data)
    except ValueError as error:
        parser.error(str(error))

    try:
        if options.task == "mask":
            panels, scores = evaluate_masks(paths, options.net_path)
            table = mask_table(scores)
        else:
            panels, scores, *exposures = evaluate_tracks(paths, options.net_path, options.calibrate)
            table = track_table(scores, *exposures)
    except networks.NetworkError as error:
        sys.exit(f"evaluate: {error}")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "scores.md").write_text(table, encoding="utf-8")
    (options.output / "scores.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
    draw(panels, options.output)
    print(table, end="")


if __name__ == "__main__":
    main()
