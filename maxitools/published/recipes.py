"""What the published networks were made for: normalisation, tiling, priors, thresholds."""

from maxitools.classes import NAMES
from maxitools.network import Recipe
from maxitools.published.normalisation import normalise_1_0, normalise_1_2
from maxitools.published.tiling import PublishedTiling, WholeTiling

# In the order of the classes.
# fmt: off
_RELEASE_1_0 = {
    "training_priors": (.0154, .0102, .0376, .0009, .0013, .0143, .0693, .1776, .1921, .0024,
                        .0352, .0290, .1016, .4343),
    "default_priors": (.0007, .0008, .0080, 1e-6, 1e-6, 1e-5, .006, .01, .01, .0016, .013, .005,
                       .07, .90),
    "thresholds": (.51, .52, .50, .23, .99, .66, .55, .62, .45, .78, .41, .37, .49, .33),
}
_RELEASE_1_2 = {
    "training_priors": (.010, .009, .036, .001, .001, .010, .103, .126, .171, .002, .044, .118,
                        .126, .395),
    "default_priors": (.0005, 1e-5, 1e-4, 1e-6, 1e-6, .001, .001, .001, .001, .001, .005, .005,
                       .1, .9),
    "thresholds": (.43, .60, .74, .43, .99, .65, .28, .76, .56, .81, .54, .55, .44, .27),
}
# fmt: on


def recipe_1_0(task):
    """The recipe of releases 1.0 and 1.1 for the task "mask" or "track"."""
    if task == "track":
        return Recipe(normalise_1_0, WholeTiling(400, centred=True))
    return _of_masks(normalise_1_0, _RELEASE_1_0)


def recipe_1_2(task):
    """The recipe of releases 1.2 to 1.4.1 for the task "mask" or "track"."""
    if task == "track":
        return Recipe(normalise_1_2, WholeTiling(400, centred=False))
    return _of_masks(normalise_1_2, _RELEASE_1_2)


def _of_masks(normalise, values):
    by_class = {key: dict(zip(NAMES, value, strict=True)) for key, value in values.items()}
    # These networks take some 2 kB a pixel; larger blocks save little more.
    return Recipe(normalise, PublishedTiling(5), NAMES, **by_class, most_pixels=2 * 400 * 400)
