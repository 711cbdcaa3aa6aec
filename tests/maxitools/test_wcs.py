"""The coordinates of masks are those of their images."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from maxitools.headers import mask_header

PIXELS = np.array([[0.0, 0.0], [339.0, 299.0], [100.5, 250.25]])


def header(**cards):
    """Of an image (300, 340) with a CD matrix that turns and shears."""
    header = fits.Header(fits.ImageHDU(np.zeros((300, 340), "f4")).header)
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=210.5, CRVAL2=54.25)
    header.update(CRPIX1=170.0, CRPIX2=150.0, CUNIT1="deg", CUNIT2="deg")
    header.update(CD1_1=-1e-4, CD1_2=3e-5, CD2_1=2e-5, CD2_2=1.1e-4)
    header.update(cards)
    return header


def sip(degree):
    """One with a SIP distortion of some pixels at its edges."""
    cards = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    rng = np.random.default_rng(degree)
    for name in "AB":
        cards[f"{name}_ORDER"] = degree
        for i in range(degree + 1):
            for j in range(degree + 1 - i):
                if i + j > 1:
                    cards[f"{name}_{i}_{j}"] = rng.normal(0, 0.2) / 170.0 ** (i + j)
    return header(**cards)


def sky(given, **options):
    return WCS(given, **options).celestial.wcs_pix2world(PIXELS, 0)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("count", [None, 2])
@pytest.mark.parametrize("version", ["", "A"])
def test_single_mask_has_the_coordinates_of_the_image_unchanged(count, version):
    given = header()
    if count:
        given.insert("CTYPE1", ("WCSAXES", 2))
    for keyword in [k for k in given if k[:2] in ("CD", "CR", "CT", "CU")]:
        given[f"{keyword}A"] = given[keyword]
    mask = mask_header(given, (300, 340), "i2", True, [])
    for keyword in given:
        if keyword[:2] in ("CD", "CR", "CT", "CU", "WC"):
            assert mask[keyword] == given[keyword]
    assert WCS(mask, key=version or " ").wcs.compare(WCS(given, key=version or " ").wcs)


@pytest.mark.parametrize("linear", ["CD", "PC", "CDELT"])
@pytest.mark.parametrize("count", [None, 2])
def test_class_axis_is_described_in_full(linear, count):
    given = header()
    if linear != "CD":
        for keyword in [k for k in given if k.startswith("CD")]:
            del given[keyword]
        given.update(CDELT1=-1e-4, CDELT2=1e-4)
        if linear == "PC":
            given.update(PC1_1=0.8, PC1_2=-0.6, PC2_1=0.6, PC2_2=0.8)
    if count:
        given.insert("CTYPE1", ("WCSAXES", 2))
    mask = mask_header(given, (14, 300, 340), "u1", True, [])
    wcs = WCS(mask)
    np.testing.assert_allclose(sky(mask), sky(given), rtol=1e-12)
    # The class axis counts planes from 1, and has nothing to do with the sky.
    planes = wcs.wcs_pix2world([[5, 7, 0], [5, 7, 13]], 0)
    np.testing.assert_allclose(planes[:, 2], [1, 14])
    np.testing.assert_array_equal(planes[0, :2], planes[1, :2])


def test_image_without_coordinates_gets_none():
    given = fits.ImageHDU(np.zeros((300, 340), "f4")).header
    mask = mask_header(given, (14, 300, 340), "u1", True, [])
    assert not [k for k in mask if k[:2] in ("CD", "CR", "CT", "WC")]


@pytest.mark.parametrize("degree", [2, 3, 5, 7])
def test_distorted_coordinates_open_as_they_are(degree):
    given = sip(degree)
    expected = WCS(given).all_pix2world(PIXELS, 0)
    single = WCS(mask_header(given, (300, 340), "i2", True, []))
    np.testing.assert_array_equal(single.all_pix2world(PIXELS, 0), expected)
    mask = mask_header(given, (14, 300, 340), "u1", True, [])
    opened = WCS(mask)
    world = opened.all_pix2world(np.c_[PIXELS, [0, 5, 13]], 0)
    # To a millionth of a pixel.
    np.testing.assert_allclose(world[:, :2], expected, atol=1e-10, rtol=0)
    np.testing.assert_allclose(world[:, 2], [1, 6, 14])
    np.testing.assert_allclose(opened.all_world2pix(world, 0)[:, :2], PIXELS, atol=1e-5)
    np.testing.assert_allclose(WCS(mask, naxis=2).all_pix2world(PIXELS, 0), expected, atol=1e-10)


def test_cube_keeps_its_own_third_axis():
    given = header(NAXIS=3, NAXIS3=2, CTYPE3="FREQ", CRVAL3=1.4e9, CRPIX3=1.0, CD3_3=1e6)
    for shape in ((2, 300, 340), (14, 2, 300, 340)):
        mask = mask_header(given, shape, "u1", True, [])
        assert (mask["CTYPE3"], mask["CD3_3"]) == ("FREQ", 1e6)
        np.testing.assert_allclose(sky(mask), sky(given), rtol=1e-12)
