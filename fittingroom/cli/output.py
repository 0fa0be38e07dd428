"""Output and errors of commands, for people and for programs."""

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from fittingroom.specs.visible_text import visible

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import RenderableType

    from fittingroom.client.sync_client import Client, ProblemError

    Picture = Callable[[], RenderableType]

NOT_COMPLETED, REFUSED, UNREACHABLE, LEFT = 1, 2, 3, 130
"""Exit codes: an experiment did not complete; something was refused; no service; Ctrl-C."""


def say(text: object, *, is_error: bool = False, ends_line: bool = True) -> None:
    """Print a line; nothing in it commands the terminal."""
    typer.echo(visible(str(text)), err=is_error, nl=ends_line)


@contextlib.contextmanager
def connected(url: str, key: str | None, *, patience: float = 2.0) -> Iterator["Client"]:
    """Yield a client; what goes wrong within the block becomes a sentence and an exit code."""
    import httpx  # noqa: PLC0415
    from pydantic import ValidationError  # noqa: PLC0415

    from fittingroom.client.sync_client import Client, ProblemError  # noqa: PLC0415

    try:
        with Client(url, key=key, patience=patience) as client:
            yield client
    except ProblemError as error:
        say_problem(error)
        raise typer.Exit(UNREACHABLE if error.status >= 500 else REFUSED) from None
    except (httpx.TransportError, httpx.InvalidURL) as error:
        say(
            f"no service answers at {url} ({type(error).__name__}); start one with `fittingroom serve`, or say where "
            "it is with --url or FITTINGROOM_URL", is_error=True,
        )  # fmt: skip
        raise typer.Exit(UNREACHABLE) from None
    except ValidationError:
        say(f"unexpected response from {url}: not a Fitting Room server, or an incompatible version", is_error=True)
        raise typer.Exit(UNREACHABLE) from None
    except UnreadableSpecError as error:
        refuse(str(error))
    except BrokenPipeError:  # whoever reads has had enough, as in `… | head`: Click ends without a word
        raise
    except OSError as error:  # a file of this machine
        refuse(f"{error.filename}: {error.strerror}")
    except UnicodeEncodeError:
        refuse("a key has letters, digits and a few signs only; copy it whole")
    except KeyboardInterrupt:
        say("left; what was submitted goes on", is_error=True)
        raise typer.Exit(LEFT) from None


def say_problem(error: "ProblemError", before: str = "") -> None:
    """Say why something was refused, on standard error."""
    faults = error.problem.get("errors", [])
    say(f"{before}refused: {error.problem.get('detail', error)}", is_error=True)
    for fault in faults[1:]:
        say(f"  {fault['pointer'] or 'the document'}: {fault['detail']}", is_error=True)


class UnreadableSpecError(Exception):
    """A file holds no spec; its text says why."""


def refuse(message: str) -> NoReturn:
    """Say why, and end."""
    say(message, is_error=True)
    raise typer.Exit(REFUSED)


def read_spec(file: Path) -> dict[str, Any]:
    """Return a spec of a file, JSON or YAML.

    Raises:
        UnreadableSpecError: there is no such file, or it holds none.
    """
    import yaml  # noqa: PLC0415

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSpecError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        try:
            document = yaml.load(text, _numbers_as_in_json())  # noqa: S506 - a SafeLoader
            json.dumps(document, allow_nan=False)
        except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
            raise UnreadableSpecError(f"{file}: neither JSON nor YAML that could be JSON: {error}") from None
    if not isinstance(document, dict):
        raise UnreadableSpecError(f"{file}: expected a spec, found {type(document).__name__}")
    spec: dict[str, Any] = document
    return spec


def _numbers_as_in_json() -> Any:  # noqa: ANN401 - yaml has no types
    """YAML's safe loader, to which 1e-6 is a number, as in YAML 1.2 and JSON; PyYAML takes it for a text."""
    import yaml  # noqa: PLC0415

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Has a resolver of its own."""

    number = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(number.pattern + "$"), list("-+0123456789."))
    return Loader


def print_one(view: "BaseModel", *, as_json: bool, line: str | None = None, shown: "Picture | None" = None) -> None:
    """Print a document, as JSON for programs, for people as a line or a picture."""
    if as_json:
        say(view.model_dump_json())
    elif line is not None:
        say(line)
    elif shown is not None:
        show_picture(shown())


def print_all(views: Sequence["BaseModel"], *, as_json: bool, shown: "Picture") -> None:
    """Print documents: JSON, one a line; or a picture of them all."""
    if as_json:
        for view in views:
            say(view.model_dump_json())
    else:
        show_picture(shown())


def show_picture(picture: "RenderableType") -> None:
    """Print what rich draws."""
    from fittingroom.cli.terminal import Terminal  # noqa: PLC0415

    console = Terminal()
    if not console.is_terminal:
        console.width = max(console.width, 160)  # a pipe has no edge at which to fold
    console.print(picture)
