"""From a trained Keras model to what the commands load: a frozen graph and a description."""

import json

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def fold(trained, bare):
    """
    Put a network's weights into its twin without batch normalisation.

    A convolution followed by a normalisation with fixed statistics is a convolution with
    other weights and a bias: the same answers for less work.

    Parameters
    ----------
    trained : keras.Model
        Layers ``NAME`` without bias are followed by ``NAME_norm``.
    bare : keras.Model
        The same layers, each with a bias and without a normalisation.

    Returns
    -------
    keras.Model
        `bare`, filled.
    """
    norms = {layer.name: layer for layer in trained.layers if layer.name.endswith("_norm")}
    for layer in bare.layers:
        if not layer.weights:
            continue
        weights = trained.get_layer(layer.name).get_weights()
        norm = norms.get(f"{layer.name}_norm")
        if norm is not None:
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            weights = [weights[0] * scale, beta - mean * scale]
        layer.set_weights(weights)
    return bare


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
    """
    pixels = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="pixels")
    answer = description["output"].split(":")[0]

    def call(pixels):
        return tf.identity(tf.cast(model(pixels, training=False), tf.float32), name=answer)

    frozen = convert_variables_to_constants_v2(tf.function(call).get_concrete_function(pixels))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / description["graph"]).write_bytes(frozen.graph.as_graph_def().SerializeToString())
    text = json.dumps(description, indent=1) + "\n"
    (folder / "network.json").write_text(text, encoding="utf-8")
