"""The Python interface: arrays, and the types of `astropy.nddata`."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, NDData, bitfield_to_boolean_mask
from astropy.wcs import WCS
from conftest import truth, write

import maximask
import maxitrack
from maxitools.classes import NAMES


@pytest.fixture
def mask(networks):
    return partial(maximask.mask, net_path=networks)


@pytest.fixture
def flags(networks):
    return partial(maximask.flags, net_path=networks)


@pytest.fixture
def ccd(sky):
    """An image with all that it may carry."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    known = np.zeros(sky.shape, bool)
    known[5, 5] = True
    return CCDData(sky, unit="adu", wcs=wcs, meta={"OBJECT": "M101"}, mask=known)


def test_masks_of_an_array(mask, sky):
    np.testing.assert_array_equal(mask(sky), truth())
    np.testing.assert_array_equal(mask(sky.tolist()), truth())
    assert not mask(np.zeros((40, 50))).any()


def test_what_the_options_of_the_command_choose(mask, flags, networks, sky, here):
    write("a.fits", sky)
    cases = {
        ("--classes", "HCL,CR"): partial(mask, classes=["HCL", "CR"]),
        ("--classes", "all,-BG", "--grow", "3"): partial(mask, classes="all,-BG", grow=3),
        ("--prior_modif", "0"): partial(mask, prior_modif=False),
        ("--single_mask", "1", "--grow", "1"): partial(flags, grow=1),
        ("--flag_value", "1024"): partial(flags, flag_value=1024),
        ("--proba_thresh", "0"): partial(
            maximask.probabilities, net_path=networks, prior_modif=True
        ),
        ("--config_dir", "conf"): partial(mask, config_dir="conf"),
    }
    Path("conf").mkdir()
    Path("conf/classes.priors").write_text("".join(f"{n} 1e-9\n" for n in NAMES))
    for options, call in cases.items():
        assert maximask.main(["a.fits", "--net_path", str(networks), *options]) == 0
        made, expected = call(sky), fits.getdata("a.masks.fits")
        np.testing.assert_array_equal(made, expected)
        assert made.dtype == expected.dtype.newbyteorder("=")


def test_priors_and_thresholds_by_class(mask, networks, sky):
    raw = maximask.probabilities(sky, networks)
    np.testing.assert_array_equal(raw > 0.5, truth())
    made = mask(sky, thresholds={"CR": 1.0}, priors={"HCL": 1e-30})
    assert not made[:2].any()
    np.testing.assert_array_equal(made[13], truth()[13])


def test_bits_are_read_by_their_names(flags, sky):
    found = flags(sky)
    assert found.dtype == np.int16
    read = partial(bitfield_to_boolean_mask, flag_name_map=maximask.FLAGS)
    np.testing.assert_array_equal(read(found, "~CR,TRL"), truth()[0] > 0)
    np.testing.assert_array_equal(read(found, "~HCL"), truth()[1] > 0)
    assert (maximask.FLAGS.BBG, maximask.FLAGS["SAT"]) == (4096, 512)


def test_ccddata_comes_back_with_mask_and_flags(mask, flags, ccd, sky):
    made = mask(ccd)
    assert type(made) is CCDData
    np.testing.assert_array_equal(made.flags, flags(sky))
    expected = truth()[0] + truth()[1] > 0
    expected[5, 5] = True
    np.testing.assert_array_equal(made.mask, expected)
    assert (made.unit, made.header["OBJECT"]) == (u.adu, "M101")
    assert made.wcs.to_header() == ccd.wcs.to_header()
    np.testing.assert_array_equal(made.data, sky)
    assert ccd.mask.sum() == 1 and ccd.flags is None


def test_nddata_without_a_mask(mask, flags, networks, sky):
    image = NDData(sky)
    np.testing.assert_array_equal(mask(image, classes="CR").mask, truth()[0] > 0)
    np.testing.assert_array_equal(flags(image), flags(sky))
    raw = maximask.probabilities(image, networks)
    np.testing.assert_array_equal(raw, maximask.probabilities(sky, networks))
    assert maxitrack.probability(image, networks) == maxitrack.probability(sky, networks)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"classes": "CR,X"}, "unknown class 'X'"),
        ({"classes": []}, "unknown class ''"),
        ({"net_path": "gone"}, "gone: no such network directory"),
    ],
)
def test_what_cannot_be_done_is_said(networks, sky, choices, message):
    with pytest.raises(ValueError, match=message):
        maximask.mask(sky, **{"net_path": networks, **choices})


@pytest.mark.parametrize("shape", [(4,), (2, 30, 30), (0, 30)])
def test_what_is_no_image_is_refused(mask, networks, shape):
    for call in (mask, partial(maxitrack.probability, net_path=networks)):
        with pytest.raises(ValueError, match="expected an image of two axes"):
            call(np.ones(shape))
