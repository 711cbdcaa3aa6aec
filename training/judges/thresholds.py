"""Choose the thresholds of a mask network on several sets of scenes, and write them into it.

``python -m training.judges.thresholds NETWORK --real MARKED ... --simulated SCENES ...``: folders
of scenes as ``training.series`` and ``training.simulate`` write them. For each class, every
folder in which it occurs names the raw probability with the highest Matthews coefficient; their
mean in log-odds is taken. Marked real frames come first: where they show a class, simulated scenes
have no voice. Where a folder does not show it, false alarms alone are counted there, and the
threshold is raised until they are few. Limits set by hand have the last word.
"""

import argparse
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

import maximask
from maxitools import networks
from maxitools.classes import NAMES
from maxitools.decisions import modify, prior_factor
from training.dataset import scene_paths
from training.judges import metrics
from training.judges.counts import count_scenes
from training.judges.evaluate import raw_limits, update

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

LIMITS = Path(__file__).parents[1] / "limits.toml"
# Fewer pixels of a class in a folder are too few to choose by: what they are is chance.
LEAST = 100

# A folder of scenes: its name, weight, and histograms by class.
Judge = namedtuple("Judge", "name weight counts")
# Raw probabilities from 0 to 1; why a limit was applied, or "".
Limit = namedtuple("Limit", "lowest highest reason")
# A raw threshold, what each judge thinks best (None: no opinion), the lowest with few false alarms,
# and the reason of the limit that changed it.
Choice = namedtuple("Choice", "raw best floor reason")


def read_limits(path):
    """
    Read limits set by hand.

    Parameters
    ----------
    path : path-like
        TOML: a table per class, with `lowest` or `highest` raw probability or both, and `reason`.

    Returns
    -------
    dict of str to Limit

    Raises
    ------
    ValueError
        When it cannot be read, or is not as described; the message says where and why.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    limits = {}
    for name, table in tables.items():
        if name not in NAMES:
            raise ValueError(f"{path}: unknown class {name}, expected one of {' '.join(NAMES)}")
        if not isinstance(table, dict) or not isinstance(table.get("reason"), str):
            raise ValueError(f"{path}: [{name}] gives no reason")
        values = {"lowest": 0.0, "highest": 1.0, **table}
        limit = Limit(**values) if set(values) == set(Limit._fields) else None
        try:
            good = limit is not None and 0 <= limit.lowest <= limit.highest <= 1
        except TypeError:
            good = False
        if not good:
            raise ValueError(
                f"{path}: [{name}] expected lowest and highest, from 0 to 1, and a reason"
            )
        limits[name] = limit
    return limits


def choose(name, current, real, simulated, most_false, limit=None):
    """
    Choose the threshold of a class.

    Parameters
    ----------
    name : str
        The class.
    current : float
        Raw probability that holds where no judge shows the class.
    real, simulated : sequence of Judge
        Marked real frames, which come first, and simulated scenes.
    most_false : float
        Largest share of the sure negatives of a judge without positives that may be above it.
    limit : Limit, optional

    Returns
    -------
    Choice
    """
    judges = [*real, *simulated]
    shown = [judge.counts[name].sum(axis=1) for judge in judges]
    best = [
        metrics.best_threshold(judge.counts[name])[0]
        if positive >= LEAST and negative > 0
        else None
        for judge, (negative, positive) in zip(judges, shown, strict=True)
    ]
    raw = current
    for voices in (slice(0, len(real)), slice(len(real), None)):
        heard = [
            (logit(value), judge.weight)
            for value, judge in zip(best[voices], judges[voices], strict=True)
            if value is not None
        ]
        if heard:
            odds, weights = zip(*heard, strict=True)
            raw = float(expit(np.average(odds, weights=weights)))
            break
    floor = max(
        (
            metrics.threshold_at(judge.counts[name], most_false)
            for judge, (negative, _), value in zip(judges, shown, best, strict=True)
            if value is None and negative > 0
        ),
        default=0.0,
    )
    raw = max(raw, floor)
    within = float(np.clip(raw, limit.lowest, limit.highest)) if limit else raw
    return Choice(within, best, floor, limit.reason if within != raw else "")


def table(choices, judges):
    """
    What was chosen, as a Markdown table of raw probabilities.

    Parameters
    ----------
    choices : dict of str to Choice
    judges : sequence of Judge
        In the order of each choice's `best`.

    Returns
    -------
    str
    """
    titles = ["class", *(judge.name for judge in judges), "few false", "chosen", "limit"]
    lines = ["| " + " | ".join(titles) + " |", "| --- " * len(titles) + "|"]
    for name, choice in choices.items():
        best = ["" if value is None else f"{value:.4f}" for value in choice.best]
        cells = [name, *best, f"{choice.floor:.4f}", f"{choice.raw:.4f}", choice.reason]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _folder(text):
    """`FOLDER` or `FOLDER=WEIGHT`: the folder as given, its scenes, and the weight."""
    folder, _, weight = text.rpartition("=")
    try:
        weight = float(weight)
    except ValueError:
        weight = 0.0
    if not folder or weight <= 0:
        folder, weight = text, 1.0
    try:
        return folder, scene_paths(Path(folder)), weight
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m training.judges.thresholds", description=__doc__
    )
    parser.add_argument("net_path", type=Path, help="a network of this project; is changed")
    for kind, scenes in (("real", "marked real frames"), ("simulated", "simulated scenes")):
        parser.add_argument(
            f"--{kind}",
            nargs="+",
            action="extend",
            default=[],
            type=_folder,
            metavar="FOLDER[=WEIGHT]",
            help=f"{scenes}, and the weight of a folder among such (default: 1)",
        )
    parser.add_argument(
        "--most_false",
        type=float,
        default=5e-4,
        help="share of the sure negatives of a folder without the class that may be above the "
        "threshold (default: 5e-4)",
    )
    parser.add_argument(
        "--limits", type=Path, default=LIMITS, help="set by hand (default: training/limits.toml)"
    )
    options = parser.parse_args(arguments)
    if not options.real and not options.simulated:
        parser.error("no folder of scenes is given: expected --real or --simulated")
    try:
        limits = read_limits(options.limits)
    except ValueError as error:
        parser.error(str(error))

    try:
        network = networks.find(options.net_path, "mask")
        path = network.path / "network.json"
        if not path.exists():
            sys.exit(f"thresholds: {network.path}: holds no network.json, which is to be changed")
        recipe = network.recipe
        judges = [
            Judge(
                folder,
                weight,
                count_scenes(
                    paths,
                    lambda image: maximask.probabilities(image, options.net_path),
                    recipe.classes,
                )[0],
            )
            for folder, paths, weight in options.real + options.simulated
        ]
    except networks.NetworkError as error:
        sys.exit(f"thresholds: {error}")
    real, simulated = judges[: len(options.real)], judges[len(options.real) :]
    choices, thresholds, current = {}, {}, raw_limits(recipe)
    for name in recipe.classes:
        factor = prior_factor(recipe.training_priors[name], recipe.default_priors[name])
        choice = choose(name, current[name], real, simulated, options.most_false, limits.get(name))
        choices[name] = choice
        thresholds[name] = float(f"{modify(choice.raw, factor):.6g}")
    update(path, thresholds=thresholds)
    print(table(choices, judges), end="")


if __name__ == "__main__":
    main()
