"""What FITS files and files of masks are called, and where masks go."""

import re
from dataclasses import dataclass
from pathlib import Path

FITS = re.compile(r"\.(fits?|fts)(\.(fz|gz))?$", re.IGNORECASE)
# Those of ours, and those of the published programs.
_KNOWN = (".masks", ".mask")
# Of files that are plain, zipped as a whole, and compressed tile by tile.
ENDINGS = (".fits", ".fits.gz", ".fits.fz")


@dataclass(frozen=True)
class MaskNames:
    """
    Names of the files of masks.

    Attributes
    ----------
    suffix : str
        What follows the name of the image; after it comes the number of the HDU, where one
        alone was asked for.
    folder : path-like, optional
        Where the files go; beside each image when not given.
    ending : str
        Of `ENDINGS`: what comes last, which says how the file is written.
    """

    suffix: str = ".masks"
    folder: object = None
    ending: str = ".fits"

    def path(self, source):
        """
        Where the masks of an input go.

        Parameters
        ----------
        source : maxitools.inputs.Input

        Returns
        -------
        Path
            `file.masks.fits`, or `file.masks<n>.fits` for one HDU.
        """
        number = "" if source.hdu is None else source.hdu
        name = f"{FITS.sub('', source.path.name)}{self.suffix}{number}{self.ending}"
        return (source.path.parent if self.folder is None else Path(self.folder)) / name

    def picture(self, source):
        """Where the picture of an input goes: beside the masks."""
        path = self.path(source)
        return path.with_name(FITS.sub(".png", path.name))

    def include(self, name):
        """Whether a file's name is that of masks: these, ours or the published programs'."""
        suffixes = "|".join(map(re.escape, {self.suffix, *_KNOWN}))
        return bool(re.search(rf"({suffixes})\d*$", FITS.sub("", name), re.IGNORECASE))


DEFAULT = MaskNames()


def suffix(text):
    """
    Read a suffix as a user gives it, `.masks` or with an ending, `.masks.fits.gz`.

    Parameters
    ----------
    text : str

    Returns
    -------
    suffix : str
        Without the ending.
    ending : str or None
        Of `ENDINGS`; None where it is left open.

    Raises
    ------
    ValueError
        When files of masks would lose their names or their folder by it.
    """
    stem, ending = re.fullmatch(r"(.*?)(\.fits(?:\.fz|\.gz)?|\.fz|\.gz)?", text, re.DOTALL).groups()
    if "/" in text or not re.search("[a-z]", stem, re.IGNORECASE):
        raise ValueError(f"expected a suffix with a letter and without a slash, found '{text}'")
    return stem, ending and f".fits{ending.removeprefix('.fits')}"
