"""
Make the pictures of previews and of a page in this folder.

``python -m docs.pictures`` needs what the tests need, and Chromium.
"""

import os
import subprocess
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits
from PIL import Image

import maximask
import maxireport
import maxitrack
from training.simulation.motions import random_motion
from training.simulation.optics import random_psf
from training.simulation.scenes import Detector, Sources, draw_scene

DOCS = Path(__file__).resolve().parent
EXPOSURES, SHAPE = 30, (400, 480)
CAMERA = Detector(sky=900.0, read_noise=6.0, well=60000.0, infrared=False)
# What may be in an exposure beside cosmic rays, and how often.
CONTENTS = {"TRL": 0.25, "BBG": 0.2, "NEB": 0.1, "P": 0.1}
# What the detectors always have.
DEFECTS = {
    "CCD1": {"HCL", "HP"},
    "CCD2": {"DCL", "DP"},
    "CCD3": {"HP", "OV"},
    "CCD4": {"HCL", "DP"},
}


def write_night(folder):
    """Write exposures of a night, some of which were badly tracked; the last one is cut off."""
    start = datetime(2026, 1, 1, 20)
    for number in range(EXPOSURES):
        rng = np.random.default_rng(number)
        psf = random_psf(rng, fwhm=rng.uniform(2.5, 3.5), vanes=4, aberrations={"share": 0.0})
        if rng.uniform() < 0.2:
            _, x, y = random_motion(rng, 3 * psf.fwhm)
            psf = psf.moved(x, y)
        contents = {"CR"} | {name for name, often in CONTENTS.items() if rng.uniform() < often}
        header = fits.Header({"DATE-OBS": (start + timedelta(minutes=19 * number)).isoformat()})
        header.update({"EXPTIME": 300.0, "FILTER": "gri"[number * 3 // EXPOSURES]})
        hdus = [fits.PrimaryHDU(header=header)]
        for place, (name, defects) in enumerate(DEFECTS.items()):
            image, _, _ = draw_scene(
                rng, SHAPE, Sources(), psf, CAMERA, contents=contents | defects
            )
            left, bottom = 1 + place % 2 * (SHAPE[1] + 20), 1 + place // 2 * (SHAPE[0] + 20)
            section = f"[{left}:{left + SHAPE[1] - 1},{bottom}:{bottom + SHAPE[0] - 1}]"
            hdus.append(fits.ImageHDU(image, fits.Header({"DETSEC": section}), name))
        fits.HDUList(hdus).writeto(folder / f"exposure{number:02d}.fits")
    last = folder / f"exposure{number:02d}.fits"
    os.truncate(last, last.stat().st_size // 2)


def keep(path, name):
    """Keep a picture in this folder, small enough to be sent along."""
    Image.open(path).convert("RGB").save(DOCS / name, quality=80, method=6)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.chdir(folder)
        for hdu in range(1, 5):
            image = f"{DOCS.parent}/test_im.fits.fz[{hdu}]"
            maximask.main([image, "--preview", "--out_dir", "."])
            keep(f"test_im.masks{hdu}.png", f"preview{hdu}.webp")
        write_night(folder)
        for command in (maximask, maxitrack):
            command.main([".", "--log", "night.log", *["--preview"] * (command is maximask)])
        maxireport.main(["night.log", "-o", "night.html"])
        flags = "--headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1400,1900"
        chromium = ["chromium", *flags.split(), "--screenshot=page.png", "night.html"]
        subprocess.run(chromium, check=True, stderr=subprocess.DEVNULL)
        keep("page.png", "page.webp")


if __name__ == "__main__":
    main()
