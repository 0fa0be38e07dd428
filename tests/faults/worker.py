"""A worker process that meets its fault at a chosen point: `python -m tests.faults.worker FAULT [flags of a worker]`.

The worker is the real one; what the fault needs is put around one of its functions before it begins. The faults stand
in `FAULTS`, by name.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"


def die() -> None:
    """Kill this process by SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, action: Callable[[], None], call: int = 1) -> None:
    """Do something before a function's so-manieth call."""
    original, calls = getattr(owner, name), [0]

    def wrapped(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            action()
        return original(*arguments, **named)

    setattr(owner, name, wrapped)


def after(owner: Any, name: str, action: Callable[[], None], call: int = 1) -> None:
    """Do something after a function's so-manieth call."""
    original, calls = getattr(owner, name), [0]

    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        calls[0] += 1
        if calls[0] == call:
            action()
        return result

    setattr(owner, name, wrapped)


def killed_before_the_claim() -> None:
    from models.sql import transitions

    before(transitions, "mark_claimed", die)


def killed_after_the_claim() -> None:
    from workers.runner import Runner

    before(Runner, "_train", die)


def killed_within_an_epoch() -> None:
    from workers.engines.fused.training import Training

    before(Training, "_train_epoch", die, call=150)


def killed_before_the_write() -> None:
    from workers.reporting.recorder import Recorder

    before(Recorder, "flush", die, call=4)


def killed_before_the_mark() -> None:
    """All epochs are trained; the transaction with the last of them is not committed."""
    from workers.reporting import recorder

    before(recorder, "mark_completed", die)


def killed_within_a_checkpoint() -> None:
    """Half of the file is on the disk."""
    from models import storage

    def half(original: Any = storage.Storage.write, calls: list[int] = [0]) -> Any:  # noqa: B006 - counts
        def write(self: Any, name: str, data: bytes) -> None:
            calls[0] += 1
            if calls[0] == 2:
                folder = Path(self._path(name)).parent
                (folder / f"{Path(name).name}.x{storage.UNFINISHED}").write_bytes(data[: len(data) // 2])
                die()
            original(self, name, data)

        return write

    storage.Storage.write = half()  # type: ignore[method-assign]


def killed_after_a_checkpoint() -> None:
    from models.storage import Storage

    after(Storage, "write", die, call=2)


def disk_full_on_checkpoint() -> None:
    from models.storage import Storage

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Storage.write = refuse  # type: ignore[method-assign]


def killed_after_an_artifact() -> None:
    """Die when the weights are on the disk, before the trial is marked completed."""
    from models.storage import Storage

    after(Storage, "write_file", die)


def disk_full_on_artifact() -> None:
    from models.storage import Storage
    from workers.reporting import reporter

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Storage.write_file = refuse  # type: ignore[method-assign]
    reporter.ARTIFACT_PATIENCE_SECONDS = 2.0


def disk_full_for_a_while() -> None:
    """Let the first five attempts to write weights find no room."""
    from models.storage import Storage

    def refuse() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for call in range(1, 6):
        before(Storage, "write_file", refuse, call=call)


def poison() -> None:
    """Every attempt crashes in native code, but only of networks that have 7 units."""
    from workers.runner import Runner

    original = Runner._train_with

    def train_with(self: Any, task: Any, *rest: Any) -> None:
        if task.cohort.trials[0].spec.model.layers[0].units == 7:
            os.kill(os.getpid(), signal.SIGSEGV)
        original(self, task, *rest)

    Runner._train_with = train_with  # type: ignore[method-assign]


def out_of_memory() -> None:
    """Run out of device memory with networks that have 7 units."""
    import tensorflow as tf

    from workers.engines.fused.training import Training

    original = Training._train_epoch

    def train_epoch(self: Any, *rest: Any) -> Any:
        if self._trials[0].spec.model.layers[0].units == 7:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return original(self, *rest)

    Training._train_epoch = train_epoch  # type: ignore[method-assign]


def clock_an_hour_ahead() -> None:
    real, monotonic = time.time, time.time_ns
    time.time = lambda: real() + 3600
    time.time_ns = lambda: monotonic() + 3600 * 10**9


def endless_epoch() -> None:
    """Let the third epoch never end, and hold the interpreter's signals."""
    from workers.engines.fused.training import Training
    from workers.process import watchdog

    watchdog.OVERTIME_SECONDS = 1.0
    before(Training, "_train_epoch", lambda: _block_for(600), call=3)


def endless_compilation() -> None:
    """No epoch of the first cohort ever ends; a file says when it has come to that."""
    from workers.engines.fused.training import Training

    def block() -> None:
        Path("is_compiling").touch()
        _block_for(600)

    in_the_first_life(lambda: before(Training, "_train_epoch", block))


def hangs_while_loading() -> None:
    """Put the data folder on a mount that does not answer."""
    from workers import runner

    in_the_first_life(lambda: before(runner, "prepare", _hang))


def hangs_while_saving() -> None:
    """Let the storage take what it is given and never answer."""
    from models.storage import Storage
    from workers.process import watchdog

    watchdog.ARTIFACT_PATIENCE_SECONDS = 1.0
    in_the_first_life(lambda: before(Storage, "write", _hang))


def hangs_within_an_epoch() -> None:
    """Let the device never answer, with nothing else to limit the epoch."""
    from workers.engines.fused.training import Training

    in_the_first_life(lambda: before(Training, "_train_epoch", _hang, call=3))


def _hang() -> None:
    """Hang, with a timeout that is short from now on: until now the machine may have been busy."""
    from workers.process.watchdog import Watchdog

    original = Watchdog._watch_timeout

    def watch(self: Watchdog) -> None:
        self._settings = self._settings.model_copy(update={"epoch_timeout_seconds": 1.0})
        original(self)

    Watchdog._watch_timeout = watch  # type: ignore[method-assign]
    _block_for(600)


def in_the_first_life(arrange: Callable[[], None]) -> None:
    """Let the fault be met once: begun anew, the worker trains as it should, and on a busy machine too."""
    if "HAS_BEGUN_ANEW" in os.environ:
        os.environ["FITTINGROOM_EPOCH_TIMEOUT_SECONDS"] = "600"
    else:
        arrange()
    os.environ["HAS_BEGUN_ANEW"] = "1"


def slow_epochs() -> None:
    """Each epoch takes ten seconds in which Python runs no signal handler."""
    from workers.engines.fused.training import Training

    for call in range(2, 50):
        before(Training, "_train_epoch", lambda: _block_for(10), call=call)


def _block_for(seconds: float) -> None:
    """Wait as native code does: the main thread comes back to Python only at the end."""
    import ctypes

    libc = ctypes.CDLL(None)
    deadline = time.monotonic() + seconds
    mask = (ctypes.c_ulong * 16)(*[0xFFFFFFFFFFFFFFFF] * 16)
    libc.pthread_sigmask(0, mask, None)  # signals go to another thread, which sets Python's flag
    while time.monotonic() < deadline:
        libc.usleep(100_000)


def claim_lost_on_the_way() -> None:
    """Cut the connection after the commit of a claim, before the answer."""
    from models.errors import DatabaseUnavailableError
    from models.sql.database import Database

    def cut() -> None:
        raise DatabaseUnavailableError("connection cut")

    original, calls = Database.writing, [0]
    import contextlib

    from models.sql import transitions

    claimed = [False]
    after(transitions, "mark_claimed", lambda: claimed.__setitem__(0, True))

    @contextlib.contextmanager
    def writing(self: Any) -> Any:
        with original(self) as session:
            yield session
        if claimed[0] and not calls[0]:
            calls[0] = 1
            cut()

    Database.writing = writing  # type: ignore[method-assign]


def killed_while_a_round_is_drawn() -> None:
    from workers import search_rounds

    before(search_rounds, "plan_round", die)


def killed_before_a_round_is_stored() -> None:
    """Die with the rows written and their transaction not committed."""
    from models.sql.plans import rounds

    after(rounds, "add_round", die)


def killed_after_a_round_is_stored() -> None:
    from workers.runner import Runner

    Runner.announce = property(lambda _: lambda _: die(), lambda *_: None)  # type: ignore[assignment,misc]


def none() -> None:
    """Change nothing: a worker as it is."""


FAULTS = {
    function.__name__: function
    for function in (
        killed_before_the_claim, killed_after_the_claim, killed_within_an_epoch, killed_before_the_write,
        killed_before_the_mark, killed_within_a_checkpoint, killed_after_a_checkpoint, disk_full_on_checkpoint,
        killed_after_an_artifact, disk_full_on_artifact,
        disk_full_for_a_while, endless_compilation, hangs_while_loading, hangs_while_saving, hangs_within_an_epoch,
        poison, out_of_memory, clock_an_hour_ahead, endless_epoch, slow_epochs, claim_lost_on_the_way,
        killed_while_a_round_is_drawn, killed_before_a_round_is_stored, killed_after_a_round_is_stored, none,
    )
}  # fmt: skip

if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    from workers.__main__ import main

    main()
