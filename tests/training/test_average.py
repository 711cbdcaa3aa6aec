"""The mean of trainings: weights go in, a network that the commands load comes out."""

import json

import keras
import numpy as np
import pytest

from maxitools import networks
from training import average, tracking
from training.architectures import stamp_network

# Keras turns its variables into arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "network.json"
    path.write_text(json.dumps(tracking.describe(None)))
    return path


def save(path, seed, spoil=0):
    keras.utils.set_random_seed(seed)
    network = tracking.architecture()
    network.set_weights([weight + spoil for weight in network.get_weights()])
    network.save_weights(path)
    return network


def test_a_mean_of_weights_is_a_network_that_the_commands_load(tmp_path, description):
    files = [tmp_path / f"{name}.weights.h5" for name in "ab"]
    first, second = save(files[0], 1), save(files[1], 2, spoil=0.1)
    average.main([*map(str, files), str(tmp_path / "mean"), "--description", str(description)])
    mean = tracking.architecture()
    mean.load_weights(tmp_path / "mean" / "network.weights.h5")
    for got, one, other in zip(mean.weights, first.weights, second.weights, strict=True):
        expected = (np.asarray(one) + np.asarray(other)) / 2
        np.testing.assert_allclose(np.asarray(got), expected, atol=1e-6)
    networks.find(tmp_path / "mean", "track").load()


def test_weights_of_another_network_are_named(tmp_path, description):
    path = tmp_path / "other.weights.h5"
    stamp_network(width=32).save_weights(path)
    with pytest.raises(SystemExit, match=r"average: .*other\.weights\.h5: no weights of this"):
        average.main([str(path), str(tmp_path / "mean"), "--description", str(description)])
