#!/usr/bin/env python3
"""
Time our mask network by itself on a CPU, in LiteRT and in TensorFlow.

    python benchmarks/runtimes.py [--net_path DIR] [--shape H W] [--compare FRAME...]

prints a Markdown table, each row from a process of its own: seconds until the network is loaded
and for its first tile, milliseconds per megapixel of later ones, and peak memory. With frames it
prints instead the share of pixels that have the same mask in both, by class, in the worst image.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def lite(folder, description, threads):
    """Our graph in LiteRT."""
    from maxitools.graphs import LiteGraph

    path = (folder / description["graph"]).with_suffix(".tflite")
    return LiteGraph(path, description["multiple"], threads)


def full(folder, description, threads):
    """Our graph in TensorFlow."""
    from maxitools.graphs import TensorGraph
    from maxitools.runtime import import_tensorflow

    tf = import_tensorflow(threads, "cpu")
    names = description["input"], description["output"]
    return TensorGraph(tf, folder / description["graph"], *names)


RUNTIMES = {"LiteRT": lite, "TensorFlow": full}


def cost(folder, runtime, threads, shape):
    """
    What tiles cost in this process.

    Parameters
    ----------
    folder : Path
        Of the network.
    runtime : str
        Of `RUNTIMES`.
    threads : int
    shape : tuple of int
        Shape (H, W) of a tile.

    Returns
    -------
    tuple of float
        Seconds for loading and for the first tile, milliseconds per megapixel of later ones,
        peak memory in GB.
    """
    start = time.perf_counter()
    import numpy as np

    from maxitools.tiling import Span, Tile

    description = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    graph = RUNTIMES[runtime](folder, description, threads)
    loaded = time.perf_counter()
    pixels = np.random.default_rng(0).standard_normal((*shape, 2), np.float32)
    tile = Tile(pixels, *(Span(0, side, 0, side) for side in shape))
    n = len(description["classes"])
    answer = graph.masks(list(range(n)), np.ones(n), np.full(n, 0.5), description.get("block", 1))
    seconds = []
    for _ in range(6):
        begin = time.perf_counter()
        answer([tile])
        seconds.append(time.perf_counter() - begin)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    each = 1e3 * min(seconds[1:]) / (shape[0] * shape[1] / 1e6)
    return loaded - start, seconds[0], each, memory


def table(folder, shape):
    """Print the costs of each runtime with one thread, two, and so on to one for each core."""
    print("| | threads | loading | first tile | each further MPix | peak memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    cores = len(os.sched_getaffinity(0))
    for runtime in RUNTIMES:
        threads = 1
        while threads <= cores:
            words = [sys.executable, __file__, "--net_path", folder, "--shape", *shape]
            words += ["--one", runtime, threads]
            done = subprocess.run(map(str, words), capture_output=True, text=True, check=True)
            loading, first, each, memory = json.loads(done.stdout)
            print(
                f"| {runtime} | {threads} | {loading:.2f} s | {first:.2f} s | {each:.0f} ms | "
                f"{memory:.2f} GB |",
                flush=True,
            )
            threads *= 2


def compare(folder, paths):
    """Print the share of pixels with the same mask in both runtimes, in the worst image."""
    import numpy as np

    from maxitools import networks
    from maxitools.decisions import prior_factor, raw_threshold
    from maxitools.frames import ImageHDU, read_hdus
    from maxitools.inference import mask_strips
    from maxitools.inputs import Input

    network = networks.find(folder, "mask")
    recipe, description = network.recipe, network.description
    training, priors, thresholds = (
        np.array([values[name] for name in recipe.classes])
        for values in (recipe.training_priors, recipe.default_priors, recipe.thresholds)
    )
    factors = prior_factor(training, priors)
    asked = list(range(len(factors))), factors, raw_threshold(thresholds, factors)
    answers = [
        make(network.path, description, None).masks(*asked, description.get("block", 1))
        for make in RUNTIMES.values()
    ]
    worst = np.ones(len(factors))
    for path in paths:
        for hdu in read_hdus(Input(str(path), path)):
            for _, image in hdu.planes() if isinstance(hdu, ImageHDU) else ():
                images = [(None, recipe.normalise(image), image.shape, Counter())]
                same = np.zeros(len(factors))
                pairs = (mask_strips(images, recipe, answer) for answer in answers)
                for (_, _, one), (_, _, other) in zip(*pairs, strict=True):
                    same += np.count_nonzero(one == other, axis=(1, 2))
                worst = np.minimum(worst, same / image.size)
    print(", ".join(f"{c} {100 * w:.5f} %" for c, w in zip(recipe.classes, worst, strict=True)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time our mask network in both runtimes.")
    parser.add_argument("--net_path", type=Path, default=ROOT / "model" / "maximask")
    parser.add_argument("--shape", type=int, nargs=2, metavar=("H", "W"), default=(1088, 1408))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--compare", type=Path, nargs="+", metavar="FRAME")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(cost(chosen.net_path, chosen.one[0], int(chosen.one[1]), chosen.shape)))
    elif chosen.compare:
        compare(chosen.net_path, chosen.compare)
    else:
        table(chosen.net_path, chosen.shape)
