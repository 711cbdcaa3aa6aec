"""Pictures of masks: what was found is seen, where it is."""

from itertools import combinations

import numpy as np
import pytest
from astropy.io import fits
from colorspacious import cspace_convert, deltaE
from scipy import ndimage

from maxitools.classes import NAMES
from maxitools.pictures import LINES, Detector, Picture


def field(shape, **places):
    """Noise, and masks with places of some classes."""
    image = np.random.default_rng(4).normal(1000, 30, shape).astype(np.float32)
    masks = np.zeros((len(NAMES), *shape), np.uint8)
    for name, place in places.items():
        masks[NAMES.index(name)][place] = 1
    return image, masks


def detector(image, masks, header=None, strip=None):
    """An image with its masks, given in strips of some rows."""
    made = Detector(image, *([header] if header else []))
    for first in range(0, len(image), strip or len(image)):
        made.add_rows(first, masks[:, first : first + (strip or len(image))], NAMES)
    return made


def drawn(*detectors):
    picture = Picture("exposure.fits")
    for each in detectors:
        picture.add(each)
    return np.array(picture.draw().convert("RGB"))


def lines(picture, name):
    """Bounding slices of the lines of a class, from the top to the legend, which comes last."""
    labels, _ = ndimage.label((picture == LINES[name][0]).all(-1), np.ones((3, 3)))
    return sorted(ndimage.find_objects(labels), key=lambda at: (at[0].stop, at[1].stop))


def middle(where):
    return np.array([(axis.start + axis.stop) / 2 for axis in where])


def test_a_hit_of_one_pixel_is_seen_in_a_large_image_where_it_is():
    image, masks = field((4000, 600), CR=([500, 3500], [100, 400]))
    upper, lower, _ = lines(drawn(detector(image, masks)), "CR")
    # Three pixels of the image are one of the picture; the first row is at the bottom.
    assert middle(lower) - middle(upper) == pytest.approx([3000 / 3, -300 / 3], abs=1)


def test_a_track_one_pixel_wide_is_one_line_in_a_large_image():
    image, masks = field((1000, 4100), TRL=(np.arange(900), 3 * np.arange(900)))
    found = lines(drawn(detector(image, masks)), "TRL")
    assert len(found) == 2
    assert found[0][0].stop - found[0][0].start == pytest.approx(300, abs=6)


def test_what_is_masked_is_outlined_not_covered():
    image, masks = field((900, 900), DCL=np.s_[300:500, 300:500])
    image[300:500, 300:500] += 1000 * np.eye(200)
    with_masks, without = drawn(detector(image, masks)), drawn(detector(image, 0 * masks))
    rows, columns = lines(with_masks, "DCL")[0]
    inside = np.s_[rows.start + 3 : rows.stop - 3, columns.start + 3 : columns.stop - 3]
    assert (with_masks[inside] == without[inside]).all()


@pytest.mark.parametrize("strip", [1, 64, 100, 255])
def test_strips_give_the_picture_that_the_whole_gives(strip):
    rng = np.random.default_rng(8)
    image, masks = field((3300, 400))
    for name in ("CR", "HP", "FR"):
        masks[NAMES.index(name)][rng.integers(0, 3300, 30), rng.integers(0, 400, 30)] = 1
    assert (drawn(detector(image, masks, strip=strip)) == drawn(detector(image, masks))).all()


def test_the_shares_are_those_of_all_pixels():
    image, masks = field((100, 200), CR=np.s_[:10], BG=np.s_[10:])
    picture = Picture()
    picture.add(detector(image, masks))
    picture.add(detector(image, 0 * masks))
    assert picture.shares() == {"CR": 0.05, "BG": 0.45}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 3e38, "hole"])
def test_no_image_is_too_poor_to_be_drawn(value):
    image, masks = field((70, 1), CR=([5], [0]))
    image[:] = 7.0 if value == "hole" else value
    if value == "hole":
        image[20:] = np.nan
    assert len(lines(drawn(detector(image, masks)), "CR")) == 2


def test_integers_and_big_endian_numbers_are_drawn_as_what_they_are():
    image, masks = field((200, 300))
    whole = image.astype(np.uint16)
    assert (drawn(detector(whole, masks)) == drawn(detector(whole.astype(">f8"), masks))).all()


def test_a_mosaic_of_any_size_keeps_few_pixels():
    image, masks = field((700, 700), CR=([350], [350]))
    made = [detector(image, masks) for _ in range(24)]
    picture = Picture("mosaic.fits")
    for each in made:
        picture.add(each)
    assert sum(each.codes.size for each in made) < 4e6
    assert len(lines(np.array(picture.draw().convert("RGB")), "CR")) == 25


def test_detectors_lie_where_detsec_tells():
    image, masks = field((500, 400), CR=([50], [30]))
    sections = ["[801:1200,1:500]", "[1:400,1:500]", "[400:1,1000:501]", "[801:1200,501:1000]"]
    corners = [(830, 50), (30, 50), (370, 950), (830, 550)]
    made = [detector(image, masks, fits.Header({"DETSEC": text})) for text in sections]
    *found, _ = lines(drawn(*made), "CR")
    expected = np.array(sorted(corners, key=lambda corner: (-corner[1], corner[0])))
    places = np.array([middle(where)[::-1] for where in found])
    assert places - places[-1] == pytest.approx((expected - expected[-1]) * [1, -1], abs=2)


def test_words_that_are_too_long_or_unprintable_are_no_obstacle():
    image, masks = field((50, 50))
    header = fits.Header({"DATE-OBS": "x" * 60, "FILTER": "<b>"})
    picture = Picture("\x00\n" + 500 * "long")
    picture.add(detector(image, masks, header))
    assert picture.draw().width == drawn(detector(image, masks)).shape[1]


def test_lines_of_one_style_differ_for_every_kind_of_colour_vision():
    for style in ("whole", "broken"):
        colours = [np.array(colour) / 255 for colour, its in LINES.values() if its == style]
        for kind in ("deuteranomaly", "protanomaly", "tritanomaly"):
            space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
            seen = np.clip(cspace_convert(colours, space, "sRGB1"), 0, 1)
            greys = np.repeat([[0.1], [0.4], [0.7]], 3, 1)
            for group in (colours, seen):
                for one, other in [*combinations(group, 2), *zip(group, greys, strict=False)]:
                    assert deltaE(one, other, input_space="sRGB1") > 15
