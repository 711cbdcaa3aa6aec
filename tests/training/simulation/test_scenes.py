"""Scenes: what is put in is marked, and nothing else."""

import numpy as np
import pytest

pytest.importorskip("galsim", reason="the [training] extra is not installed")

from maxitools.classes import NAMES
from training.simulation import contaminants, scenes
from training.simulation.scenes import BIT, Detector, Labels, Sources, draw_scene

SHAPE = 192, 192
NO_STARS = np.zeros(0), np.zeros(0), np.zeros(0)


def scene(contents, seed=1, **given):
    given.setdefault("stars", NO_STARS)
    return draw_scene(np.random.default_rng(seed), SHAPE, Sources(), contents=contents, **given)


def classes_in(positive):
    return {name for name in NAMES if (positive & BIT[name]).any()}


@pytest.mark.parametrize("name", ["CR", "HCL", "DCL", "HP", "DP", "TRL", "FR", "NEB", "OV"])
def test_a_contaminant_that_is_put_in_is_marked_and_no_other(name):
    _, positive, _ = scene({name})
    found = classes_in(positive)
    assert name in found
    # Galaxies may be bright enough for BBG and SAT without having been asked for.
    assert found <= {name, "BG", "BBG", "SAT"}


def test_rivals_are_hits_hot_pixels_and_stars_and_nothing_else(monkeypatch):
    monkeypatch.setattr(scenes, "RIVALS", 1.0)
    hits = 0
    for seed in range(6):
        _, positive, _ = draw_scene(np.random.default_rng(seed), SHAPE, Sources())
        assert classes_in(positive) <= {"CR", "HP", "BG", "BBG", "SAT", "SP"}
        hits += np.count_nonzero(positive & BIT["CR"])
    assert hits > 100


def test_persistence_is_shown_under_what_veils_it_and_is_not_always_there(monkeypatch):
    monkeypatch.setattr(scenes, "RIVALS", 0.0)
    monkeypatch.setattr(scenes, "VEILS", 1.0)
    seen = [
        classes_in(draw_scene(np.random.default_rng(seed), SHAPE, Sources())[1])
        for seed in range(12)
    ]
    assert any("P" in found and found & {"FR", "NEB"} for found in seen)
    assert any("P" not in found for found in seen)
    assert not any(found & {"HCL", "DCL", "HP", "DP", "OV"} for found in seen)


def test_a_seed_always_gives_the_same_scene():
    for first, second in zip(
        draw_scene(np.random.default_rng(5), SHAPE, Sources()),
        draw_scene(np.random.default_rng(5), SHAPE, Sources()),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("seed", range(6))
def test_no_pixel_is_both_positive_and_unsure(seed):
    _, positive, unsure = draw_scene(np.random.default_rng(seed), SHAPE, Sources())
    assert not (positive & unsure).any()
    background = positive & BIT["BG"] > 0
    assert not (positive[background] & ~BIT["BG"]).any()


def test_nothing_else_is_marked_in_a_strip_that_was_not_exposed():
    _, positive, unsure = scene({"CR", "HCL", "DCL", "HP", "TRL", "NEB", "OV"}, seed=3)
    strip = positive & BIT["OV"] > 0
    assert strip.any()
    assert (positive[strip] == BIT["OV"]).all()
    assert (unsure[strip] == 0).all()


def test_light_is_positive_unsure_or_neither_by_its_ratio_to_the_noise():
    labels = Labels((1, 4))
    labels.light("TRL", np.array([[0.0, 0.5, 7.9, 8.1]]), noise=10, sure=0.8, faintest=0.08)
    labels.finish()
    assert (labels.positive & BIT["TRL"] > 0).tolist() == [[False, False, False, True]]
    assert (labels.unsure & BIT["TRL"] > 0).tolist() == [[False, False, True, False]]
    assert (labels.positive & BIT["BG"] > 0).tolist() == [[True, True, False, False]]
    assert (labels.unsure & BIT["BG"] > 0).tolist() == [[False, False, True, False]]


def test_a_hot_column_stands_out_of_its_neighbours_where_it_is_marked():
    detector = Detector(sky=500.0, read_noise=5.0, well=1e5, infrared=False)
    image, positive, _ = scene({"HCL"}, seed=2, detector=detector)
    hot = positive & BIT["HCL"] > 0
    assert np.median(image[hot]) > np.percentile(image[~hot], 80)


def test_a_vertical_muon_leaves_the_charge_of_its_path():
    thickness = 200.0
    charges = [
        contaminants.cosmic_rays(
            np.random.default_rng(seed), (64, 64), 1, thickness=thickness, pixel=15.0
        ).sum()
        for seed in range(300)
    ]
    # Muons are the most of it; the most probable energy loss is where their charges pile up.
    vertical = contaminants.MUON_ELECTRONS_PER_MICRON * thickness
    near = np.mean((np.array(charges) > 0.7 * vertical) & (np.array(charges) < 2.0 * vertical))
    assert near > 0.2


def test_a_random_field_has_the_slope_asked_for():
    field = contaminants.random_field(np.random.default_rng(1), (512, 512), index=-3.0)
    power = np.abs(np.fft.rfft(field * np.hanning(512), axis=1)) ** 2
    k = np.arange(4, 64)
    slope = np.polyfit(np.log(k), np.log(power.mean(axis=0)[4:64]), 1)[0]
    # A cut through a field of index -3 has index -2.
    assert slope == pytest.approx(-2.0, abs=0.35)


def test_a_cluster_at_an_edge_is_cut_there():
    rng = np.random.default_rng(0)
    for _ in range(3000):
        dead = contaminants.clusters(rng, (20, 60), 1)
        columns = np.flatnonzero(dead.any(axis=0))
        assert columns.size == 0 or np.ptp(columns) < 28


def test_a_track_is_one_mask_where_its_charge_falls_short():
    charge = np.zeros((40, 40))
    charge[20, 5:35] = 100.0
    charge[20, 12:18] = 20.0
    charge[20, 25] = 1.0
    whole = contaminants.whole_tracks(charge, np.full(charge.shape, 30.0))
    assert whole[20, 5:25].all()
    assert not whole[20, 25]
    assert whole.sum() == 29


def test_a_wide_bright_trail_reaches_from_edge_to_edge():
    wide = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        light = contaminants.trail(rng, (200, 200), fwhm=3.0)
        edges = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]]) > 0.5
        core = (light > 0.5).sum() / 200
        wide += core > 20 and np.count_nonzero(np.diff(edges.astype(int)) == 1) >= 2
    assert wide > 3


@pytest.mark.parametrize("seed", range(4))
def test_the_tips_of_bleeding_columns_are_saturated_and_no_cosmic_rays(seed):
    detector = Detector(sky=500.0, read_noise=5.0, well=6e4, infrared=False)
    stars = np.array([60.0, 130.0]), np.array([90.0, 100.0]), np.array([1e8, 1e7])
    _, positive, unsure = scene(set(), seed, detector=detector, stars=stars)
    assert (positive & BIT["SAT"]).any()
    assert not ((positive | unsure) & BIT["CR"]).any()


def test_planetary_nebulae_are_small_and_take_no_light_away():
    light = contaminants.planetary_nebulae(np.random.default_rng(3), (300, 300), fwhm=2.5)
    assert 0 < (light > 0.3 * light.max()).mean() < 0.3
    assert light.min() >= -1e-6


def test_empty_sky_in_coarse_steps_is_one_number_and_a_step_is_noise():
    detector = Detector(sky=20.0, read_noise=3.0, well=6e4, infrared=False, step=60.0)
    assert detector.noise > detector.step
    shares = []
    for seed in range(8):
        image, positive, _ = scene(set(), seed, detector=detector)
        shares.append((image == np.median(image)).mean())
        assert not (positive & BIT["NEB"]).any()
    assert np.median(shares) > 0.5
