"""What `network.json` may say."""

import json
import shutil

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import expit, logit

import maximask
from maxitools.networks import NetworkError, find


@pytest.fixture
def described(networks, tmp_path):
    """The folder of the stand-in for masks, with more in its description."""

    def described(**more):
        shutil.copytree(networks / "maximask", tmp_path / "net")
        path = tmp_path / "net" / "network.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | more))
        return tmp_path / "net"

    return described


@pytest.mark.parametrize("shape", [(300, 340), (1, 1), (193, 3)])
def test_a_class_gains_beside_what_is_surer(sky, networks, described, shape):
    image = sky[: shape[0], : shape[1]]
    plain = maximask.probabilities(image, networks)
    gaining = maximask.probabilities(image, described(neighbour_gains={"HCL": 3}))
    z = logit(plain[1].astype(np.float64))
    expected = expit(np.minimum(z + 3, ndimage.maximum_filter(z, 3, mode="nearest")))
    np.testing.assert_allclose(gaining[1], expected, rtol=1e-3)
    others = np.arange(14) != 1
    np.testing.assert_array_equal(gaining[others], plain[others])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"neighbour_gains": {"CR": -1}}, "expected numbers of 0 and above, by class"),
        ({"neighbour_gains": 2}, "expected numbers of 0 and above, by class"),
        ({"neighbour_gains": {"XY": 1}}, "neighbour_gains: unknown class 'XY'"),
        ({"thresholds": {"CR": 0.5}}, "thresholds lacks HCL"),
        ({"classes": ["CR", "XY"]}, "unknown class 'XY'"),
    ],
)
def test_what_makes_no_sense_is_told(described, more, told):
    with pytest.raises(NetworkError, match=told):
        find(described(**more), "mask")
