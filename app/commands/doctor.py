"""`fittingroom doctor`: health of each part of the service, orphaned files, and stuck work."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import typer
from rich.markup import escape

from fittingroom.cli.terminal import Terminal
from models.errors import FittingRoomError
from models.maintenance.diagnosis import examine
from models.maintenance.retention import free_scratch
from models.messaging.broker import create_celery
from models.settings import read_settings
from models.sql import worker_registry
from models.sql.database import Database
from models.storage import Storage

_PROBE = "doctor/probe"
_WELL = "well"


@dataclass
class Diagnosis:
    """State of the service's parts, and inconsistencies found."""

    parts: dict[str, str]
    """`well` or the fault, by part."""
    workers: int | None = None
    """Number of live workers; None without a database."""
    findings: list[dict[str, object]] = field(default_factory=list)
    """Inconsistencies: `what` was found, `is_fixed`, `can_be_fixed`."""

    @property
    def is_well(self) -> bool:
        """True if every part is well and no inconsistency is left."""
        return set(self.parts.values()) == {_WELL} and all(found["is_fixed"] for found in self.findings)


def run_doctor(*, fix: bool, as_json: bool) -> int:
    """Check, repair if asked to, and print.

    Returns:
        0 if everything is well or was repaired, 1 otherwise.
    """
    diagnosis = _diagnose(fix=fix)
    if as_json:
        typer.echo(json.dumps(asdict(diagnosis)))
    else:
        _show(diagnosis, fix=fix)
    return 0 if diagnosis.is_well else 1


def _diagnose(*, fix: bool) -> Diagnosis:
    settings = read_settings()
    settings.make_folders()
    database, storage = Database(settings.database_location), Storage(settings.storage_location)

    freed = free_scratch(settings) if fix else 0  # first: without a byte on the disk SQLite cannot be opened

    def ask_broker() -> None:
        with create_celery(settings).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)

    def ask_storage() -> None:
        storage.write(_PROBE, b"")
        storage.remove(_PROBE)

    parts: dict[str, Callable[[], object]] = {
        "database": database.refuse_other_version, "broker": ask_broker, "storage": ask_storage,
    }  # fmt: skip
    diagnosis = Diagnosis({part: _answer(ask) for part, ask in parts.items()})
    if freed:
        what = f"{settings.temporary_dir}: {freed:,} bytes of scratch files that processes which died have left"
        diagnosis.findings.append({"what": what, "is_fixed": True, "can_be_fixed": True})
    if diagnosis.parts["database"] == _WELL:
        with database.reading() as session:
            diagnosis.workers = len(worker_registry.list_workers(session))
        findings = []
        with contextlib.suppress(OSError):  # a storage that does not answer has been named above
            findings = examine(database, storage, settings)
        for finding in findings:
            what, can_be_fixed, is_fixed = finding.what, finding.fix is not None, False
            if fix and finding.fix is not None:
                try:
                    finding.fix()
                    is_fixed = True
                except (OSError, FittingRoomError) as error:  # the others may be fixed, and make room for this one
                    what += f" (not fixed: {error})"
            diagnosis.findings.append({"what": what, "is_fixed": is_fixed, "can_be_fixed": can_be_fixed})
    database.close()
    return diagnosis


def _answer(ask: Callable[[], object]) -> str:
    try:
        ask()
    except FittingRoomError as error:
        return str(error)
    except OSError as error:
        return error.strerror or f"does not answer: {type(error).__name__}"
    except Exception as error:  # noqa: BLE001 - every broker, database and storage has exceptions of its own
        return f"does not answer: {type(error).__name__}"
    return _WELL


def _show(diagnosis: Diagnosis, *, fix: bool) -> None:
    console = Terminal()
    for part, answer in diagnosis.parts.items():
        console.print(f"[bold]{part:9}[/] [{'green' if answer == _WELL else 'red'}]{escape(answer)}[/]")
    if diagnosis.workers is None:
        return
    console.print(f"[bold]workers[/]   {diagnosis.workers} alive")
    for found in diagnosis.findings:
        what = escape(str(found["what"]))
        if found["is_fixed"]:
            console.print(f"[green]fixed[/]     {what}", highlight=False)
        else:
            hint = "; repair it with --fix" if found["can_be_fixed"] and not fix else ""
            console.print(f"[yellow]found[/]     {what}{hint}", highlight=False)
    if not diagnosis.findings:
        console.print("[green]no orphaned files, no stuck work[/]")
