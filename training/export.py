"""
Weights and a description -> what the commands load.

``python -m training.export FOLDER`` reads ``network.json`` and ``network.weights.h5`` in the
folder, and writes the graph beside them, for TensorFlow (``graph.pb``) and for LiteRT
(``graph.tflite``).
"""

import argparse
import json
import sys
from pathlib import Path

import keras

from training.tasks import fill, read_description


def write(folder, model, description):
    """
    Write a network's directory.

    Parameters
    ----------
    folder : Path
        Made if need be.
    model : keras.Model
        Without training-only layers; one input, one output.
    description : dict
        Goes to ``network.json``; names the graph's file, input and output.

    Raises
    ------
    ValueError
        When Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError("graphs are written by Keras on TensorFlow: set KERAS_BACKEND=tensorflow")
    import tensorflow as tf

    def call(pixels):
        return tf.cast(model(pixels, training=False), tf.float32)

    folder.mkdir(parents=True, exist_ok=True)
    output = description["output"].split(":")[0]
    write_graph(folder / description["graph"], call, model.input_shape[-1], output)
    write_description(folder, description)


def write_description(folder, description):
    """Write ``network.json`` in a folder."""
    text = json.dumps(description, indent=1) + "\n"
    (folder / "network.json").write_text(text, encoding="utf-8")


def write_graph(path, function, channels, output):
    """
    Freeze a function, for TensorFlow and for LiteRT.

    Parameters
    ----------
    path : Path
        Of the graph for TensorFlow, whose input is ``pixels:0``. That for LiteRT goes beside it,
        to a file of the suffix ``.tflite``.
    function : callable
        From a tensor of pixels, float32 (N, H, W, `channels`), to one of answers.
    channels : int
    output : str
        Name of the answers.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def named(pixels):
        return tf.identity(function(pixels), name=output)

    pixels = tf.TensorSpec((None, None, None, channels), tf.float32, name="pixels")
    frozen = convert_variables_to_constants_v2(tf.function(named).get_concrete_function(pixels))
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    path.with_suffix(".tflite").write_bytes(converter.convert())


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description="Write the graph of a network beside its weights and description.",
    )
    parser.add_argument("folder", type=Path, help="the network's")
    parser.add_argument(
        "--weights", type=Path, help="default: network.weights.h5 in the folder", metavar="FILE"
    )
    options = parser.parse_args(arguments)

    try:
        task, description = read_description(options.folder / "network.json")
        weights = options.weights or options.folder / "network.weights.h5"
        network = fill(task.architecture(), weights)
        write(options.folder, task.bare(network), description)
    except ValueError as error:
        sys.exit(f"export: {error}")


if __name__ == "__main__":
    main()
