"""The queues: which workers may take a cohort, by the device and by Keras's backend that it must have.

`gpu` is for whoever has a GPU, `gpu.jax` for those of them that train with JAX. A cohort whose experiment has begun
is always in one of the latter: another backend draws other first weights and rounds otherwise, so all trials of an
experiment train with the one that its first claim was made with.
"""

from collections.abc import Iterable

DEVICES = ("any", "cpu", "gpu")
_SEPARATOR = "."


def queue_of(device: str, backend: str | None) -> str:
    """Return the queue of cohorts that need a device and, if given, a backend."""
    return device if backend is None else f"{device}{_SEPARATOR}{backend}"


def queues_of(devices: Iterable[str], backend: str) -> list[str]:
    """Return the queues of a worker with these devices and this backend."""
    return sorted(queue for device in devices for queue in (device, queue_of(device, backend)))


def parts_of(queue: str) -> tuple[str, str | None]:
    """Return the device and the backend of a queue; no backend where any will do."""
    device, _, backend = queue.partition(_SEPARATOR)
    return device, backend or None
