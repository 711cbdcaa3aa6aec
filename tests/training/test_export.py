"""Weights and a description -> what the commands load, in one command."""

import json
import shutil

import numpy as np
import pytest
from conftest import ROOT, field

import maximask
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


def test_mask_network_of_an_older_format_is_told_and_written_anew(tmp_path):
    shipped = ROOT / "model" / "maximask"
    shutil.copy(shipped / "network.weights.h5", tmp_path)
    description = json.loads((shipped / "network.json").read_text())
    (tmp_path / "network.json").write_text(json.dumps(description | {"format": 1}))
    with pytest.raises(networks.NetworkError, match=r"format is 1, .*python -m training\.export"):
        networks.find(tmp_path, "mask")
    export.main([str(tmp_path)])
    image = field((300, 400))
    found = maximask.probabilities(image, tmp_path)
    np.testing.assert_array_equal(found, maximask.probabilities(image))


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
    shipped = np.asarray(masking.bare(trained)(pixels))
    # Pixels of a class that are side by side in a block stand together.
    rows = shipped.reshape(1, 32, 64, 2, -1, 2).swapaxes(-1, -2).reshape(expected.shape)
    np.testing.assert_allclose(rows, expected, atol=1e-4)
