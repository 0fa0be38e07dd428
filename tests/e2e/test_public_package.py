"""The wheel in an environment of its own, and the service in a folder whose modules have our names."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.e2e.service import Service
from tests.factories import document
from tests.hostile_folder import executed, hostile_folder

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
NOT_INSTALLED = ("numpy", "sqlalchemy", "fastapi", "celery", "keras")


def test_wheel_in_a_clean_environment_submits_watches_and_compares(service: Service, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python, command = (tmp_path / "venv" / "bin" / name for name in ("python", "fittingroom"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    subprocess.run([python, *PIP, "--require-hashes", "-r", str(ROOT / "locks" / "client.txt")], check=True)
    subprocess.run([python, *PIP, "--no-deps", str(wheel)], check=True)
    spec = tmp_path / "spec.json"
    optimizer = {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}}
    spec.write_text(json.dumps(document(seeds=[0, 1], optimizer=optimizer)))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "FITTINGROOM_URL": f"http://127.0.0.1:{service.port}",
    }

    def run(*arguments: str | Path) -> str:
        ended = subprocess.run(
            list(arguments), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    submitted = run(command, "submit", spec, "--watch", "--json")
    experiment_id = json.loads(submitted.splitlines()[0])["id"]
    assert "learning_rate" in run(command, "compare", experiment_id)
    code = f"""
import sys
from fittingroom import Client, ExperimentSpec
with Client() as client:
    view = client.wait(client.submit(ExperimentSpec.model_validate_json(open("spec.json").read())).id, timeout=60)
    print(view.state, len(client.compare(view.id).candidates))
print([name for name in {NOT_INSTALLED} if name in sys.modules])
"""
    assert run(python, "-c", code).splitlines() == ["completed 2", "[]"]
    refused = subprocess.run([command, "serve"], env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "pip install" in refused.stderr


def test_serve_in_a_hostile_folder_trains_predicts_and_reads_uploads(tmp_path: Path) -> None:
    folder = hostile_folder(tmp_path)
    with Service(folder, {"PYTHONPATH": "."}) as service:
        service.wait_until_ready()
        table = b"a,b,y\n" + b"".join(b"%d,%d,%d\n" % (n, n % 3, n % 2) for n in range(40))
        headers = {"Content-Type": "text/csv"}
        uploaded = service.http.post("/v1/datasets?name=mine&target=y", content=table, headers=headers)
        assert uploaded.status_code in {200, 201}, uploaded.text
        view = service.client.wait(service.client.submit(document()).id, timeout=90)
        assert view.state.value == "completed"
        [trial] = service.client.list_trials(view.id)
        answer = service.http.post(f"/v1/trials/{trial.id}/predict", json={"rows": [[0.0] * 10]})
        assert answer.status_code == 200, answer.text
        assert len(service.worker_processes()) == 1
    assert executed(folder) == []
