"""The networks of a release, and an image to give them."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest


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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A mask network with the operations of releases 1.0 and 1.1, and small random weights."""
    from maxitools.runtime import import_tensorflow

    v1 = import_tensorflow().compat.v1
    prefix = tmp_path_factory.mktemp("checkpoint") / "model-150000"
    rng = np.random.default_rng(4)

    def convolve(x, depth):
        kernel = rng.normal(0, 0.3, (3, 3, x.shape[-1], depth)).astype("f4")
        kernel, bias = v1.Variable(kernel), v1.Variable(rng.normal(0, 0.1, depth).astype("f4"))
        return v1.nn.conv2d(x, kernel, 1, "SAME") + bias

    def unpool(x, where, size):
        batch = v1.reshape(v1.range(v1.shape(x, out_type="int64")[0]), (-1, 1, 1, 1))
        batch = v1.reshape(v1.ones_like(where) * batch, (-1, 1))
        where = v1.concat([batch, v1.reshape(where, (-1, 1))], 1)
        size = v1.shape(size, out_type="int64")
        flat = v1.stack([size[0], size[1] * size[2] * size[3]])
        return v1.reshape(v1.scatter_nd(where, v1.reshape(x, (-1,)), flat), size)

    with v1.Graph().as_default(), v1.Session() as session:
        pixels = v1.placeholder("float32", (None, None, None, 1), "rinputs")
        flags = v1.placeholder("int32", (None,), "flags")
        x, levels = v1.asinh(pixels), []
        for _ in range(4):
            x = before = v1.nn.relu(convolve(x, 4))
            x, where = v1.nn.max_pool_with_argmax(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
            levels.append((before, where))
        x = v1.nn.relu(convolve(x, 4))
        for before, where in reversed(levels):
            x = v1.nn.relu(convolve(unpool(x, where, before) + before, 4))
        logits = convolve(v1.concat([x, levels[0][0]], -1), 14)
        found = v1.gather(v1.sigmoid(v1.reshape(logits, (-1, 14))), flags, axis=-1)
        size = v1.shape(pixels)
        found = v1.reshape(found, (-1, size[1], size[2], v1.shape(flags)[0]))
        v1.transpose(found, (0, 3, 1, 2), name="fpredictions")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(prefix))
    return prefix.parent
