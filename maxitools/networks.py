"""A directory -> the network in it; the only module that knows all kinds."""

from pathlib import Path

from maxitools.frozen import FrozenNetwork
from maxitools.network import NetworkError
from maxitools.published.networks import CheckpointNetwork, SavedModelNetwork

KINDS = (FrozenNetwork, SavedModelNetwork, CheckpointNetwork)


def find(net_path, task):
    """
    Find a network and read how it wants to be used; TensorFlow is not imported.

    Parameters
    ----------
    net_path : path-like
        A network's own directory, or one that holds those of both commands.
    task : {"mask", "track"}
        Which of the commands it is for.

    Returns
    -------
    maxitools.network.Network
        Not loaded yet.

    Raises
    ------
    NetworkError
        When there is no such network, or its description is not understood.
    """
    net_path = Path(net_path)
    if not net_path.is_dir():
        raise NetworkError(f"{net_path}: no such network directory")
    command = {"mask": "maximask", "track": "maxitrack"}[task]
    for folder in (net_path, net_path / command, net_path / command / "model"):
        for kind in KINDS:
            for mark in kind.marks(task):
                if (folder / mark).exists():
                    return kind.read(folder / mark, task)
    *others, last = (kind.marks(task)[0] for kind in KINDS)
    raise NetworkError(
        f"{net_path}: holds no network for {command}; expected {', '.join(others)} or {last}"
    )


_loaded = {}


def loaded(net_path, task, threads=None, device="auto"):
    """
    A network that is found and loaded; the last one of each task is kept.

    Parameters
    ----------
    net_path, task
        As for `find`.
    threads, device
        As for `maxitools.network.Network.load`.

    Returns
    -------
    maxitools.network.Network

    Raises
    ------
    NetworkError
        When there is none, or it cannot be read.
    """
    key = Path(net_path).resolve(), threads, device
    if task not in _loaded or _loaded[task][0] != key:
        _loaded[task] = key, find(net_path, task).load(threads, device)
    return _loaded[task][1]
