"""`fittingroom doctor`: asks each part of the service how it is, and shows what is left over or stuck.

May import: rich, models. Knows no HTTP; it looks at the database, the broker and the storage themselves.
"""

from collections.abc import Callable

from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from models import registry
from models.broker import create_celery
from models.database import Database
from models.doctor import examine
from models.errors import FittingRoomError
from models.settings import read_settings
from models.storage import Storage

_PROBE = "doctor/probe"


def run_doctor(*, mend: bool) -> int:
    """Examine, and mend if that is asked for.

    Returns:
        0 if all is well or was mended, 1 if not.
    """
    console, settings = Console(), read_settings()
    settings.make_folders()
    database, storage = Database(settings.sqlalchemy_url), Storage(settings.storage_location)

    def ask_broker() -> None:
        with create_celery(settings).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)

    def ask_storage() -> None:
        storage.write(_PROBE, b"")
        storage.remove(_PROBE)

    parts: dict[str, Callable[[], object]] = {
        "database": database.refuse_other_version, "broker": ask_broker, "storage": ask_storage,
    }  # fmt: skip
    answers = [_answers(console, part, ask) for part, ask in parts.items()]
    if not (answers[0] and answers[2]):
        return 1
    with database.reading() as session:
        workers = registry.list_workers(session)
    console.print(f"[bold]workers[/]   {len(workers)} alive")
    findings = examine(database, storage, settings)
    unmended = 0
    for finding in findings:
        if mend and finding.mend is not None:
            finding.mend()
            console.print(f"[green]mended[/]    {finding.what}", highlight=False)
        else:
            unmended += 1
            hint = "" if mend else "; --mend would mend it" if finding.mend else ""
            console.print(f"[yellow]found[/]     {finding.what}{hint}", highlight=False)
    if not findings:
        console.print("[green]nothing is left over, nothing is stuck[/]")
    database.close()
    return 0 if all(answers) and not unmended else 1


def _answers(console: Console, part: str, ask: Callable[[], object]) -> bool:
    try:
        ask()
    except FittingRoomError as error:
        console.print(f"[bold]{part:9}[/] [red]{error}[/]")
    except (SQLAlchemyError, OSError) as error:
        console.print(f"[bold]{part:9}[/] [red]does not answer: {type(error).__name__}[/]")
    except Exception as error:  # noqa: BLE001 - every broker has exceptions of its own
        console.print(f"[bold]{part:9}[/] [red]does not answer: {type(error).__name__}[/]")
    else:
        console.print(f"[bold]{part:9}[/] [green]well[/]")
        return True
    return False
