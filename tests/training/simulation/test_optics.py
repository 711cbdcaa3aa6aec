"""Point-spread functions and star fields hold what they are asked for."""

import numpy as np
import pytest
from scipy import fft

from training.simulation import optics
from training.simulation.fields import bright_stars, galaxies, render_stars
from training.simulation.optics import OVERSAMPLING, random_psf

ROUND = {"share": 0.0}


@pytest.mark.parametrize("fwhm", [1.3, 2.5, 6.0])
def test_psf_has_the_fwhm_asked_for(fwhm):
    psf = random_psf(np.random.default_rng(1), fwhm=fwhm, aberrations=ROUND, ellipticity=0)
    profile = psf.core[psf.core.shape[0] // 2]
    half = np.interp(
        -0.5 * profile.max(), -profile[profile.argmax() :], np.arange(profile.argmax() + 1)
    )
    assert 2 * half / OVERSAMPLING == pytest.approx(fwhm, rel=0.08)
    assert psf.fwhm == pytest.approx(fwhm, rel=0.05)
    assert psf.core.sum() == pytest.approx(1, abs=1e-4)
    assert psf.wide.sum() == pytest.approx(1, abs=1e-4)


def test_defocus_makes_a_donut():
    rng = np.random.default_rng(3)
    blurred = {"defocus": 1.0, "share": 0.9}
    psf = random_psf(rng, 9, 4, blurred, wide=False, focusing=False)
    middle = psf.core.shape[0] // 2
    assert psf.core[middle, middle] < 0.8 * psf.core.max()


@pytest.mark.parametrize("turn", [0, 30, 135])
def test_off_axis_images_lie_as_their_turn_says(turn):
    aberrations = {"astigmatism": 1.0, "defocus": 0.7, "share": 0.8, "turn": np.deg2rad(turn)}
    psf = random_psf(np.random.default_rng(4), 6, 0, aberrations, ellipticity=0, wide=False)
    y, x = np.indices(psf.core.shape) - psf.core.shape[0] // 2
    light = psf.core * (np.hypot(x, y) < 20)
    along, across = (light * x * x).sum() - (light * y * y).sum(), 2 * (light * x * y).sum()
    found = np.rad2deg(np.arctan2(across, along)) / 2
    # Towards the axis of the telescope or across, on either side of the focus.
    assert (found - turn + 5) % 90 < 10
    assert np.hypot(along, across) > 0.2 * (light * (x * x + y * y)).sum()


@pytest.mark.parametrize(("vanes", "spikes"), [(3, 6), (4, 4), (6, 6)])
def test_spikes_stand_at_the_angles_of_the_vanes(vanes, spikes):
    repeats = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        psf = random_psf(rng, 3.0, vanes, ROUND, ellipticity=0, focusing=False)
        angle = np.arange(0, 2 * np.pi, 0.01)
        middle, radius = psf.wide.shape[0] // 2, 40
        row = np.round(middle + radius * np.sin(angle)).astype(int)
        column = np.round(middle + radius * np.cos(angle)).astype(int)
        ring = psf.wide[row, column] / np.median(psf.wide[row, column]) - 1
        if ring.max() > 1:
            repeats.append(np.abs(np.fft.rfft(ring))[1:16].argmax() + 1)
    # Strong spikes repeat around the star, but for those of the few irregular spiders.
    assert len(repeats) > 5
    assert np.isin(repeats, (spikes, 2 * spikes)).mean() > 0.6


def test_a_focusing_mask_makes_three_spikes_through_the_star():
    crossings = []
    for seed in range(8):
        psf = random_psf(np.random.default_rng(seed), 3.0, 4, ROUND, ellipticity=0, focusing=True)
        middle, radius = psf.wide.shape[0] // 2, 60
        angle = np.arange(0, np.pi, 0.005)
        row = np.round(middle + radius * np.sin(angle)).astype(int)
        column = np.round(middle + radius * np.cos(angle)).astype(int)
        bright = psf.wide[row, column] > 3 * np.median(psf.wide[row, column])
        crossings.append(np.count_nonzero(bright & ~np.roll(bright, 1)))
    assert np.median(crossings) >= 3


def test_stars_keep_their_flux_and_place():
    psf = random_psf(np.random.default_rng(5), fwhm=2.2, vanes=4, aberrations=ROUND, ellipticity=0)
    x, y, flux = np.array([200.0, 60.3]), np.array([200.0, 330.0]), np.array([1e6, 2e4])
    faint = render_stars((400, 400), x, y, flux, psf)
    assert faint.sum() == pytest.approx(flux.sum(), rel=1e-3)
    image = render_stars((400, 400), x, y, flux, psf, bright=bright_stars(flux, psf, noise=10))
    assert image.sum() == pytest.approx(flux.sum(), rel=0.02)
    assert np.unravel_index(image.argmax(), image.shape) == (200, 200)
    near = image[325:336, 55:66]
    assert (near.sum(0) * np.arange(55, 66)).sum() / near.sum() == pytest.approx(60.3, abs=0.2)


def test_a_star_beyond_the_edge_shows_its_wings_only():
    psf = random_psf(np.random.default_rng(6), fwhm=2.0, vanes=4)
    image = render_stars((100, 100), np.array([-8.0]), np.array([50.0]), np.array([1e7]), psf, [0])
    assert 0 < image.sum() < 0.5e7
    assert image[50, 0] > image[50, 99]


def test_a_big_galaxy_is_smooth_and_bright():
    rng = np.random.default_rng(7)
    psf = random_psf(rng, fwhm=2.0, wide=False)
    assert not galaxies(rng, (200, 200), psf, noise=5, density=0, big=0).any()
    image = galaxies(rng, (200, 200), psf, noise=5, density=0, big=1)
    assert image.max() > 5


@pytest.fixture
def galsim():
    return pytest.importorskip("galsim", reason="the [training] extra is not installed")


def centre(image, half):
    middle = image.shape[0] // 2
    return np.fft.fftshift(image)[
        middle - half : middle + half + 1, middle - half : middle + half + 1
    ]


def test_an_obscured_pupil_makes_the_image_that_galsim_makes(galsim):
    pupil = optics._Pupil(np.random.default_rng(1), 0, {}, 4.0, 0.0, False)
    pupil.obscuration = 0.3
    ours = centre(pupil.image(256, 1, np.zeros(1)), 15)
    theirs = galsim.OpticalPSF(lam_over_diam=4.0, obscuration=0.3)
    theirs = theirs.drawImage(nx=31, ny=31, scale=1, method="no_pixel").array
    np.testing.assert_allclose(ours, theirs, atol=0.03 * theirs.max())


def test_kolmogorov_seeing_is_that_of_galsim(galsim):
    seeing = optics._Seeing(np.random.default_rng(1), 0.0)
    seeing.kind = "kolmogorov"
    transfer = seeing.transfer(*optics._frequencies(256, 1), 4.0)
    ours = centre(fft.irfft2(transfer, s=(256, 256)), 32)
    theirs = galsim.Kolmogorov(fwhm=4.0).drawImage(nx=65, ny=65, scale=1, method="no_pixel").array
    np.testing.assert_allclose(ours, theirs, atol=0.002 * theirs.max())
