"""Files that appear whole, or not at all, and files that grow by whole lines."""

import errno
import fcntl
import os
import re
import resource
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# What is being written has this name, with the host of its writer, until it is whole.
_PART = re.compile(r"\.maximask\.(?P<host>.+)\.[0-9a-f]{16}\.part")
# Nobody writes for so long without a pause; in seconds.
_FORGOTTEN = 86400
_unfinished = set()


@contextmanager
def whole_file(path):
    """
    Write a file under another name in the same folder, until it is complete.

    Parameters
    ----------
    path : path-like
        Where it appears, when the context ends without an error; it is on the disk by then.

    Yields
    ------
    file object
        Open for writing bytes.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    path = Path(path)
    # A name that is too long, or that of a folder, costs no work yet.
    if path.is_dir():
        raise _error(errno.EISDIR, os.fspath(path))
    file, part = _open_part(path.parent)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(part, path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)
        _unfinished.discard(part)


def _open_part(folder):
    """A new file, locked for as long as it is open."""
    while True:
        part = folder / f".maximask.{os.uname().nodename}.{secrets.token_hex(8)}.part"
        _unfinished.add(part)
        file = open(part, "xb")  # noqa: SIM115
        # Not every file system has locks.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Before it was locked, another run may have taken it for forgotten.
        if os.fstat(file.fileno()).st_nlink:
            return file, part
        file.close()
        _unfinished.discard(part)


def _sync(folder):
    """Have new names on the disk as well, where the file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_unfinished():
    """Remove what this process has begun to write, when it has to end before it is whole."""
    while _unfinished:
        with suppress(OSError):
            _unfinished.pop().unlink()


def remove_forgotten(folder):
    """
    Remove what writers left in a folder that were killed.

    Parameters
    ----------
    folder : path-like
    """
    with suppress(OSError):
        for name in os.listdir(folder):
            if match := _PART.fullmatch(name):
                _remove_if_left(Path(folder, name), match["host"])


def _remove_if_left(part, host):
    """Remove a file that nobody writes: the writer holds a lock, where hosts share locks."""
    with suppress(OSError):
        handle = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            age = time.time() - os.fstat(handle).st_mtime
            if host == os.uname().nodename or age > _FORGOTTEN:
                part.unlink()
        finally:
            os.close(handle)


def check_room(folder):
    """
    See what can be seen beforehand of whether files can be written to a folder.

    Parameters
    ----------
    folder : path-like

    Raises
    ------
    OSError
        When they cannot.
    """
    folder = os.fspath(folder)
    # Why not is told by trying.
    os.stat(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        raise _error(errno.EROFS if read_only else errno.EACCES, folder)
    if os.statvfs(folder).f_bavail == 0:
        raise _error(errno.ENOSPC, folder)


def check_growth(path):
    """
    See what can be seen beforehand of whether lines can be appended to a file.

    Parameters
    ----------
    path : path-like
        It need not exist.

    Raises
    ------
    OSError
        When they cannot.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))
        size = os.stat(path).st_size
    except FileNotFoundError:
        try:
            check_room(Path(path).parent)
        except OSError as error:
            raise _error(error.errno, os.fspath(path)) from None
        size = 0
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and limit <= size:
        raise _error(errno.EFBIG, os.fspath(path))


def append_line(path, line):
    """
    Append a line to a file that other processes may append to at the same time.

    Parameters
    ----------
    path : path-like
        Made if missing.
    line : str
        Without its end.

    Raises
    ------
    OSError
        When it cannot be written, and then nothing of it is.
    """
    data = (line + "\n").encode(errors="surrogateescape")
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        # Not every file system has locks; lines that are appended by one call hardly ever mix.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            data = b"\n" + data
        if os.write(handle, data) < len(data):
            os.ftruncate(handle, size)
            raise _error(errno.ENOSPC, os.fspath(path))
    finally:
        os.close(handle)


def _error(number, path):
    return OSError(number, os.strerror(number), path)
