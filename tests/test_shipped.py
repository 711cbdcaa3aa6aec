"""What the repository ships: its test image, the masks of it, and the networks that made them."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import maximask
import maxitrack
from maxitools.classes import NAMES

ROOT = Path(__file__).resolve().parents[1]
IMAGE, MASKS = ROOT / "test_im.fits.fz", ROOT / "test_out.fits.fz"


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    assert maximask.main([str(IMAGE), "--out_dir", str(folder)]) == 0
    with fits.open(folder / "test_im.masks.fits") as hdus:
        yield hdus


def test_the_masks_of_the_test_image_are_those_in_the_repository(masks):
    with fits.open(MASKS) as expected:
        assert [hdu.name for hdu in masks] == [hdu.name for hdu in expected]
        for made, shipped in zip(masks[1:], expected[1:], strict=True):
            # Processors differ in their last digits, and with them pixels at a threshold.
            agreement = np.mean(made.data == shipped.data, axis=(1, 2))
            assert agreement.min() > 0.999
            for card in ("M0", "M13", "CD1_1", "FILTER", "CR"):
                assert made.header.get(card) == shipped.header.get(card)


def test_a_class_has_the_same_mask_alone_and_among_all(masks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = [NAMES.index("TRL"), NAMES.index("BBG")]
    Path("classes.flags").write_text(
        "".join(f"{n} {int(i in chosen)}\n" for i, n in enumerate(NAMES))
    )
    assert maximask.main([f"{IMAGE}[1]", "--out_dir", "few"]) == 0
    (path,) = Path("few").iterdir()
    np.testing.assert_array_equal(fits.getdata(path), masks[1].data[chosen])


def test_every_class_is_found_somewhere_in_the_test_image(masks):
    found = sum(np.any(hdu.data, axis=(1, 2)).astype(int) for hdu in masks[1:])
    assert {name for name, count in zip(NAMES, found, strict=True) if count} == set(NAMES)


def test_the_test_image_has_an_empty_primary_and_is_small():
    with fits.open(IMAGE) as hdus:
        assert hdus[0].data is None
        assert len(hdus) > 2
    assert IMAGE.stat().st_size < 10e6


def test_the_shipped_networks_are_small_and_have_a_card():
    for command, limit in (("maximask", 17e6), ("maxitrack", 8e6)):
        folder = ROOT / "model" / command
        assert sum(path.stat().st_size for path in folder.iterdir()) < limit
        assert (folder / "CARD.md").exists()


def test_the_test_image_was_tracked_well():
    with fits.open(IMAGE) as hdus:
        assert maxitrack.probability(hdus["CCD1"].data) < 0.5
