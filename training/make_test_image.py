"""
Make the repository's test image: ``python -m training.make_test_image test_im.fits.fz``.

That which ships was made at commit 59d5d59: simulators since draw other scenes of a seed. Its
masks, ``test_out.fits.fz``, are what ``maximask test_im.fits.fz --compress`` gives.
"""

import argparse

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from training.simulation.optics import random_psf
from training.simulation.scenes import Detector, Sources, draw_scene

SHAPE = 900, 1100
CCD = Detector(sky=900.0, read_noise=6.0, well=60000.0, infrared=False)
INFRARED = Detector(sky=4000.0, read_noise=20.0, well=60000.0, infrared=True)
# Together the extensions hold every class; stars and their spikes are in all of them.
EXTENSIONS = {
    "CCD1": (CCD, {"CR", "HCL", "HP", "OV", "BBG"}),
    "CCD2": (CCD, {"CR", "TRL", "DCL", "DP"}),
    "CCD3": (CCD, {"CR", "NEB", "clusters", "HP"}),
    "CCD4": (CCD, {"CR", "FR", "HCL", "DCL"}),
    "IR1": (INFRARED, {"P", "HP", "DP", "TRL"}),
}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.make_test_image")
    parser.add_argument("path")
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args(arguments)

    rng = np.random.default_rng(options.seed)
    psf = random_psf(rng, fwhm=3.2, vanes=4, aberrations={"share": 0.0})
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = "Simulated field"
    primary.header["TELESCOP"] = "Simulator"
    primary.header["DATE-OBS"] = "2026-01-01T00:00:00"
    primary.header["EXPTIME"] = (300.0, "[s]")
    hdus = fits.HDUList([primary])
    for number, (name, (detector, contents)) in enumerate(EXTENSIONS.items()):
        image = np.array([0.5])
        while (image != np.rint(image)).any() or image.min() < 0 or image.max() > 65535:
            # Until the camera that is drawn writes raw 16-bit integers.
            image, _, _ = draw_scene(rng, SHAPE, Sources(), psf, detector, contents=contents)
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
        wcs.wcs.crval = 150.0, 2.0
        wcs.wcs.crpix = SHAPE[1] * (0.5 - number % 2 * 1.05), SHAPE[0] * (0.5 - number // 2 * 1.05)
        wcs.wcs.cdelt = -0.25 / 3600, 0.25 / 3600
        header = wcs.to_header()
        header["FILTER"] = "H" if detector.infrared else "i"
        hdus.append(
            fits.CompImageHDU(image.astype(np.uint16), header, name, compression_type="RICE_1")
        )
    hdus.writeto(options.path, overwrite=True, checksum=True)


if __name__ == "__main__":
    main()
