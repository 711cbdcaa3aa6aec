"""What masks are asked for: classes, priors, thresholds, growth, and the form they take."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from maxitools.classes import BY_NAME, selected
from maxitools.decisions import Growth, joined
from maxitools.inference import mask_strips


class TaskError(ValueError):
    """What a network cannot do, or what leaves nothing to do."""


@dataclass(frozen=True)
class Task:
    """
    What masks are asked for.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes, in the order of the planes.
    priors, thresholds : dict or None
        By class name; None where that step is off.
    growth : int
        Pixels by which every class but the background is grown, in rows and columns.
    codes : dict or None
        Value of each class in one map, by name; None for a map for each class.
    """

    classes: tuple
    priors: dict = None
    thresholds: dict = None
    growth: int = 0
    codes: dict = None

    @property
    def dtype(self):
        """Type of the masks: the smallest that holds their values, int16 at least for bits."""
        if self.thresholds is None:
            return np.dtype("f4")
        if self.codes is None:
            return np.dtype("u1")
        types = ("i2", "i4") if self.has_bits else ("u1", "i2", "i4")
        return next(np.dtype(t) for t in types if max(self.codes.values()) <= np.iinfo(t).max)

    @property
    def has_bits(self):
        """Whether one map tells the classes apart."""
        return self.codes is not None and all(c == BY_NAME[n].code for n, c in self.codes.items())

    def shape(self, image):
        """Shape of the masks of an HDU whose shape is `image`."""
        return image if self.codes is not None else (len(self.classes), *image)

    def strips(self, network, batch_size=8):
        """
        The function that gives the masks of images, strip by strip, before they are `shaped`.

        Parameters
        ----------
        network : maxitools.network.Network
        batch_size : int
            Tiles per network call.

        Returns
        -------
        callable
            `maxitools.inference.mask_strips`, of images alone.
        """
        growth = None
        if self.growth:
            grows = [BY_NAME[name].code > 0 for name in self.classes]
            growth = partial(Growth, self.growth, grows)
        return partial(
            mask_strips,
            recipe=network.recipe,
            answer=network.masks(self.classes, self.priors, self.thresholds),
            batch_size=batch_size,
            growth=growth,
        )

    def shaped(self, planes):
        """
        Masks in the form that is asked for.

        Parameters
        ----------
        planes : ndarray, (C, ...)
            One map for each class.

        Returns
        -------
        ndarray, (C, ...) or (...)
        """
        if self.codes is None:
            return planes
        return joined(planes, [self.codes[name] for name in self.classes], self.dtype)


def task_for(
    recipe,
    wanted=None,
    priors=None,
    thresholds=None,
    prior_modif=True,
    proba_thresh=True,
    grow=0,
    single_mask=False,
    flag_value=None,
):
    """
    Put a task together, with a network's defaults.

    Parameters
    ----------
    recipe : maxitools.network.Recipe
        Of the network.
    wanted : sequence of str, optional
        Classes, as from `maxitools.classes.selection`; all when not given.
    priors, thresholds : dict, optional
        By class name: those that are not the network's defaults.
    prior_modif, proba_thresh, single_mask : bool
        As the arguments of these names.
    grow : int
        Pixels to grow by.
    flag_value : int, optional
        Value of a pixel in any class, in one map.

    Returns
    -------
    Task

    Raises
    ------
    TaskError
        When the network does not know a class, or none is left.
    """
    try:
        classes = selected(wanted or ("all",), recipe.classes)
    except KeyError as error:
        raise TaskError(f"the network does not know the class {error.args[0]}") from None
    if not classes:
        raise TaskError("no class is selected")
    codes = None
    if single_mask or flag_value:
        codes = {name: BY_NAME[name].code for name in classes}
    if flag_value:
        codes = {name: flag_value if code else 0 for name, code in codes.items()}
    return Task(
        classes,
        {**recipe.default_priors, **(priors or {})} if prior_modif else None,
        {**recipe.thresholds, **(thresholds or {})} if proba_thresh else None,
        grow,
        codes,
    )
