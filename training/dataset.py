"""A folder of scenes as the batches of a task, while scenes are still being made."""

import keras
import numpy as np
from tqdm import tqdm


def scene_paths(folder):
    """
    The scenes in a folder and in those below it.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of Path
        In order.

    Raises
    ------
    ValueError
        If there are none.
    """
    paths = sorted(folder.rglob("*.npz"))
    if not paths:
        raise ValueError(f"{folder}: no scenes (*.npz) here; training.simulate makes them")
    return paths


class SceneFolder(keras.utils.PyDataset):
    """
    Batches from the scenes of a folder; a task says what it keeps of one, and what a batch is.

    Scenes that appear in the folder later join at the start of an epoch.

    Parameters
    ----------
    folder : Path
        Scenes from `training.simulate`.
    steps : int
        Batches per epoch.
    seed : int

    Raises
    ------
    ValueError
        If the folder holds no scenes, or some that the task cannot use.
    """

    def __init__(self, folder, steps, seed):
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self.folder, self.steps = folder, steps
        self.rng = np.random.default_rng(seed)
        self.scenes = {}
        self.on_epoch_end()

    def on_epoch_end(self):
        """Read the scenes that are new."""
        new = [path for path in scene_paths(self.folder) if path not in self.scenes]
        for path in tqdm(new, unit="scene", desc="reading", disable=None, leave=False):
            with np.load(path) as scene:
                try:
                    self.scenes[path] = self.keep(scene)
                except ValueError as error:
                    raise ValueError(f"{path}: {error}") from None
        self.paths = sorted(self.scenes)

    def keep(self, scene):
        """What to hold in memory of a scene, an open ``npz`` file."""
        raise NotImplementedError

    def __len__(self):
        return self.steps
