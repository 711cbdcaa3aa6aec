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
