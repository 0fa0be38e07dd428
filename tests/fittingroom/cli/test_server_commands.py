"""Commands of the service: called in this process, and as real processes where start, signals or exit matter."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from fittingroom import Client
from fittingroom.cli.main import build
from tests.e2e.service import free_port, is_alive, until
from tests.factories import document
from tests.serving import early_in_a_minute

Run = Callable[..., Any]


def fittingroom(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a process."""
    return subprocess.run(
        [sys.executable, "-m", "fittingroom", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    # A flag is written to the environment: set here first, so that the test's end undoes it.
    monkeypatch.setenv("FITTINGROOM_DATA_DIR", ".fittingroom")

    def runs(*arguments: str) -> Any:
        found = CliRunner().invoke(build(), list(arguments))
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return found

    return runs


def refusal_of(found: Any) -> str:
    """Return the sentence that a command ends with; the interpreter would print it to standard error."""
    assert isinstance(found.exception, SystemExit)
    assert found.exit_code == 1
    return str(found.exception.code)


def test_help_lists_every_command(run: Run) -> None:
    shown = run("--help").stdout
    assert all(command in shown for command in ("serve", "api", "worker", "migrate", "demo"))


@pytest.mark.parametrize(
    "command",
    ["submit", "plan", "watch", "list", "show", "history", "compare", "plot", "cancel", "export", "usage", "doctor"],
)
def test_help_of_command_names_json(run: Run, command: str) -> None:
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert "--json" in shown.stdout


@pytest.mark.parametrize("command", ["serve", "api"])
def test_remote_address_without_key_is_refused(run: Run, command: str) -> None:
    refused = run(command, "--host", "0.0.0.0")  # noqa: S104 - it is refused
    assert "FITTINGROOM_ALLOW_REMOTE" in refusal_of(refused)


def test_serve_taken_port_is_named(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run("serve", "--port", str(port))
    assert f"127.0.0.1:{port}" in refusal_of(refused)
    assert "--port" in refusal_of(refused)


def test_migrate_writes_database_to_data_folder(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    assert run("migrate", "--data-dir", str(folder)).exit_code == 0
    assert (folder / "fittingroom.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


@pytest.mark.parametrize("name", ["q?mode=memory", "p%20c", "a#b", "ü x", "it's", "a;b"])
def test_data_folder_may_have_any_name(run: Run, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    assert run("migrate", "--data-dir", str(folder)).exit_code == 0
    assert (folder / "fittingroom.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_data_folder_is_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    run("keys", "create", "me", "--data-dir", str(folder))
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_data_folder_that_was_there_keeps_its_mode(run: Run, tmp_path: Path) -> None:
    """The owner may share the folder."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o750)
    run("migrate", "--data-dir", str(folder))
    assert folder.stat().st_mode & 0o777 == 0o750
    assert (folder / "fittingroom.db").stat().st_mode & 0o777 == 0o600


def test_data_folder_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in (["migrate"], ["keys", "list"], ["doctor"], ["api"]):
        assert "file" in refusal_of(run(*command, "--data-dir", str(tmp_path / "file")))


def test_services_that_start_at_once_on_a_new_folder_all_migrate(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda _: fittingroom("migrate", "--data-dir", "new", cwd=tmp_path), range(4)))
    assert [(one.returncode, one.stderr) for one in ended] == [(0, "")] * 4


@pytest.mark.parametrize(
    "command", [["serve", "--port", "0"], ["api"], ["worker"], ["migrate"], ["keys", "list"], ["keys", "create", "x"]]
)
def test_tables_of_a_later_version_are_named_by_every_command(tmp_path: Path, command: list[str]) -> None:
    folder = tmp_path / "later"
    fittingroom("migrate", "--data-dir", str(folder), cwd=tmp_path)
    with sqlite3.connect(folder / "fittingroom.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    if command == ["serve", "--port", "0"]:
        command = ["serve", "--port", str(free_port())]
    refused = fittingroom(*command, "--data-dir", str(folder), cwd=tmp_path)
    assert refused.returncode == 1
    assert "tables of version 9999" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_settings_invalid_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITTINGROOM_LEASE_SECONDS", "soon")
    refused = fittingroom("migrate", cwd=tmp_path)  # not `serve`: another service may have its port
    assert refused.returncode == 2
    assert refused.stderr.startswith("FITTINGROOM_LEASE_SECONDS: ")
    assert "'soon'" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "fittingroom migrate"),
        pytest.param(["--gpu", "7"], "no GPU 7", marks=pytest.mark.e2e),
        pytest.param(["--queues", "tpu"], "unknown queues: tpu", marks=pytest.mark.e2e),
    ],
)
def test_worker_that_cannot_work_names_cause(tmp_path: Path, flags: list[str], sentence: str) -> None:
    refused = fittingroom("worker", *flags, cwd=tmp_path)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


def test_keys_are_made_shown_once_and_revoked(run: Run) -> None:
    made = run("keys", "create", "nightly", "--project", "digits", "--scope", "read")
    assert made.exit_code == 0, made.stderr
    key = made.stdout.strip()
    assert key.startswith("fr_")
    key_id = made.stderr.split()[0]
    shown = run("keys", "list").stdout
    assert "nightly" in shown
    assert key not in shown
    [listed] = map(json.loads, run("keys", "list", "--json").stdout.splitlines())
    assert (listed["id"], listed["name"], listed["project"], listed["scopes"]) == (
        key_id,
        "nightly",
        "digits",
        ["read"],
    )
    assert run("keys", "create", "[/x]").stdout.startswith("fr_")
    assert "[/x]" in run("keys", "list").stdout
    another = json.loads(run("keys", "create", "x", "--json").stdout)
    assert another["key"].startswith("fr_")
    assert run("keys", "revoke", key_id).exit_code == 0
    for arguments, words in (
        (("revoke", "key_1"), "there is no key"), (("create", "x", "--scope", "all"), "submit"),
        (("create", "\x1b[31m"), "U+001B"), (("create", " "), "blank"), (("create", ""), "1 to 200 characters"),
        (("create", "x", "--project", "a\u202eb"), "U+202E"),
    ):  # fmt: skip
        assert words in refusal_of(run("keys", *arguments))


def test_keys_create_as_process_prints_key_alone(tmp_path: Path) -> None:
    made = fittingroom("keys", "create", "me", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("fr_")
    assert len(made.stdout.split()) == 1


def test_doctor_names_fault_to_people_and_programs(run: Run) -> None:
    assert run("doctor").exit_code == 1
    found = json.loads(run("doctor", "--json").stdout)
    assert "fittingroom migrate" in found["parts"]["database"]
    run("migrate")
    well = run("doctor", "--json")
    assert (well.exit_code, json.loads(well.stdout)["findings"]) == (0, [])
    assert "no stuck work" in run("doctor").stdout


@contextmanager
def api_process(folder: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `fittingroom api` as a process until the block ends: it and its address, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "fittingroom", "api", "--port", str(port), *flags]
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "the API has ended"
        try:
            return httpx.get(f"{url}/livez").status_code == 200
        except httpx.TransportError:
            return False

    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as process:
        try:
            until(answers)
            yield process, url
        finally:
            process.terminate()


def children_of(process: int) -> set[int]:
    """Return the process ids of the children of a process."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if int(stat.read_text().rpartition(")")[2].split()[1]) == process:
                found.add(int(stat.parent.name))
    return found


def test_api_of_several_processes_outlives_each_and_counts_together(run: Run, tmp_path: Path) -> None:
    [key] = run("keys", "create", "me", "--requests-per-minute", "40").stdout.split()
    with api_process(tmp_path, "--processes", "3") as (process, url):
        apis = until(lambda: len(found := children_of(process.pid)) == 3 and found)
        early_in_a_minute()

        def ask(_: int) -> int:
            return httpx.get(f"{url}/v1/experiments", headers={"Authorization": f"Bearer {key}"}).status_code

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(ask, range(60))) == [200] * 40 + [429] * 20
        for one in apis:
            os.kill(one, signal.SIGKILL)
        # Not refused: a connection waits in the socket that the supervisor keeps.
        assert httpx.get(f"{url}/livez", timeout=60).status_code == 200
        later = until(lambda: len(found := children_of(process.pid)) == 3 and not apis & found and found)
        process.kill()
        process.wait()
        until(lambda: not any(is_alive(one) for one in later))


def test_api_of_several_processes_that_cannot_work_ends_with_its_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = run("api", "--processes", "2", "--port", str(free_port()), "--data-dir", str(tmp_path / "file" / "data"))
    assert "file" in refusal_of(found)


def test_api_of_several_processes_ends_with_all_of_its_processes(run: Run, tmp_path: Path) -> None:
    run("migrate")
    with api_process(tmp_path, "--processes", "2") as (process, url):
        apis = until(lambda: len(found := children_of(process.pid)) == 2 and found)
        refused = run("api", "--processes", "2", "--port", url.rpartition(":")[2])
        assert refusal_of(refused).startswith("cannot listen on")
        process.terminate()
        assert process.wait(30) == 0
        assert not any(is_alive(one) for one in apis)


def test_api_with_key_listens_on_remote_address(run: Run, tmp_path: Path) -> None:
    run("keys", "create", "me")
    with api_process(tmp_path, "--host", "0.0.0.0") as (_, url):  # noqa: S104 - that is asked
        assert httpx.get(f"{url}/v1/experiments").status_code == 401


def test_api_end_releases_waiting_requests(run: Run, tmp_path: Path) -> None:
    run("migrate")
    with api_process(tmp_path) as (process, url), Client(url) as client, ThreadPoolExecutor() as threads:
        view = client.submit(document())
        path = f"{url}/v1/experiments/{view.id}"
        is_sent = threading.Event()

        def note_sent(event: str, _: object) -> None:
            if event == "http11.send_request_body.complete":
                is_sent.set()

        def poll() -> httpx.Response:
            with httpx.Client(timeout=60) as polling:
                request = polling.build_request("GET", path, params={"wait": 50}, extensions={"trace": note_sent})
                return polling.send(request)

        waiting = threads.submit(poll)
        with httpx.stream("GET", f"{path}/events", timeout=60) as following:
            lines = following.iter_lines()
            assert "event: history" in [next(lines), next(lines)]
            assert is_sent.wait(30)
            # One event loop reads what has come in order: it has read the request that waits when it answers this one.
            client.get_health()
            started = time.monotonic()
            process.terminate()
            assert waiting.result().json()["version"] == view.version
            assert not any(line.startswith("event") for line in lines)
        assert process.wait(20) in (0, -15)
        assert time.monotonic() - started < 20, "they were not released: a request may wait for 50 seconds"
