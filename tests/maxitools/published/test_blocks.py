"""The fast form of the published networks, against the slow one."""

import numpy as np
import pytest

import maximask
from maxitools import networks
from maxitools.classes import NAMES
from maxitools.published.normalisation import normalise_1_0, normalise_1_2
from maxitools.published.tiling import PublishedTiling
from maxitools.published.unpooling import read_layers
from maxitools.runtime import import_tensorflow
from maxitools.tiling import Span, Tile, tiles


def test_probabilities_are_those_of_the_graph_as_published(release, frame):
    """Tile by tile, the answers of the fast form are those of the slow one."""
    tf = import_tensorflow()
    model = tf.saved_model.load(str(release / "maximask" / "model"))
    found = maximask.probabilities(frame, release)
    assert found.shape == (14, 420, 610)
    nothing = tf.zeros(14)
    cut = list(tiles(normalise_1_2(frame), frame.shape, PublishedTiling()))
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
    rows = normalise_1_2(image)
    (tile, *_) = tiles(rows, image.shape, PublishedTiling())
    assert not np.isfinite(tile.pixels).all()
    nothing = np.zeros(14, "f4")
    model = import_tensorflow().saved_model.load(str(release / "maximask" / "model"))
    arguments = [tile.pixels[np.newaxis], np.arange(14, dtype="i4"), nothing, nothing, nothing]
    expected = model(arguments, False).numpy()[0][tile.inner]
    found = networks.loaded(release, "mask").masks(NAMES)([tile])[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_blocks_answer_as_their_tiles_do(release, frame):
    """Also where a tile of the block holds what is not finite, or comes soon after another."""
    rows = normalise_1_2(np.tile(frame, (2, 2)))
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
    (tile, *_) = tiles(normalise_1_2(frame), frame.shape, PublishedTiling())
    both = network.masks(("DCL", "CR"))([tile])[0]
    np.testing.assert_array_equal(both[..., 1], network.masks(("CR",))([tile])[0][..., 0])


def test_checkpoints_answer_blocks_as_they_answer_tiles(checkpoint, frame):
    network = networks.find(checkpoint, "mask").load()
    assert read_layers(network._constant_graph())
    found = maximask.probabilities(frame, checkpoint, classes=("TRL", "CR"))
    indices = [NAMES.index("CR"), NAMES.index("TRL")]
    cut = list(tiles(normalise_1_0(frame), frame.shape, PublishedTiling()))
    for tile in cut:
        expected = network._probabilities(tile.pixels[np.newaxis], indices)[0][tile.inner]
        rows, columns = (slice(s.first, s.last) for s in (tile.rows, tile.columns))
        np.testing.assert_allclose(np.moveaxis(found[:, rows, columns], 0, -1), expected, atol=1e-5)
    assert found.std() > 0.1
