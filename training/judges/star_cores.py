"""How many sharp stars a mask network takes for cosmic rays.

``python -m training.judges.star_cores [--net_path NETWORK ...]``: star fields without any cosmic
ray, drawn with GalSim, of several sharpnesses, profiles and skies. Needs the [training] extra.
"""

import argparse

import galsim
import numpy as np

import maximask
from maxitools.classes import NAMES
from training.simulation.fields import add_stamp

SIDE, STAMP = 800, 41
WIDTHS = 1.5, 1.6, 1.7, 1.8, 2.0, 2.5
READ_NOISE, WELL = 5.5, 65000  # electrons


def profiles(fwhm):
    """Point-spread functions of this FWHM in pixels, within some per cent."""
    # What the pixel, integrated over, adds in quadrature.
    seeing = np.sqrt(fwhm**2 - 0.6)
    optics = galsim.Airy(lam_over_diam=0.7 * seeing, obscuration=0.3)
    shapes = [
        galsim.Moffat(beta=2.5, fwhm=seeing),
        galsim.Moffat(beta=4, fwhm=seeing),
        galsim.Kolmogorov(fwhm=seeing),
        galsim.Gaussian(fwhm=seeing),
        galsim.Convolve(optics, galsim.Gaussian(fwhm=0.6 * seeing)),
        galsim.Moffat(beta=3, fwhm=seeing).shear(g1=0.05),
    ]
    return [galsim.Convolve(shape, galsim.Pixel(1)) for shape in shapes]


def star_field(rng, psf):
    """
    Draw 300 stars on an empty sky.

    Returns
    -------
    image : ndarray, float32, (SIDE, SIDE)
        Electrons.
    cores : list of tuple of ndarray
        Rows and columns of the pixels above half the maximum of each star, the brightest first;
        of stars that stand out by 10 times the noise and do not saturate.
    """
    light, cores = np.zeros((SIDE, SIDE)), []
    sky = 10 ** rng.uniform(1.3, 3.8)
    noise = np.sqrt(sky + READ_NOISE**2)
    for flux in 9 * noise * (1 + rng.pareto(0.8, 300)).clip(0, 3e3):
        row, column = rng.integers(STAMP, SIDE - STAMP, 2)
        stamp = psf.withFlux(flux).drawImage(
            nx=STAMP, ny=STAMP, scale=1, method="no_pixel", offset=rng.uniform(-0.5, 0.5, 2)
        )
        add_stamp(light, stamp.array, row, column)
        if 10 * noise < stamp.array.max() < 0.8 * WELL:
            y, x = np.nonzero(stamp.array > stamp.array.max() / 2)
            order = np.argsort(-stamp.array[y, x])
            cores.append((y[order] + row - STAMP // 2, x[order] + column - STAMP // 2))
    electrons = rng.poisson(np.maximum(light, 0) + sky) + rng.normal(0, READ_NOISE, light.shape)
    return np.minimum(electrons, WELL).astype(np.float32), cores


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--net_path", action="append", help="a network; again for another")
    options = parser.parse_args()
    print(
        "| network | FWHM | stars | brightest pixel called CR | any of the core | share of pixels |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for network in options.net_path or [None]:
        for fwhm in WIDTHS:
            rng = np.random.default_rng(int(10 * fwhm))
            stars, called = [], []
            for psf in profiles(fwhm):
                image, cores = star_field(rng, psf)
                rays = maximask.mask(image, network)[NAMES.index("CR")] > 0
                stars += [(rays[y[0], x[0]], rays[y, x].any()) for y, x in cores]
                called.append(rays.mean())
            peak, some = np.sum(stars, axis=0)
            print(
                f"| {network or 'shipped'} | {fwhm} | {len(stars)} | {peak} | {some} "
                f"| {np.mean(called):.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
