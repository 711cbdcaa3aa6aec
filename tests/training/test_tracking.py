"""What moves an image, exposures with and without it, and the loss of the tracking network."""

import numpy as np
import pytest

from training.simulation.fields import render_stars
from training.simulation.motions import (
    AFFECTED,
    LONG,
    MOTIONS,
    elongation,
    motion,
    random_motion,
)
from training.simulation.optics import PsfField, dwell, random_psf

ROUND = {"share": 0.0}


def principal_widths(image):
    """Standard deviations of an image along its minor and major axes, in pixels."""
    y, x = np.indices(image.shape)
    covariance = np.cov(x.ravel(), y.ravel(), aweights=image.ravel())
    return np.sqrt(np.linalg.eigvalsh(covariance))


@pytest.mark.parametrize("kind", [kind for kind in MOTIONS if kind not in ("rotation", "arc")])
def test_a_motion_is_as_long_as_asked_for_and_centred(kind):
    x, y = motion(np.random.default_rng(1), kind, 10.0)
    angle = np.linspace(0, np.pi, 180)[:, None]
    longest = np.ptp(x * np.cos(angle) + y * np.sin(angle), axis=1).max()
    assert 9.9 < longest < 16
    assert np.mean(x) == pytest.approx(0, abs=1e-9)
    assert np.mean(y) == pytest.approx(0, abs=1e-9)


def test_an_arc_is_as_long_as_asked_for_and_bends():
    rng = np.random.default_rng(1)
    turned = []
    for _ in range(30):
        x, y = motion(rng, "arc", 200.0)
        steps = np.diff(x), np.diff(y)
        assert np.hypot(*steps).sum() == pytest.approx(200, rel=0.01)
        heading = np.unwrap(np.arctan2(*steps))
        turned.append(np.ptp(heading))
    assert min(turned) > 0.15
    # Now and then a loop.
    assert max(turned) > np.pi


def test_long_motions_are_as_frequent_as_asked_for():
    rng = np.random.default_rng(3)
    for share in (0.0, 1.0):
        kinds = {random_motion(rng, 3.0, long=share)[0] for _ in range(60)}
        assert (kinds <= set(LONG)) if share else not kinds & set(LONG)


def test_an_unknown_motion_is_named():
    with pytest.raises(ValueError, match="wobble"):
        motion(np.random.default_rng(1), "wobble", 3.0)


def test_motions_that_are_drawn_show():
    rng = np.random.default_rng(2)
    for _ in range(30):
        _, x, y = random_motion(rng, 3.0)
        assert elongation(x, y) > 3.0 * AFFECTED


def test_a_drift_widens_a_star_along_its_way_only():
    psf = random_psf(np.random.default_rng(3), fwhm=3.0, aberrations=ROUND, ellipticity=0, vanes=0)
    t = np.linspace(-4, 4, 1000)
    drifted = psf.moved(t, 0 * t)
    place = np.array([40.0])
    before, after = (
        render_stars((81, 81), place, place, np.array([1e4]), each)[20:61, 20:61]
        for each in (psf, drifted)
    )
    assert after.sum() == pytest.approx(before.sum(), rel=0.01)
    minor, major = principal_widths(after)
    width = principal_widths(before).mean()
    assert minor == pytest.approx(width, rel=0.1)
    assert major**2 == pytest.approx(width**2 + 8**2 / 12, rel=0.1)


def test_a_jump_makes_two_images():
    x = np.where(np.arange(1000) < 700, 0.0, 6.0)
    image = dwell(x, 0 * x)
    middle = image.shape[0] // 2
    assert image[middle, middle] == pytest.approx(0.7)
    assert image[middle, middle + 6] == pytest.approx(0.3)


def test_each_star_takes_the_nearest_point_spread_function():
    rng = np.random.default_rng(4)
    sharp, blurred = (random_psf(rng, fwhm, aberrations=ROUND, wide=False) for fwhm in (2.0, 8.0))
    field = PsfField.of([(20, 50), (80, 50)], [sharp, blurred])
    x, y, flux = np.array([20.0, 80.0]), np.array([50.0, 50.0]), np.array([1e5, 1e5])
    image = render_stars((100, 100), x, y, flux, field)
    assert image[50, 20] > 5 * image[50, 80]


def test_the_loss_listens_to_the_tile_with_the_weight():
    pytest.importorskip("keras")
    from training.tracking import loss

    labels = np.array([[1, 2], [1, 2]], np.float32)
    right_is_heavy = np.array([[5, 3], [-5, -3]], np.float32)
    wrong_is_heavy = np.array([[5, -3], [-5, 3]], np.float32)
    assert float(loss(labels, right_is_heavy)) < float(loss(labels, wrong_is_heavy))


def test_each_star_gets_a_stamp_and_noise_none():
    pytest.importorskip("keras")
    from training.architectures import STAMP, star_stamps

    rng = np.random.default_rng(5)
    psf = random_psf(rng, fwhm=3.0, aberrations=ROUND, wide=False)
    x, y = np.array([20.0, 90.0, 70.0]), np.array([40.0, 50.0, 110.0])
    image = render_stars((128, 128), x, y, np.array([3e3, 1e4, 2e3]), psf)
    pixels = np.zeros((1, 128, 128, 2), np.float32)
    pixels[0, ..., 0] = image + 0.3 * rng.standard_normal(image.shape)
    stamps, places = (np.asarray(part)[0] for part in star_stamps(pixels, 6))
    assert [bool(stamp.any()) for stamp in stamps] == [True] * 3 + [False] * 3
    for stamp in stamps[:3, ..., 0]:
        assert (
            np.abs(np.array(np.unravel_index(stamp.argmax(), stamp.shape)) - STAMP // 2).max() < 2
        )
    assert stamps[0].max() > stamps[1].max() > stamps[2].max()
    by_flux = [1, 0, 2]
    assert places[:3] == pytest.approx(np.column_stack([y, x])[by_flux] / 64 - 1, abs=0.02)


def test_stars_rank_before_hot_pixels_and_thin_lines():
    pytest.importorskip("keras")
    from training.architectures import star_stamps

    psf = random_psf(np.random.default_rng(6), fwhm=2.0, aberrations=ROUND, wide=False)
    star = np.array([80.0])
    image = render_stars((128, 128), star, star, np.array([1e3]), psf)
    image[20, 20] = 1e5
    image[50, :60] = 1e4
    pixels = np.stack([image, 0 * image], axis=-1)[None]
    _, places = star_stamps(pixels, 3)
    assert np.asarray(places)[0, 0] == pytest.approx([80 / 64 - 1] * 2, abs=0.02)


def test_stamps_turn_with_their_places():
    pytest.importorskip("keras")
    from training.architectures import STAMP
    from training.tracking import varied

    # A mark in each stamp on the side where the stamp lies in the tile.
    places = np.array([[-1.0, 0.0], [0.0, 0.5]])
    stamps = np.zeros((2, STAMP, STAMP, 2), np.float32)
    stamps[0, 0, STAMP // 2] = stamps[1, STAMP // 2, -1] = 1e6
    rng = np.random.default_rng(7)
    for _ in range(16):
        for stamp, place in zip(*varied(rng, stamps, places), strict=True):
            y, x = np.unravel_index(stamp[..., 0].argmax(), (STAMP, STAMP))
            assert np.sign(place) == pytest.approx(np.sign([y - STAMP // 2, x - STAMP // 2]))


def test_empty_stamps_change_no_answer():
    pytest.importorskip("keras")
    from training.architectures import STAMP, stamp_network

    rng = np.random.default_rng(8)
    stamps = rng.normal(0, 1, (1, 5, STAMP, STAMP, 2)).astype(np.float32)
    places = rng.uniform(-1, 1, (1, 5, 2)).astype(np.float32)
    network = stamp_network(width=16)
    answers = np.asarray(network([stamps, places]))
    more = [
        np.pad(part, [(0, 0), (0, 3)] + [(0, 0)] * (part.ndim - 2)) for part in (stamps, places)
    ]
    assert np.asarray(network(more)) == pytest.approx(answers, abs=1e-5)
