"""The places of detectors: as their headers tell, or else side by side."""

import numpy as np
import pytest
from astropy.io import fits

from maxitools.mosaics import places


def sky(x, y, angle=0.0, mirrored=False):
    """A header with a WCS, x and y pixels of 1 arcsec from a common centre, turned by an angle."""
    cos, sin = np.cos(np.deg2rad(angle)) / 3600, np.sin(np.deg2rad(angle)) / 3600
    sign = -1 if mirrored else 1
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150, "CRVAL2": 20})
    # The pixel where the common centre would lie.
    matrix = np.array([[-sign * cos, sin], [sign * sin, cos]])
    centre = np.linalg.solve(matrix, np.array([x, -y]) / 3600)
    header.update({"CRPIX1": centre[0], "CRPIX2": centre[1]})
    for i in range(2):
        for j in range(2):
            header[f"CD{i + 1}_{j + 1}"] = matrix[i, j]
    return header


def rectangles(found):
    return np.array([(p.left, p.bottom, p.width, p.height) for p in found])


def test_a_wcs_places_detectors_on_the_sky():
    headers = [sky(0, 0), sky(600, 0), sky(0, 400)]
    found = rectangles(places(headers, [(300, 500)] * 3))
    assert found - found[0] == pytest.approx(
        np.array([[0, 0, 0, 0], [600, 0, 0, 0], [0, 400, 0, 0]]), abs=1
    )


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_a_turned_detector_is_turned_back(angle, mirrored):
    """A star keeps its place on the sky, however the detector is turned."""
    from astropy.wcs import WCS

    headers = [sky(0, 0), sky(2000, 0, angle, mirrored)]
    shape = (300, 500)
    place = places(headers, [shape, shape])[1]
    image = np.zeros(shape)
    image[40, 100] = 1
    world = WCS(headers[1]).wcs_pix2world([[100, 40]], 0)
    expected = WCS(headers[0]).wcs_world2pix(world, 0)[0]
    row, column = np.argwhere(place.turned(image))[0]
    assert (place.left + column, place.bottom + row) == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize(
    "headers",
    [
        [fits.Header()] * 5,
        # The planes of one exposure: image, variance, quality.
        [sky(0, 0)] * 5,
        [fits.Header({"DETSEC": "[1:500,1:300]"})] * 5,
        [fits.Header({"DETSEC": "[1:500,1:300]"})] * 4 + [fits.Header({"DETSEC": "none"})],
        [sky(200 * i, 0) for i in range(4)] + [sky(200000, 0)],
        [fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--XXX", "DETSEC": 3})] * 5,
    ],
)
def test_without_places_there_is_a_sheet(headers):
    found = rectangles(places(headers, [(300, 500), (100, 50)] + [(300, 500)] * 3))
    left, bottom, width, height = found.T
    right, top = left + width, bottom + height
    for i in range(5):
        for j in range(i):
            apart = right[i] <= left[j] or right[j] <= left[i]
            assert apart or top[i] <= bottom[j] or top[j] <= bottom[i]
    assert found[1, 2:] == pytest.approx([50, 100])
    # In the order of reading.
    assert bottom[0] >= bottom[4] and left[0] < left[1]


def test_detsec_comes_before_a_wcs():
    headers = [sky(0, 0), sky(0, 400)]
    for header, section in zip(headers, ("[501:1000,1:300]", "[500:1,1:300]"), strict=True):
        header["DETSEC"] = section
    one, other = places(headers, [(300, 500)] * 2)
    assert (one.left - other.left, one.bottom - other.bottom) == (500, 0)
    assert (one.flipped, other.flipped) == ((False, False), (True, False))
