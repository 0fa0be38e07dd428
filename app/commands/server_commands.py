"""Commands of the service; each imports what it needs itself, so that all start fast."""

import contextlib
import functools
import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from fittingroom.cli.options import AsJson
from models.child_processes import module_command, own_code_first
from models.errors import FittingRoomError

if TYPE_CHECKING:
    from models.settings import Settings

commands = typer.Typer()

_Given = ParamSpec("_Given")
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the database and all other files. Default: .fittingroom.")
]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")]


def _in_a_sentence(command: Callable[_Given, None]) -> Callable[_Given, None]:
    """Let a command that cannot do its work end with why, and no traceback."""

    @functools.wraps(command)
    def run(*given: _Given.args, **named: _Given.kwargs) -> None:
        try:
            command(*given, **named)
        except FittingRoomError as error:
            sys.exit(str(error))
        except OSError as error:  # a folder that is not there, may not be written to, or is full
            sys.exit(f"{error.filename}: {error.strerror}" if error.filename else str(error))

    return run


@commands.command()
@_in_a_sentence
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    data_dir: DataDir = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Worker processes.")] = 1,
) -> None:
    """Run the API and workers in one go, until Ctrl-C. Needs no database server or broker."""
    _use(data_dir)
    _refuse_unsafe(host)
    _refuse_taken(host, port)
    migrate()

    from app.commands.next_steps import next_steps  # noqa: PLC0415
    from app.supervisor import Supervisor  # noqa: PLC0415

    children = {"api": ["fittingroom", "api", "--host", host, "--port", str(port)]}
    children |= {f"worker-{number}": ["workers"] for number in range(1, workers + 1)}
    url = f"http://{_in_url(host)}:{port}"
    typer.echo(f"Fitting Room is starting: {url}/ (Ctrl-C ends it). In another terminal:", err=True)
    typer.echo("".join(f"  {line}\n" for line in next_steps(url)), err=True)
    Supervisor(children).run()


@commands.command()
@_in_a_sentence
def api(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    data_dir: DataDir = None,
    processes: Annotated[
        int,
        typer.Option(min=1, max=64, help="API processes that share the port, each with memory of its own."),
    ] = 1,
    listening: Annotated[list[int] | None, typer.Option(hidden=True, help="Inherited sockets.")] = None,
) -> None:
    """Run only the API."""
    _use(data_dir)
    _refuse_unsafe(host)
    if processes > 1:
        _prepare()
        _supervise_apis(host, port, processes)
        return

    # What the imports make stays to the end: looking through it for garbage, again and again, is a sixth of the start.
    gc.disable()
    from app.server import run_server  # noqa: PLC0415
    from models.supervision import end_with_parent  # noqa: PLC0415

    gc.freeze()
    gc.enable()

    settings = _prepare()
    end_with_parent()
    run_server(settings, host, port, listening or ())


@commands.command()
@_in_a_sentence
def worker(
    queues: Annotated[
        str | None, typer.Option(help="Queues to serve: cpu, gpu or cpu,gpu. Default: by device.")
    ] = None,
    gpu: Annotated[int | None, typer.Option(help="Index of the GPU to use; -1 for none.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Run one worker, which trains one cohort at a time. Start one per GPU."""
    _use(data_dir)
    if find_spec("workers") is None:  # as in an image of the API alone
        raise ModuleNotFoundError(name="workers")
    options = [] if queues is None else ["--queues", queues]
    options += [] if gpu is None else ["--gpu", str(gpu)]
    # This process becomes the worker.
    os.execve(sys.executable, module_command("workers", *options), own_code_first())  # noqa: S606


@commands.command()
@_in_a_sentence
def migrate(data_dir: DataDir = None) -> None:
    """Create or upgrade the database tables."""
    _use(data_dir)

    from models.settings import read_settings  # noqa: PLC0415
    from models.sql.database import Database  # noqa: PLC0415

    settings = read_settings()
    settings.make_folders()
    with contextlib.closing(Database(settings.database_location)) as database:
        database.migrate()


@commands.command()
@_in_a_sentence
def doctor(
    data_dir: DataDir = None,
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Repair what can be repaired.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check database and storage for orphaned files and stuck work. Changes nothing without --fix."""
    _use(data_dir)

    from app.commands.doctor import run_doctor  # noqa: PLC0415

    sys.exit(run_doctor(fix=fix, as_json=as_json))


keys = typer.Typer(help="Manage API keys. Once there is a key, every request needs one.", no_args_is_help=True)
commands.add_typer(keys, name="keys")


@keys.command("create")
@_in_a_sentence
def create_key(  # noqa: PLR0913 - options
    name: Annotated[str, typer.Argument(help="Name of the key, e.g. of its user.")],
    *,
    project: Annotated[
        str, typer.Option(help="Project of the key. A project sees only its own experiments.")
    ] = "default",
    scope: Annotated[
        str, typer.Option(help="read; submit, which includes read; or admin, which includes submit and may delete.")
    ] = "submit",
    expires_in_days: Annotated[
        float | None, typer.Option(min=0.001, help="Days until the key expires. Default: never.")
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Rate limit. Default: none.")] = None,
    max_unended_trials: Annotated[
        int | None, typer.Option(min=1, help="Quota of queued and running trials of the project. Default: none.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key. It is shown once; only its hash is stored."""
    _use(data_dir)

    from app.commands.api_keys import create  # noqa: PLC0415

    create(name, project, scope, (expires_in_days, requests_per_minute, max_unended_trials), as_json=as_json)


@keys.command("list")
@_in_a_sentence
def list_keys(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List API keys, without their secrets."""
    _use(data_dir)

    from app.commands.api_keys import show  # noqa: PLC0415

    show(as_json=as_json)


@keys.command("revoke")
@_in_a_sentence
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="Key id, as `keys list` prints it: key_…")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke an API key. Takes effect within two seconds; cannot be undone."""
    _use(data_dir)

    from app.commands.api_keys import revoke  # noqa: PLC0415

    revoke(key_id, as_json=as_json)


@commands.command()
@_in_a_sentence
def demo(
    data_dir: DataDir = None,
    url: Annotated[str | None, typer.Option(help="URL of a running service. Default: start one.")] = None,
) -> None:
    """Train the six exercises over HTTP with live progress, and show the results."""
    _use(data_dir)

    from app.commands.demo import run_demo  # noqa: PLC0415

    sys.exit(run_demo(url))


def _use(data_dir: Path | None) -> None:
    """Set the data folder for this process and those it starts; a flag wins over the environment."""
    if data_dir is not None:
        os.environ["FITTINGROOM_DATA_DIR"] = str(data_dir)


def _refuse_unsafe(host: str) -> None:
    """Exit unless the host is loopback, a key exists, or FITTINGROOM_ALLOW_REMOTE is set."""
    from models.settings import read_settings  # noqa: PLC0415

    loopback = host == "localhost"
    with contextlib.suppress(ValueError):
        loopback = loopback or ipaddress.ip_address(host).is_loopback
    if loopback or read_settings().allow_remote:
        return

    from app.commands.api_keys import has_keys  # noqa: PLC0415

    if not has_keys():
        sys.exit(
            f"refused to listen on {host}: without any API key, everybody who reaches it could use the service.\n"
            "Create a key with `fittingroom keys create NAME`; or use --host 127.0.0.1; or, behind an authenticating\n"
            "proxy, set FITTINGROOM_ALLOW_REMOTE=true."
        )


def _prepare() -> "Settings":
    """Make the folders of an API, and refuse tables of another version."""
    from models.errors import DatabaseUnavailableError, NotMigratedError  # noqa: PLC0415
    from models.settings import read_settings  # noqa: PLC0415
    from models.sql.database import Database  # noqa: PLC0415

    settings = read_settings()
    settings.make_folders()
    settings.prepare_libraries()
    database = Database(settings.database_location)
    # Without tables, or without a database, it answers 503 and what to do.
    with contextlib.suppress(NotMigratedError, DatabaseUnavailableError), contextlib.closing(database):
        database.refuse_other_version()
    return settings


def _supervise_apis(host: str, port: int, processes: int) -> None:
    """Run API processes on the same sockets, where a connection waits for one that is free, also while one restarts."""
    from app.supervisor import Supervisor  # noqa: PLC0415

    sockets = _listen(host, port)
    numbers = [one.fileno() for one in sockets]
    command = ["fittingroom", "api", "--host", host, "--port", str(port)]
    command += [part for number in numbers for part in ("--listening", str(number))]
    Supervisor({f"api-{number}": command for number in range(1, processes + 1)}, sockets).run()


def _refuse_taken(host: str, port: int) -> None:
    for one in _listen(host, port):
        one.close()


def _listen(host: str, port: int) -> list[socket.socket]:
    from app.listening_sockets import open_listening_sockets  # noqa: PLC0415

    try:
        return open_listening_sockets(host, port)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        sys.exit(f"cannot listen on {host}:{port}: {why}. Choose another with --port, or end what has it.")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
