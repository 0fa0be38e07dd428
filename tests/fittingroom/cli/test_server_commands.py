"""The command line, as real processes."""

import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from fittingroom.client.sync_client import Client
from tests.factories import document


def fittingroom(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fittingroom", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = fittingroom("--help", cwd=tmp_path).stdout
    assert all(command in shown for command in ("serve", "api", "worker", "migrate", "demo"))


@pytest.mark.parametrize("command", ["serve", "api"])
def test_other_addresses_than_loopback_are_refused(tmp_path: Path, command: str) -> None:
    refused = fittingroom(command, "--host", "0.0.0.0", cwd=tmp_path)  # noqa: S104 - it is refused
    assert refused.returncode == 1
    assert "FITTINGROOM_ALLOW_REMOTE" in refused.stderr


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = fittingroom("serve", "--port", str(port), cwd=tmp_path)
    assert refused.returncode == 1
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "--port" in refused.stderr


def test_migrate_makes_the_database_in_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    assert fittingroom("migrate", "--data-dir", str(folder), cwd=tmp_path).returncode == 0
    assert (folder / "fittingroom.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_an_unknown_queue_is_refused(tmp_path: Path) -> None:
    refused = fittingroom("worker", "--queues", "tpu", cwd=tmp_path)
    assert refused.returncode == 1
    assert "unknown queues: tpu" in refused.stderr


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITTINGROOM_LEASE_SECONDS", "soon")
    refused = fittingroom("serve", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("FITTINGROOM_LEASE_SECONDS: ")
    assert "'soon'" in refused.stderr


@pytest.mark.parametrize(("flags", "sentence"), [(["--gpu", "7"], "no GPU 7"), ([], "fittingroom migrate")])
def test_a_worker_that_cannot_work_says_why(tmp_path: Path, flags: list[str], sentence: str) -> None:
    refused = fittingroom("worker", *flags, cwd=tmp_path)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


def test_keys_are_made_shown_once_and_revoked(tmp_path: Path) -> None:
    made = fittingroom("keys", "create", "nightly", "--project", "digits", "--scope", "read", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert key.startswith("fr_")
    key_id = made.stderr.split()[0]
    shown = fittingroom("keys", "list", cwd=tmp_path).stdout
    assert "nightly" in shown
    assert key not in shown
    [listed] = map(json.loads, fittingroom("keys", "list", "--json", cwd=tmp_path).stdout.splitlines())
    assert (listed["id"], listed["name"], listed["project"], listed["scopes"]) == (
        key_id,
        "nightly",
        "digits",
        ["read"],
    )
    assert fittingroom("keys", "create", "[/x]", cwd=tmp_path).stdout.startswith("fr_")
    assert "[/x]" in fittingroom("keys", "list", cwd=tmp_path).stdout
    another = json.loads(fittingroom("keys", "create", "x", "--json", cwd=tmp_path).stdout)
    assert another["key"].startswith("fr_")
    assert fittingroom("keys", "revoke", key_id, cwd=tmp_path).returncode == 0
    for arguments, said in ((("revoke", "key_1"), "there is no key"), (("create", "x", "--scope", "all"), "submit")):
        refused = fittingroom("keys", *arguments, cwd=tmp_path)
        assert refused.returncode == 1
        assert said in refused.stderr


def test_the_doctor_says_what_is_wrong_to_people_and_programs(tmp_path: Path) -> None:
    assert fittingroom("doctor", cwd=tmp_path).returncode == 1
    found = json.loads(fittingroom("doctor", "--json", cwd=tmp_path).stdout)
    assert "fittingroom migrate" in found["parts"]["database"]
    fittingroom("migrate", cwd=tmp_path)
    well = fittingroom("doctor", "--json", cwd=tmp_path)
    assert (well.returncode, json.loads(well.stdout)["findings"]) == (0, [])
    assert "nothing is stuck" in fittingroom("doctor", cwd=tmp_path).stdout


def test_every_command_has_help_that_says_what_it_does(tmp_path: Path) -> None:
    commands = ("submit", "plan", "watch", "list", "show", "history", "compare", "plot", "cancel", "export", "doctor")
    for command in commands:
        shown = fittingroom(command, "--help", cwd=tmp_path)
        assert shown.returncode == 0
        assert "--json" in shown.stdout, command


def test_with_a_key_other_addresses_are_listened_on(tmp_path: Path) -> None:
    fittingroom("keys", "create", "me", cwd=tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "fittingroom", "api", "--host", "0.0.0.0", "--port", str(port)]  # noqa: S104 - that is asked
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    status = httpx.get(f"http://127.0.0.1:{port}/v1/experiments").status_code
                except httpx.HTTPError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                else:
                    break
            assert status == 401
        finally:
            process.terminate()


def test_who_waits_is_let_go_when_the_api_ends(tmp_path: Path) -> None:
    fittingroom("migrate", cwd=tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "fittingroom", "api", "--port", str(port)], cwd=tmp_path, stderr=subprocess.DEVNULL
        ) as process,
        Client(f"http://127.0.0.1:{port}") as client,
        ThreadPoolExecutor() as threads,
    ):
        deadline = time.monotonic() + 30
        while True:
            try:
                client.get_health()
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                break
        view = client.submit(document())
        url = f"http://127.0.0.1:{port}/v1/experiments/{view.id}"
        waiting = threads.submit(httpx.get, url, params={"wait": 50}, timeout=60)
        following = threads.submit(httpx.get, f"{url}/events", timeout=60)
        time.sleep(1)
        started = time.monotonic()
        process.terminate()
        assert waiting.result().json()["version"] == view.version
        assert "event: history" in following.result().text
        assert process.wait(10) in (0, -15)
        assert time.monotonic() - started < 4
