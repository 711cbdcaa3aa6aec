#!/usr/bin/env python3
"""
Draw images and, beside each, the classes of its masks in colour.

    python benchmarks/overlay.py test_im.fits.fz test_im.masks.fits docs/test_im.png
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import numpy as np
from astropy.io import fits
from astropy.visualization import AsinhStretch, ImageNormalize, ZScaleInterval
from matplotlib import pyplot as plt
from matplotlib.patches import Patch

# Backgrounds first, so that what is small is drawn over what is large.
DRAWN = ("FR", "NEB", "BBG", "OV", "P", "TRL", "SP", "SAT", "DCL", "HCL", "DP", "HP", "CR")


def overlay(image_path, masks_path, picture_path):
    """
    Draw the 2-D images of a file beside their masks.

    Parameters
    ----------
    image_path, masks_path : path-like
        An image file, and the masks of it, one plane a class.
    picture_path : path-like
        The picture to write.
    """
    colours = dict(zip(DRAWN, plt.get_cmap("tab20").colors, strict=False))
    with fits.open(image_path) as images, fits.open(masks_path) as masks:
        pairs = [
            (i, m) for i, m in zip(images, masks, strict=True) if i.is_image and i.data is not None
        ]
        rows = len(pairs)
        figure, axes = plt.subplots(rows, 2, figsize=(11, 4.6 * rows), squeeze=False)
        for (image, mask), (left, right) in zip(pairs, axes, strict=True):
            names = [mask.header[f"M{k + 1}"].split(":")[0] for k in range(len(mask.data))]
            norm = ImageNormalize(image.data, ZScaleInterval(), stretch=AsinhStretch(0.3))
            for axis in (left, right):
                axis.imshow(image.data, norm=norm, cmap="gray", origin="lower")
                axis.set(xticks=[], yticks=[])
            left.set_title(image.name)
            colour = np.zeros((*image.data.shape, 4))
            for name in (name for name in DRAWN if name in names):
                opacity = 0.35 if name in ("FR", "NEB", "BBG") else 1.0
                colour[mask.data[names.index(name)] > 0] = (*colours[name], opacity)
            right.imshow(colour, origin="lower", interpolation="nearest")
        patches = [Patch(color=colours[name], label=name) for name in DRAWN]
        figure.legend(handles=patches, loc="lower center", ncols=len(DRAWN), fontsize=8)
        figure.tight_layout(rect=(0, 0.02, 1, 1))
        figure.savefig(picture_path, dpi=60)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw images beside their masks.")
    parser.add_argument("image")
    parser.add_argument("masks")
    parser.add_argument("picture")
    chosen = parser.parse_args()
    overlay(chosen.image, chosen.masks, chosen.picture)
