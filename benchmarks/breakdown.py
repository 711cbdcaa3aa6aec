#!/usr/bin/env python3
"""
Where the time of a frame goes.

    python benchmarks/breakdown.py [--net_path DIR] [--side N]

prints milliseconds of processor time per megapixel, of one thread: for each step of the
mask command, and for each kind of operation in the network.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import frames
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def cost(function, times=4):
    """Least processor time of some calls, in seconds, and what the last one returned."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        result = function()
        spent.append(time.process_time() - start)
    return min(spent), result


def steps(network, side):
    """
    Time the steps from file to mask.

    Parameters
    ----------
    network : maxitools.frozen.FrozenNetwork
        For masks.
    side : int
        Of the image, which is one tile.

    Returns
    -------
    dict
        Seconds by step.
    ndarray, (side, side, 2)
        Normalised pixels.
    """
    from maxitools.frames import read_hdus
    from maxitools.headers import mask_header
    from maxitools.inference import mask_strips
    from maxitools.inputs import Input
    from maxitools.maskfile import MaskFile

    recipe, shape = network.recipe, (side, side)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        path = frames.write(Path(folder, "frame.fits"), [shape])

        def read():
            for hdu in read_hdus(Input(str(path), path)):
                for _, image in hdu.planes():
                    return hdu.header, image

        seconds["read"], (header, image) = cost(read)
        seconds["measure sky and noise"], rows_of = cost(lambda: recipe.normalise(image))
        seconds["normalise"], pixels = cost(lambda: rows_of(0, side))
        answer = network.masks(recipe.classes, recipe.default_priors, recipe.thresholds)
        images = [(None, lambda first, last: pixels[first:last], shape)]
        whole, strips = cost(lambda: list(mask_strips(images, recipe, answer)))
        seconds["network, thresholds, planes"] = whole

        def write():
            planes = len(recipe.classes), side, side
            with MaskFile(Path(folder, "masks.fits")) as file:
                file.append_image(mask_header(header, planes, "uint8", True, []))
                for _, rows, strip in strips:
                    for plane, mask in enumerate(strip):
                        file.write_rows((plane,), rows.start, mask)

        seconds["write"], _ = cost(write)
    return seconds, pixels


def operations(network, pixels):
    """Seconds of one thread in each kind of operation of a network, by TensorFlow's own trace."""
    v1 = network.tf.compat.v1
    graph = v1.GraphDef()
    graph.ParseFromString((network.path / network.description["graph"]).read_bytes())
    least = {}
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with v1.Graph().as_default(), v1.Session(config=config) as session:
        v1.import_graph_def(graph, name="")
        for _ in range(5):
            trace = v1.RunMetadata()
            session.run(
                network.description["output"],
                {network.description["input"]: pixels[np.newaxis]},
                options=v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE),
                run_metadata=trace,
            )
            for device in trace.step_stats.dev_stats:
                for node in device.node_stats:
                    kind = node.timeline_label.partition(" = ")[2].partition("(")[0]
                    key = kind or node.node_name, node.node_name
                    least[key] = min(least.get(key, np.inf), node.all_end_rel_micros / 1e6)
    seconds = Counter()
    for (kind, _), spent in least.items():
        seconds[kind] += spent
    return dict(seconds.most_common(12))


def report(title, seconds, megapixels):
    print(f"\n{title}, ms per megapixel")
    for what, spent in seconds.items():
        print(f"{1e3 * spent / megapixels:10.1f}  {what}")


def main():
    parser = argparse.ArgumentParser(description="Print where the time of a frame goes.")
    parser.add_argument("--net_path", default=ROOT / "model", help="our networks")
    parser.add_argument("--side", type=int, default=1088, help="of the image, in pixels")
    arguments = parser.parse_args()
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from maxitools import networks

    network = networks.find(arguments.net_path, "mask").load(threads=1)
    seconds, pixels = steps(network, arguments.side)
    report("Steps of maximask", seconds, arguments.side**2 / 1e6)
    report("Operations of the network", operations(network, pixels), arguments.side**2 / 1e6)


if __name__ == "__main__":
    main()
