"""Networks of the published releases, given to the commands."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import maximask
import maxitrack
from maxitools import decisions, networks
from maxitools.classes import NAMES
from maxitools.networks import import_tensorflow
from maxitools.normalisation import published_1_0_rows, published_1_2_rows
from maxitools.tiling import PublishedTiling, Span, Tile, tiles


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """The networks of release 1.4.1, fetched from the package index."""
    folder = tmp_path_factory.mktemp("release")
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, "maximask==1.4.1"],
        capture_output=True,
        text=True,
    )
    if fetched.returncode and not os.environ.get("CI"):
        pytest.skip(f"release 1.4.1 cannot be fetched: {fetched.stderr.strip().splitlines()[-1]}")
    assert fetched.returncode == 0, fetched.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if "/model/" in name]
        archive.extractall(folder, names)
    return folder / "maximask_and_maxitrack"


@pytest.fixture(scope="module")
def frame():
    """An image (420, 610) with a gradient, stars, hits, a trail and a dead column."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[:420, :610]
    image = rng.normal(2000 + x, 30).astype("f4")
    for _ in range(60):
        star_y, star_x, flux = rng.uniform(0, 420), rng.uniform(0, 610), rng.uniform(3, 6)
        image += 10**flux / 50 * np.exp(-((y - star_y) ** 2 + (x - star_x) ** 2) / 8)
    image[50 + np.arange(40), 30 + np.arange(40) // 3] += 3000
    image[np.abs(y - 300 - 0.2 * x) < 2] += 400
    image[:, 505] = 0
    return image


def test_probabilities_are_those_of_the_graph_as_published(release, frame):
    """Tile by tile, the answers of the fast form are those of the slow one."""
    tf = import_tensorflow()
    model = tf.saved_model.load(str(release / "maximask" / "model"))
    found = maximask.probabilities(frame, release)
    assert found.shape == (14, 420, 610)
    nothing = tf.zeros(14)
    cut = list(tiles(published_1_2_rows(frame), frame.shape, PublishedTiling()))
    assert len(cut) == 2 * 3
    for tile in cut[1:4:2]:
        rows, columns = (slice(s.first, s.last) for s in (tile.rows, tile.columns))
        arguments = [tile.pixels[np.newaxis], tf.range(14), nothing, nothing, nothing]
        expected = model(arguments, False).numpy()[0][tile.inner]
        difference = np.moveaxis(found[:, rows, columns], 0, -1) - expected
        assert np.abs(difference).max() < 1e-4
    assert found[0, 50:90].max() > 0.5
    assert found[2, 100:300, 505].mean() > 0.5


@pytest.mark.filterwarnings("error")
def test_sky_without_noise_is_answered_as_published(release, frame):
    """Where the noise is zero the network is given NaN and infinities."""
    image = np.ones((420, 401), "f4")
    image[:, 300:] = frame[:, 300:401] / 2000
    rows = published_1_2_rows(image)
    (tile, *_) = tiles(rows, image.shape, PublishedTiling())
    assert not np.isfinite(tile.pixels).all()
    nothing = np.zeros(14, "f4")
    model = import_tensorflow().saved_model.load(str(release / "maximask" / "model"))
    arguments = [tile.pixels[np.newaxis], np.arange(14, dtype="i4"), nothing, nothing, nothing]
    expected = model(arguments, False).numpy()[0][tile.inner]
    found = networks.loaded(release, "mask").masks(NAMES)([tile])[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


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


def test_blocks_answer_as_their_tiles_do(release, frame):
    """Also where a tile of the block holds what is not finite, or comes soon after another."""
    rows = published_1_2_rows(np.tile(frame, (2, 2)))
    pixels = rows(0, 800)[:, 100:1148].copy()
    pixels[10, 1040] = np.inf
    network = networks.loaded(release, "mask")
    answer = network.masks(("CR", "BG", "TRL"))
    # Blocks without an edge of the image, with all of them, and of an image that goes on.
    for rows, columns in (((100, 700), (100, 948)), ((0, 800), (0, 1048)), ((0, 650), (0, 1048))):
        found = answer([Tile(pixels, Span(0, 800, *rows), Span(0, 1048, *columns))])[0]
        assert found.shape == (rows[1] - rows[0], columns[1] - columns[0], 3)
        for top, *y in ((0, rows[0], 300), (400, 500, rows[1])):
            for left, *x in ((0, columns[0], 300), (600, 700, 748), (648, 748, columns[1])):
                spans = Span(top, top + 400, *y), Span(left, left + 400, *x)
                tile = Tile(pixels[top : top + 400, left : left + 400], *spans)
                place = tuple(
                    slice(first - begin, last - begin)
                    for (first, last), (begin, _) in zip((y, x), (rows, columns), strict=True)
                )
                np.testing.assert_allclose(found[place], answer([tile])[0], atol=1e-6)


def test_fast_form_serves_classes_in_any_order(release, frame):
    network = networks.loaded(release, "mask")
    (tile, *_) = tiles(published_1_2_rows(frame), frame.shape, PublishedTiling())
    both = network.masks(("DCL", "CR"))([tile])[0]
    np.testing.assert_array_equal(both[..., 1], network.masks(("CR",))([tile])[0][..., 0])


def test_tracking_is_the_mean_of_the_modified_answers(release):
    tf = import_tensorflow()
    image = np.random.default_rng(1).normal(1000, 10, (850, 430)).astype("f4")
    image[200::50, 60::50] += 2000
    model = tf.saved_model.load(str(release / "maxitrack" / "model"))
    # Whole tiles, what is left over being at the start.
    rows = published_1_2_rows(image)(0, 850)
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
    x = published_1_0_rows(image)(0, 450)[..., 0]
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
