"""The schema is true: schemathesis sends what it allows and what it forbids, and follows what it links."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.main import create_app
from models.settings import Settings

HERE = Path(__file__).parent
SNAPSHOT = HERE / "openapi.json"
# What a schema cannot say: that a network fits its dataset, or that a cursor is one of ours.
UNSAYABLE = "positive_data_acceptance"


@pytest.mark.timeout(900)
def test_schemathesis_finds_nothing(
    http: httpx.Client, store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All that the schema's edges give, some forty thousand cases, and drawn ones: more by `make conformance`.

    A plan is held against the same schema as a submit and stores nothing, so the second store is left out there.
    """
    is_nightly = request.config.getoption("--nightly")
    examples, seed = ("100", "2") if is_nightly else ("5", "1")
    left_out = "/events$" if is_nightly or store == "sqlite" else "/(events|plan)$"  # a stream has no end to wait for
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml",
        "run", f"{http.base_url}/openapi.json",
        "--exclude-checks", UNSAYABLE, "--exclude-path-regex", left_out,
        "--max-examples", examples, "--workers", "1", "--seed", seed, "--no-color",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=880, cwd=tmp_path)
    assert found.returncode == 0, found.stdout[-6_000:]
    [cases] = re.findall(r"(\d+) generated", found.stdout)
    sys.stderr.write(f"{cases} cases\n")
    assert int(cases) > 20_000


def test_a_change_of_the_schema_is_seen(settings: Settings) -> None:
    """`python -m tests.app.api.test_openapi` writes the snapshot anew."""
    schema = json.loads(json.dumps(create_app(settings).openapi()))
    assert schema == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_operation_can_be_generated_from(settings: Settings) -> None:
    schema = create_app(settings).openapi()
    ids = []
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            ids.append(operation["operationId"])
            assert operation["tags"], (method, path)
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            if path.startswith("/v1/"):
                assert {"401", "403", "429"} <= operation["responses"].keys(), (method, path)
                assert operation["security"] == [{"key": []}, {}], (method, path)
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in ids)


def _write_snapshot() -> None:
    schema = create_app(Settings(data_dir=Path("/tmp/fittingroom-snapshot"))).openapi()  # noqa: S108 - nothing is kept there
    SNAPSHOT.write_text(json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write_snapshot()
