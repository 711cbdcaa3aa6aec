"""What FITS files and files of masks are called, and where masks go."""

import re
from dataclasses import dataclass
from pathlib import Path

FITS = re.compile(r"\.(fits?|fts)(\.(fz|gz))?$", re.IGNORECASE)
# Those of ours, and those of the published programs.
_KNOWN = (".masks", ".mask")


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
    """

    suffix: str = ".masks"
    folder: object = None

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
        name = f"{FITS.sub('', source.path.name)}{self.suffix}{number}.fits"
        return (source.path.parent if self.folder is None else Path(self.folder)) / name

    def include(self, name):
        """Whether a file's name is that of masks: these, ours or the published programs'."""
        suffixes = "|".join(map(re.escape, {self.suffix, *_KNOWN}))
        return bool(re.search(rf"({suffixes})\d*$", FITS.sub("", name), re.IGNORECASE))


DEFAULT = MaskNames()


def suffix(text):
    """
    A suffix as a user gives it.

    Raises
    ------
    ValueError
        When files of masks would lose their names or their folder by it.
    """
    if "/" in text or not re.search("[a-z]", text, re.IGNORECASE):
        raise ValueError(f"expected a suffix with a letter and without a slash, found '{text}'")
    return text
