"""The machine a worker runs on: which devices TensorFlow may use, and what is recorded with each trial.

May import: keras, tensorflow. Knows neither SQL nor Celery. TensorFlow is imported here first, in the process that
trains; nothing forks after it.
"""

import platform
from importlib.metadata import version
from typing import Any

import keras
import tensorflow as tf

from models.errors import UsageFault


def configure_devices(gpu: int | None) -> list[str]:
    """Take one GPU, or none, and only as much of its memory as is needed.

    Args:
        gpu: number of the GPU to use; None takes the first, where there is one; below 0 none is used.

    Returns:
        The devices in TensorFlow's short form: `["cpu:0"]`, or `["gpu:1", "cpu:0"]`.

    Raises:
        UsageFault: there is no such GPU.
    """
    found = tf.config.list_physical_devices("GPU")
    wanted = 0 if gpu is None else gpu
    if wanted >= len(found) and gpu is not None:
        raise UsageFault(f"there is no GPU {gpu} on this machine: TensorFlow finds {len(found)}; they count from 0")
    used = [found[wanted]] if 0 <= wanted < len(found) else []
    tf.config.set_visible_devices(used, "GPU")
    for device in used:
        tf.config.experimental.set_memory_growth(device, enable=True)
    return [f"gpu:{wanted}" for _ in used] + ["cpu:0"]


def library_versions() -> dict[str, str]:
    """What the numbers of a history depend on, beside spec and seed."""
    return {
        "fittingroom": version("fittingroom"),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "tensorflow": tf.__version__,
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def environment(devices: list[str]) -> dict[str, Any]:
    """What is recorded with each trial."""
    return library_versions() | {"device": devices[0]}
