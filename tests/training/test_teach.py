"""Networks that learn what others say."""

import json

import numpy as np
import pytest
from astropy.io import fits

pytest.importorskip("galsim", reason="the [training] extra is not installed")

from maxitools.classes import NAMES
from maxitools.inputs import shipped_folder
from maxitools.networks import find
from training import masking, simulate, teach, tracking, train
from training.judges import absent
from training.simulation.scenes import BIT

# Keras turns its variables into arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def one_sided(image):
    """A network that believes what stands on the left of an image."""
    share = np.linspace(0.9, 0.1, image.shape[1], dtype=np.float32)
    return np.stack([image * share, 1 - image * share])


def test_what_is_said_turns_with_the_image():
    image = np.random.default_rng(0).uniform(0.1, 0.9, (12, 12)).astype(np.float32)
    straight = teach.said(one_sided, image)
    for turned in (np.rot90, np.flipud, lambda a: a.swapaxes(0, 1)):
        np.testing.assert_array_equal(teach.said(one_sided, turned(image)), turned(straight))


def test_what_is_said_is_the_mean_of_the_logits():
    image = np.full((4, 4), 0.5, np.float32)
    shares = 0.5 * np.linspace(0.9, 0.1, 4)
    odds = np.log(shares / (1 - shares)).reshape(1, 4)
    odds = (odds + odds[:, ::-1] + odds.T + odds.T[::-1]) / 4
    found = masking.spoken(teach.said(one_sided, image)[..., 0].astype(float))
    np.testing.assert_allclose(found, odds, atol=masking.STEP / 2 + 1e-5)


def test_who_says_the_same_pays_nothing_and_others_the_excess():
    loss = masking.taught_cross_entropy(np.ones(len(NAMES)), np.ones(len(NAMES)))
    labels = np.full((1, 1, 1, 1 + len(NAMES)), 8 * 2 + masking.MIDDLE, np.int32)
    labels[..., 0] = 0
    same = np.full((1, 1, 1, len(NAMES)), 2.0, np.float32)
    assert float(loss(labels, same)[0, 0, 0]) == pytest.approx(0, abs=1e-6)
    q, p = 1 / (1 + np.exp(-2.0)), 0.5
    excess = q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))
    assert float(loss(labels, 0 * same)[0, 0, 0]) == pytest.approx(excess, rel=1e-5)


def test_sure_labels_count_as_much_as_what_is_said_and_others_not_at_all():
    said = np.full((1, 3, len(NAMES)), masking.MIDDLE, np.uint8)
    positive, unsure = np.uint16([[BIT["P"], 0, BIT["P"]]]), np.uint16([[0, 0, BIT["P"]]])
    found = masking.spoken(masking.corrected(said, positive, unsure).astype(float))
    shares = 1 / (1 + np.exp(-found[0, :, NAMES.index("P")]))
    # Logits are kept in steps.
    np.testing.assert_allclose(shares, [0.75, 0.25, 0.5], atol=0.01)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A folder of what the network that ships said of a scene and of a FITS image."""
    folder = tmp_path_factory.mktemp("teaching")
    images = folder / "images"
    simulate.main([str(images), "--scenes", "1", "--size", "384", "--workers", "1"])
    pixels = np.random.default_rng(1).normal(100, 5, (400, 390)).astype(np.float32)
    fits.writeto(images / "night.fits", pixels)
    table = folder / "absent.tsv"
    table.write_text("file\thdu\tabsent\nimages/night.fits\t0\tP,FR\n")
    absent.main([str(table), "--scenes", str(images / "sure")])
    teach.main([str(images), str(folder / "taught")])
    return folder


def test_scenes_and_fits_images_are_answered(taught):
    paths = sorted((taught / "taught").iterdir())
    assert [p.name for p in paths] == ["absent_0000.npz", "night_0.npz", "scene_000000.npz"]
    for path in paths:
        with np.load(path) as scene:
            assert scene["said"].shape == (*scene["image"].shape, len(NAMES))
    for path, sure in zip(paths[:2], (["P", "FR"], []), strict=True):
        with np.load(path) as night:
            assert (night["said"][..., NAMES.index("BG")] > masking.MIDDLE).mean() > 0.99
            assert not night["positive"].any()
            found = [name for name, bit in BIT.items() if not (night["unsure"] & bit).any()]
            assert found == sure


def test_of_classes_asked_for_labels_alone_count_where_they_are_sure(taught):
    there = taught / "labels"
    teach.main([str(taught / "images"), str(there), "--labels", "CR", "BG"])
    for path in sorted(there.iterdir()):
        with np.load(path) as scene, np.load(taught / "taught" / path.name) as answered:
            for i, (name, bit) in enumerate(BIT.items()):
                said, plain = scene["said"][..., i], answered["said"][..., i]
                sure = scene["unsure"] & bit == 0
                if name in ("CR", "BG"):
                    truth = scene["positive"][sure] & bit > 0
                    np.testing.assert_array_equal(said[sure], 255 * truth)
                    sure = ~sure
                np.testing.assert_array_equal(said[sure], plain[sure])


def test_exposures_have_no_classes_to_be_labelled(taught, capsys):
    with pytest.raises(SystemExit):
        teach.main([str(taught / "images"), str(taught / "no"), "--task", "track", "--labels", "P"])
    assert "--labels: exposures have no classes" in capsys.readouterr().err


def test_a_network_takes_over_the_priors_of_the_one_that_taught_it(taught):
    train.main([str(taught / "taught"), str(taught / "run"), "--epochs", "1", "--steps", "1"])
    description = json.loads((taught / "run/network/network.json").read_text())
    teacher = find(shipped_folder() / "model", "mask")
    assert description["training_priors"] == teacher.recipe.training_priors


def test_scenes_with_and_without_answers_do_not_mix(taught, capsys):
    with pytest.raises(SystemExit):
        train.main([str(taught), str(taught / "mixed")])
    assert "do not mix" in capsys.readouterr().err


def test_scenes_of_the_other_task_are_not_answered(taught):
    asked = [str(taught / "images"), str(taught / "tracks"), "--task", "track"]
    with pytest.raises(SystemExit, match=r"teach: .*scene_000000\.npz: not a scene of the task"):
        teach.main(asked)


def test_what_is_said_of_an_exposure_counts_as_much_as_the_truth(tmp_path):
    exposures, taught = tmp_path / "exposures", tmp_path / "taught"
    options = ["--task", "track", "--scenes", "2", "--size", "256", "--workers", "1"]
    simulate.main([str(exposures), *options])
    teach.main([str(exposures), str(taught), "--task", "track"])
    for path in sorted(taught.iterdir()):
        with np.load(path) as scene:
            share = 1 / (1 + np.exp(-scene["said"]))
            *_, affected = tracking.Dataset.keep(None, scene)
            assert affected == pytest.approx((scene["affected"] + share) / 2)
