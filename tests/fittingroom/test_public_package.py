"""The public package: what its wheel holds, and that the current folder cannot stand in for the service's code."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fittingroom
from app.commands.server_commands import commands
from fittingroom.cli import service_commands
from fittingroom.cli.main import build
from models.child_processes import module_command, own_code_first
from tests.hostile_folder import executed, hostile_folder

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).parent / "fittingroom"


def run(*arguments: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        list(arguments), cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_wheel_holds_the_package_alone(tmp_path: Path) -> None:
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    version = fittingroom.__version__
    assert {name.split("/")[0] for name in names} == {"fittingroom", f"fittingroom-{version}.dist-info"}
    assert "fittingroom/py.typed" in names


@pytest.mark.parametrize("path", ["", "."])
def test_client_import_executes_nothing_of_the_current_folder(tmp_path: Path, path: str) -> None:
    folder = hostile_folder(tmp_path)
    code = "from fittingroom import AsyncClient, Client, ExperimentSpec; print(Client.__module__)"
    found = run(sys.executable, "-c", code, cwd=folder, PYTHONPATH=path)
    assert (found.returncode, found.stdout) == (0, "fittingroom.client.sync_client\n"), found.stderr
    assert executed(folder) == []


@pytest.mark.parametrize("path", ["", "."])
@pytest.mark.parametrize("command", [[COMMAND], [sys.executable, "-m", "fittingroom"]], ids=["command", "module"])
def test_migrate_in_a_hostile_folder_executes_no_file_there(tmp_path: Path, path: str, command: list[str]) -> None:
    folder = hostile_folder(tmp_path)
    migrated = run(*command, "migrate", cwd=folder, PYTHONPATH=path)
    assert migrated.returncode == 0, migrated.stderr
    assert (folder / ".fittingroom" / "fittingroom.db").is_file()
    assert executed(folder) == []


@pytest.mark.parametrize("module", ["app.ingestion", "workers"])
def test_child_process_in_a_hostile_folder_executes_no_file_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    folder = hostile_folder(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ".")
    command = module_command(module, "--help")
    subprocess.run(
        command, cwd=folder, env=own_code_first(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert executed(folder) == []


def test_service_commands_without_the_service_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_commands, "find_service", lambda: None)
    for name in service_commands.SERVICE_COMMANDS:
        ended = CliRunner().invoke(build(), [name, "--port", "1", "anything"])
        assert ended.exit_code == 2
        assert ended.output.startswith(f"`fittingroom {name}` needs the service")
        assert "pip install" in ended.output


def test_missing_commands_are_those_of_the_service() -> None:
    named = {command.name or command.callback.__name__ for command in commands.registered_commands if command.callback}
    groups = {group.name for group in commands.registered_groups}
    assert named | groups == set(service_commands.SERVICE_COMMANDS)


def test_command_without_its_libraries_names_the_package(tmp_path: Path) -> None:
    code = "import sys; sys.modules['celery'] = None; sys.argv = ['fittingroom', 'api']\n"
    found = run(sys.executable, "-c", code + "from fittingroom.cli.main import main; main()", cwd=tmp_path)
    assert found.returncode == 1
    assert found.stderr.startswith("this command needs the package 'celery'")
    assert "Traceback" not in found.stderr


def test_version_is_the_wheels(tmp_path: Path) -> None:
    assert run(COMMAND, "--version", cwd=tmp_path).stdout == f"fittingroom {fittingroom.__version__}\n"
