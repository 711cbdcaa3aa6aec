"""Where networks run; starting TensorFlow, quietly, where one needs it."""

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def silent_stderr():
    """Send what libraries write to file descriptor 2, past Python, to nowhere."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)


@contextmanager
def _without_keras():
    """Keep TensorFlow from importing Keras along: much of the time, and not used here."""
    # Told to look for an older Keras, TensorFlow goes on when it finds none.
    key = "TF_USE_LEGACY_KERAS"
    saved = os.environ.get(key)
    os.environ[key] = "1"
    try:
        yield
    finally:
        del os.environ[key]
        if saved is not None:
            os.environ[key] = saved


class NoGpuError(RuntimeError):
    """A GPU is asked for, and there is none that TensorFlow can use."""


def import_tensorflow(threads=None, device="auto"):
    """
    Import TensorFlow, quietly.

    Parameters
    ----------
    threads : int, optional
        CPU threads that its operations may use; all cores when not given. Only the
        first call in a process decides.
    device : {"auto", "cpu", "gpu"}
        What it may use: any GPU there is, none, or one by all means. Only the first call in a
        process hides the GPU.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        When it is not installed.
    NoGpuError
        When there has to be a GPU and it finds none.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with silent_stderr(), _without_keras():
            try:
                import tensorflow as tf
            except ModuleNotFoundError as error:
                if error.name != "tensorflow":
                    raise
                message = "this needs TensorFlow, which is not installed: pip install tensorflow"
                raise ImportError(message) from None
            if threads:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(1)
            if device == "cpu":
                tf.config.set_visible_devices([], "GPU")
            for gpu in tf.config.get_visible_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
            tf.get_logger().setLevel("ERROR")
            tf.zeros(())  # starts the devices, which write a greeting
    import tensorflow as tf

    if device == "gpu" and not tf.config.get_visible_devices("GPU"):
        raise NoGpuError("TensorFlow finds no GPU that it can use")
    return tf


def tensorflow_on_gpu(threads=None, device="auto"):
    """
    TensorFlow where a GPU is to be used, without importing it where none is.

    Parameters
    ----------
    threads, device
        As for `import_tensorflow`.

    Returns
    -------
    module or None

    Raises
    ------
    ImportError, NoGpuError
        When there has to be a GPU, as by `import_tensorflow`.
    """
    if device == "gpu":
        return import_tensorflow(threads, device)
    if device == "cpu" or not _gpu_devices():
        return None
    try:
        tf = import_tensorflow(threads)
    except ImportError:
        return None
    return tf if tf.config.get_visible_devices("GPU") else None


def _gpu_devices():
    """Files that the drivers of NVIDIA and of AMD make; an import would take seconds to tell."""
    return [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("kfd")]
