"""Training of the mask network: its loss, its resumption and what it exports."""

import json

import numpy as np
import pytest

pytest.importorskip("galsim", reason="the [training] extra is not installed")

import maximask
from maxitools.classes import NAMES
from training import masking, simulate, train
from training.simulation.scenes import BIT

# Keras turns its variables into arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def crossed(positive, unsure, logits, core=0):
    """The loss of one pixel of which each class has a weight of its own."""
    labels = np.array([positive, unsure, core], np.int32).reshape(1, 1, 1, 3)
    loss = masking.weighted_cross_entropy(np.array([3.0, 1.0]), np.array([1.0, 2.0]))
    return float(loss(labels, np.array(logits, np.float32).reshape(1, 1, 1, 2))[0, 0, 0])


def test_the_loss_is_the_weighted_cross_entropy_of_each_class():
    expected = 3 * -np.log(0.2) + -np.log(1 - 0.3) / 2
    logits = np.log([0.2 / 0.8, 0.3 / 0.7])
    assert crossed(0b01, 0b00, logits) == pytest.approx(expected / 2, rel=1e-5)


def test_an_unsure_class_costs_nothing():
    assert crossed(0b00, 0b11, [9.0, -9.0]) == 0.0


@pytest.mark.parametrize("positive", [0b00, 0b01])
def test_stars_taken_for_cosmic_rays_and_missed_hits_cost_the_same_factor(positive):
    logits = [2.0, 0.0]
    other_class = np.log(2) / 2 / 2
    plain = crossed(positive, 0b00, logits) - other_class
    core = crossed(positive, 0b00, logits, core=10) - other_class
    assert core / plain == pytest.approx(10 / (3 if positive else 1), rel=1e-5)


def test_what_is_crucial_are_cores_of_stars_and_of_hits():
    y, x = np.indices((60, 60))
    star = 100 * np.exp(-((y - 20) ** 2 + (x - 30.4) ** 2) / (2 * 0.7**2))
    sky = star.copy()
    sky[40, 40] = 50
    positive = np.where(sky > star, BIT["CR"], 0).astype(np.uint16)
    crucial = masking.crucial(sky, positive, np.zeros_like(positive))
    np.testing.assert_array_equal(crucial > 0, (star > 50) | (positive > 0))


def test_hits_and_hot_pixels_of_a_scene_weigh_alike_whichever_are_more():
    positive = np.zeros((60, 60), np.uint16)
    positive[5:50:5, 5:50:5] = BIT["HP"]
    positive[52, 5:50:5] = BIT["CR"]
    crucial = masking.crucial(np.where(positive > 0, 50, 0), positive, np.zeros_like(positive))
    hits, hot = (crucial[positive & BIT[name] > 0].astype(int) for name in ("CR", "HP"))
    assert hits.sum() == pytest.approx(hot.sum(), rel=0.2)  # weights are whole numbers
    assert hits.min() > hot.max() > 0


def test_stars_are_crucial_where_nobody_marked_what_is_saturated():
    y, x = np.indices((60, 60))
    star = 100 * np.exp(-((y - 20) ** 2 + (x - 30.4) ** 2) / (2 * 0.7**2))
    unsure = np.full(star.shape, BIT["SAT"] | BIT["OV"], np.uint16)
    unsure[:, 50:] |= BIT["CR"]
    crucial = masking.crucial(star, np.zeros_like(unsure), unsure)
    np.testing.assert_array_equal(crucial > 0, star > 50)


def test_what_surrounds_saturated_pixels_is_crucial_unless_a_ray_hit_it():
    positive = np.zeros((40, 40), np.uint16)
    positive[10:30, 20] = BIT["SAT"]
    positive[31, 20:26] = BIT["CR"]
    crucial = masking.crucial(np.zeros((40, 40)), positive, np.zeros_like(positive))
    assert crucial[30, 20]
    assert not crucial[31, 20]
    assert not crucial[20, 20]
    assert not crucial[20, 30]


def test_what_glows_at_the_edge_of_a_frame_is_crucial():
    sky = np.zeros((40, 40))
    sky[:, 2] = sky[:, 20] = np.linspace(0, 30, 40)
    nothing = np.zeros(sky.shape, np.uint16)
    crucial = masking.crucial(sky, nothing, nothing)
    np.testing.assert_array_equal(crucial[:, 2] > 0, sky[:, 2] > 8)
    assert not crucial[:36, 20].any()


def test_what_surrounds_mended_bleeding_is_crucial():
    unsure = np.zeros((40, 40), np.uint16)
    unsure[10:30, 20] = BIT["SAT"]
    crucial = masking.crucial(np.zeros((40, 40)), np.zeros_like(unsure), unsure)
    assert crucial[30, 20]
    assert not crucial[20, 30]


def test_who_knows_the_shares_only_pays_one_for_each_class():
    shares = np.full(len(NAMES), 0.01)
    priors = masking.effective_priors(shares)
    weights = np.array([masking.WEIGHTS[name] for name in NAMES])
    paid = -shares * weights * np.log(priors) - (1 - shares) * np.log(1 - priors)
    np.testing.assert_allclose(masking.ignorant_loss(shares), paid, rtol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of scenes and a network trained on them for a moment."""
    folder = tmp_path_factory.mktemp("training")
    scenes, output = folder / "scenes", folder / "run"
    simulate.main([str(scenes), "--scenes", "2", "--size", "384", "--workers", "1"])
    train.main([str(scenes), str(output), "--epochs", "1", "--steps", "1"])
    return scenes, output


def test_scenes_that_are_there_are_not_made_again(trained):
    scenes, _ = trained
    before = [path.stat().st_mtime_ns for path in sorted(scenes.iterdir())]
    simulate.main([str(scenes), "--scenes", "2", "--size", "384", "--workers", "1"])
    assert [path.stat().st_mtime_ns for path in sorted(scenes.iterdir())] == before


def test_a_trained_network_answers_through_the_commands(trained):
    _, output = trained
    image = np.random.default_rng(1).normal(100, 5, (300, 200)).astype(np.float32)
    answers = maximask.probabilities(image, output / "network")
    assert answers.shape == (len(NAMES), 300, 200)
    assert ((answers > 0) & (answers < 1)).all()
    description = json.loads((output / "network" / "network.json").read_text())
    assert tuple(description["classes"]) == NAMES


def test_training_goes_on_where_it_stopped(trained):
    scenes, output = trained
    train.main([str(scenes), str(output), "--epochs", "2", "--steps", "1"])
    log = (output / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["epoch", "0", "1"]


@pytest.mark.parametrize(("size", "complaint"), [(None, "no scenes"), (320, "too small")])
def test_scenes_that_cannot_be_used_are_told_in_a_line(tmp_path, capsys, size, complaint):
    if size:
        simulate.main([str(tmp_path), "--scenes", "1", "--size", str(size), "--workers", "1"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        train.main([str(tmp_path), str(tmp_path / "run")])
    assert complaint in capsys.readouterr().err
