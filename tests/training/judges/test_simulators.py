"""What the simulators that judge the networks draw is what their labels say."""

import numpy as np
import pytest

pytest.importorskip("galsim", reason="the [training] extra is not installed")

from training.judges import galsim_exposures, star_cores
from training.judges.galsim_scenes import HARD, PLAIN, draw_scene
from training.simulation.scenes import BIT


@pytest.mark.parametrize("ranges", [PLAIN, HARD])
def test_faults_stand_out_where_they_are_marked(ranges):
    seen = set()
    for seed in range(4):
        image, positive, unsure = draw_scene(np.random.default_rng(seed), ranges)
        assert not (positive & unsure).any()
        if not (positive == BIT["BG"]).any():
            continue
        plain = np.median(image[positive == BIT["BG"]])
        for name, sign in (("CR", 1), ("HP", 1), ("SAT", 1), ("DP", -1), ("OV", -1)):
            alone = positive == BIT[name]
            if alone.sum() > 50:
                seen.add(name)
                assert sign * (np.median(image[alone]) - plain) > 0, name
    assert len(seen) > 3


def test_a_scene_of_a_seed_is_always_the_same():
    first, again = (draw_scene(np.random.default_rng(4), PLAIN) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["drift", "jump", "walk", "swing"])
def test_an_image_moves_as_far_as_it_should_around_its_mean(kind):
    x, y = galsim_exposures.path(np.random.default_rng(1), kind, 10.0)
    assert np.mean(x) == pytest.approx(0, abs=1e-9)
    assert np.mean(y) == pytest.approx(0, abs=1e-9)
    assert 7 < np.hypot(np.ptp(x), np.ptp(y)) < 15


def test_stars_trail_in_affected_exposures_only():
    """In the autocorrelation of the image, where one star lies upon all others."""

    def roundness(affected, seed):
        image = galsim_exposures.draw_exposure(np.random.default_rng(seed), affected)[0]
        power = np.abs(np.fft.fft2(image - np.median(image))) ** 2
        middle = np.fft.fftshift(np.fft.ifft2(power).real)[394:407, 394:407]
        middle[6, 6] = middle[6, 5]
        y, x = np.indices(middle.shape) - 6
        weight = np.maximum(middle - middle.min(), 0)
        small, large = np.linalg.eigvalsh(np.cov([x.ravel(), y.ravel()], aweights=weight.ravel()))
        return small / large

    sharp, trailed = ([roundness(a, seed) for seed in range(3)] for a in (False, True))
    assert np.median(trailed) < np.median(sharp) - 0.1


def test_cores_of_a_star_field_are_its_brightest_pixels():
    psf = star_cores.profiles(1.5)[0]
    image, cores = star_cores.star_field(np.random.default_rng(1), psf)
    assert len(cores) > 20
    peaks = [image[y[0], x[0]] for y, x in cores]
    assert np.min(peaks) > np.median(image) + 5 * image.std(where=image < np.median(image))
    assert max(peaks) < star_cores.WELL
