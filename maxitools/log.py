"""A log of runs: a JSON object a line, for each HDU and each file; docs/log.md tells its fields."""

import json
import socket
import time
from pathlib import Path

from maxitools.atomic import append_line, check_growth


class Log:
    """
    A file that several processes may append lines to.

    Parameters
    ----------
    path : path-like
        The file, made if missing.
    command : str
        Which writes.
    network : str
        What to call the network.

    Raises
    ------
    OSError
        Here and when written to, when the file cannot be written.
    """

    def __init__(self, path, command, network):
        check_growth(path)
        self._path, self._command, self._network = path, command, network
        self._host = socket.gethostname()

    def write(self, source, status, hdus=(), **fields):
        """
        Write the lines of an input.

        Parameters
        ----------
        source : maxitools.inputs.Input
        status : {"done", "failed", "skipped"}
        hdus : iterable of dict
            Fields of the line of each of its HDUs.
        **fields
            Of the line of the file.
        """
        common = {
            "command": self._command,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "host": self._host,
            "path": source.given,
            "file": str(Path(source.path).absolute()),
        }
        for hdu in hdus:
            self._append({"type": "hdu", **common, **hdu, "network": self._network})
        empty = dict.fromkeys(("message", "output", "preview", "seconds"))
        self._append({"type": "file", **common, "status": status, **empty, **fields})

    def _append(self, record):
        append_line(self._path, json.dumps(record))
