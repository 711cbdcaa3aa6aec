"""Real frames as backgrounds: what is known of them is the truth of the scenes that show them."""

import numpy as np
import pytest

pytest.importorskip("galsim", reason="the [training] extra is not installed")

from training.simulation.scenes import BIT, Sources, draw_scene
from training.simulation.sources import read_backgrounds


@pytest.fixture
def folder(tmp_path):
    """A scene of sky 100 and noise 5 with one hit, one place in doubt, and nothing on trails."""
    image = np.random.default_rng(3).normal(100, 5, (128, 128)).astype(np.float32)
    positive, unsure = np.full((2, 128, 128), 0, np.uint16)
    image[40:44, 60] += 400
    positive[40:44, 60] = BIT["CR"]
    unsure[40:44, 59] = BIT["CR"]
    unsure |= BIT["TRL"]
    np.savez(tmp_path / "a.npz", image=image, positive=positive, unsure=unsure, known=["CR", "HP"])
    (tmp_path / "backgrounds.tsv").write_text(
        "file\thdu\tsaturation\teverywhere\tunknown\na.npz\t\t\t\tNEB\n"
    )
    return tmp_path


def test_the_known_labels_of_a_scene_are_the_truth_where_it_is_a_background(folder):
    sources = Sources(read_backgrounds(folder))
    on_real = 0
    for seed in range(12):
        image, positive, unsure = draw_scene(
            np.random.default_rng(seed), (128, 128), sources, contents=set()
        )
        if (unsure & BIT["NEB"]).all():
            hit = positive & BIT["CR"] > 0
            assert hit.sum() == 4
            assert image[hit].min() > np.percentile(image[~hit], 99.9)
            assert (unsure & BIT["CR"] > 0).sum() == 4
            assert not (unsure & (BIT["TRL"] | BIT["HP"])).any()
            on_real += 1
    assert on_real


def test_a_labelled_frame_is_suspect_where_a_small_contaminant_is_or_may_be(folder):
    (background,) = read_backgrounds(folder)
    assert background.suspect.sum() == 8
