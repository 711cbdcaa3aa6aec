"""The mean of the weights of several trainings of one network, as a network.

``python -m training.average A.weights.h5 B.weights.h5 OUTPUT --description network.json``: OUTPUT
gets what the commands load with ``--net_path``, the graph and ``network.json``, and
``network.weights.h5``, to train on from. Weights that one training left at several times, or that
trainings from the same start found, have a mean that is often better than each of them (Izmailov
et al. 2018); those of trainings from different starts have not.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from training.export import write
from training.tasks import fill, read_description


def mean_of(paths, network):
    """
    Give a network the mean of the weights in several files.

    Parameters
    ----------
    paths : sequence of Path
        Files of weights (``.weights.h5``).
    network : keras.Model
        Of the architecture that they belong to.

    Returns
    -------
    keras.Model
        `network`, filled.

    Raises
    ------
    ValueError
        If a file cannot be read, or holds the weights of another architecture.
    """
    total = [np.zeros(weight.shape) for weight in network.weights]
    for path in paths:
        new = fill(network, path).get_weights()
        total = [sums + weight for sums, weight in zip(total, new, strict=True)]
    network.set_weights([sums / len(paths) for sums in total])
    return network


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.average", description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+", help="files of weights (.weights.h5)")
    parser.add_argument("output", type=Path, help="the network's folder, made if need be")
    parser.add_argument(
        "--description",
        type=Path,
        required=True,
        help="network.json of one of the trainings; its thresholds hold for that one, so choose "
        "them anew",
    )
    options = parser.parse_args(arguments)

    try:
        task, description = read_description(options.description)
        network = mean_of(options.weights, task.architecture())
        write(options.output, task.bare(network), description)
    except ValueError as error:
        sys.exit(f"average: {error}")
    network.save_weights(options.output / "network.weights.h5")


if __name__ == "__main__":
    main()
