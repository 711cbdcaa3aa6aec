"""Networks of the published releases, given to the commands."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import maximask
import maxitrack
from maxitools import decisions, networks
from maxitools.classes import NAMES
from maxitools.published.normalisation import normalise_1_0, normalise_1_2
from maxitools.runtime import import_tensorflow
from maxitools.tiling import tiles


def test_defaults_are_the_published_ones(release, frame):
    recipe = networks.find(release, "mask").recipe
    raw = maximask.probabilities(frame, release).astype(float)
    masks = maximask.mask(frame, release)
    for name, threshold, prior, training in (("CR", 0.43, 0.0005, 0.010), ("BG", 0.27, 0.9, 0.395)):
        i = NAMES.index(name)
        modified = decisions.modify(raw[i], decisions.prior_factor(training, prior))
        clear = np.abs(modified - threshold) > 1e-5
        np.testing.assert_array_equal(masks[i][clear], (modified > threshold)[clear])
    assert sum(recipe.training_priors.values()) > 1


def test_tracking_is_the_mean_of_the_modified_answers(release):
    tf = import_tensorflow()
    image = np.random.default_rng(1).normal(1000, 10, (850, 430)).astype("f4")
    image[200::50, 60::50] += 2000
    model = tf.saved_model.load(str(release / "maxitrack" / "model"))
    # Whole tiles, what is left over being at the start.
    rows = normalise_1_2(image)(0, 850)
    cut = np.stack([rows[50:450, 30:430], rows[450:850, 30:430]])
    expected = decisions.modify(model(cut, False).numpy()[:, 1], decisions.prior_factor(0.5, 0.05))
    found = maxitrack.probability(image, release)
    np.testing.assert_allclose(found, expected.mean(), rtol=1e-4)


@pytest.fixture
def checkpoints(tmp_path):
    """Networks with the feeds and fetches of releases 1.0 and 1.1: CR is x > 3, BG is not."""
    v1 = import_tensorflow().compat.v1

    def save(prefix, build):
        with v1.Graph().as_default(), v1.Session() as session:
            build()
            session.run(v1.global_variables_initializer())
            prefix.parent.mkdir(exist_ok=True)
            v1.train.Saver().save(session, str(prefix))

    def mask():
        x = v1.placeholder("float32", (None, None, None, 1), "rinputs")
        flags = v1.placeholder("int32", (None,), "flags")
        factors = v1.placeholder("float32", (None,), "priors")
        thresholds = v1.placeholder("float32", (None,), "thresh")
        powers = v1.placeholder("uint16", (None,), "2powers")
        limit = v1.get_variable("limit", initializer=3.0)
        hit = v1.sigmoid(4 * (x - limit))
        planes = v1.concat([hit, *[0 * hit] * 12, 1 - hit], -1)
        raw = v1.transpose(v1.gather(planes, flags, axis=-1), (0, 3, 1, 2), name="fpredictions")
        new = raw / (raw + factors[:, None, None] * (1 - raw))
        decided = v1.cast(v1.identity(new, "ppredictions") > thresholds[:, None, None], "uint16")
        v1.reduce_sum(
            v1.cast(v1.identity(decided, "tpredictions") * powers[:, None, None], "int32"),
            1,
            name="spredictions",
        )

    def track():
        x = v1.placeholder("float32", (None, 400, 400, 1), "rinputs")
        v1.placeholder("int32", (), "batch_s")
        drop = v1.placeholder("float32", (), "drop")
        share = v1.get_variable("share", initializer=0.8)
        affected = share * drop + 0 * v1.reduce_mean(x, (1, 2, 3))
        v1.stack([affected, 1 - affected], -1, name="predictions")

    save(tmp_path / "model" / "model-150000", mask)
    save(tmp_path / "track_model" / "model", track)
    return tmp_path


@pytest.mark.parametrize("own", ["", "model"])
def test_checkpoints_of_the_first_releases(checkpoints, own):
    image = np.random.default_rng(3).normal(500, 10, (450, 600)).astype("f4")
    image[100, 100:120] += 1000
    found = maximask.probabilities(image, checkpoints / own)
    x = normalise_1_0(image)(0, 450)[..., 0]
    np.testing.assert_allclose(found[0], 1 / (1 + np.exp(-4 * (x - 3))), atol=1e-5)
    np.testing.assert_allclose(found[13], 1 - found[0], atol=1e-6)
    assert not found[1:13].any()
    masks = maximask.mask(image, checkpoints / own)
    assert masks[0, 100, 100:120].all()
    assert masks[0].sum() == 20


@pytest.mark.parametrize("own", ["", "track_model"])
def test_tracking_checkpoint_of_the_first_releases(checkpoints, own):
    image = np.random.default_rng(3).normal(500, 10, (450, 900)).astype("f4")
    found = maxitrack.probability(image, checkpoints / own, prior=0.5)
    np.testing.assert_allclose(found, 0.8, rtol=1e-6)


def test_damaged_saved_model_is_named(release, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(networks.NetworkError, match=str(Path(tmp_path))):
        networks.find(tmp_path, "mask").load()


def test_release_1_1_gives_the_masks_that_came_with_it():
    """The middle of its test image; the masks of the rest take as long again and again."""
    folder = os.environ.get("MAXIMASK_1_1")
    if not folder:
        pytest.skip("MAXIMASK_1_1 does not name the folder MaxiMask-1.1 of pyds9plugin 3.1.dev7")
    with fits.open(Path(folder, "test_inp.fits.fz")) as image:
        pixels = next(hdu.data for hdu in image if hdu.data is not None)
    with fits.open(Path(folder, "test_out.fits.fz")) as masks:
        masks = next(hdu.data for hdu in masks if hdu.data is not None)
    network = networks.find(folder, "mask").load()
    recipe = network.recipe
    cut = list(tiles(recipe.normalise(pixels), pixels.shape, recipe.tiling))
    tile = cut[len(cut) // 2]
    answer = network.masks(NAMES, recipe.default_priors, recipe.thresholds)
    rows, columns = (slice(s.first, s.last) for s in (tile.rows, tile.columns))
    expected = np.moveaxis(masks[:, rows, columns], 0, -1)
    assert expected[..., :13].any()
    np.testing.assert_array_equal(answer([tile])[0], expected)
