"""Weights and a description -> what the commands load, in one command."""

import shutil

import numpy as np
import pytest
from conftest import ROOT, field

import maxitrack
from maxitools import networks
from training import export, masking

# Keras turns its variables into arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def folder(tmp_path):
    """Of the shipped tracking network, without its graphs."""
    for name in ("network.json", "network.weights.h5"):
        shutil.copy(ROOT / "model" / "maxitrack" / name, tmp_path)
    return tmp_path


def test_weights_and_description_make_the_shipped_network(folder):
    with pytest.raises(networks.NetworkError, match=r"graph\.tflite: .*python -m training\.export"):
        networks.find(folder, "track").load(device="cpu")
    export.main([str(folder)])
    image = field((300, 400))
    assert maxitrack.probability(image, folder) == maxitrack.probability(image)


def test_what_is_missing_is_told_in_one_line(folder):
    (folder / "network.weights.h5").unlink()
    with pytest.raises(SystemExit, match=r"export: .*network\.weights\.h5: no weights"):
        export.main([str(folder)])
    (folder / "network.json").unlink()
    with pytest.raises(SystemExit, match=r"export: .*network\.json: no description"):
        export.main([str(folder)])


def test_what_is_shipped_answers_as_what_was_trained():
    trained = masking.architecture()
    rng = np.random.default_rng(1)
    trained.set_weights([rng.normal(0, 0.1, w.shape) for w in trained.get_weights()])
    pixels = rng.normal(0, 5, (1, 64, 128, 2)).astype(np.float32)
    expected = np.asarray(trained(pixels))
    assert expected.std() > 0.1
    np.testing.assert_allclose(np.asarray(masking.bare(trained)(pixels)), expected, atol=1e-4)
