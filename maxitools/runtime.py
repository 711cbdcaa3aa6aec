"""Starting TensorFlow, quietly."""

import os
import sys
from contextlib import contextmanager, suppress


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


def import_tensorflow(threads=None):
    """
    Import TensorFlow, quietly.

    Parameters
    ----------
    threads : int, optional
        CPU threads that its operations may use; all cores when not given. Only the
        first call in a process decides.

    Returns
    -------
    module
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with silent_stderr(), _without_keras():
            import tensorflow as tf

            if threads:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(1)
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
            tf.get_logger().setLevel("ERROR")
            tf.zeros(())  # starts the devices, which write a greeting
    import tensorflow as tf

    return tf
