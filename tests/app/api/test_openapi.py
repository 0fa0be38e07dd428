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
ENDLESS = "/v1/experiments/{experiment_id}/events"
"""A stream that ends with its experiment, which never trains here."""


def run_schemathesis(http: httpx.Client, folder: Path, *options: str) -> int:
    """Run schemathesis against a service, and return how many cases it has generated; fail if it finds something."""
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml",
        "run", f"{http.base_url}/openapi.json", "--exclude-checks", UNSAYABLE, "--exclude-path", ENDLESS,
        "--workers", "1", "--no-color", *options,
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2_400, cwd=folder)
    assert found.returncode == 0, found.stdout[-6_000:]
    [cases] = re.findall(r"(\d+) generated", found.stdout)
    sys.stderr.write(f"{cases} cases\n")
    return int(cases)


@pytest.mark.nightly
@pytest.mark.stores
@pytest.mark.timeout(2_430)
def test_schemathesis_at_length_finds_nothing(http: httpx.Client, tmp_path: Path) -> None:
    """All that the schema's edges give, some 280,000 cases, and a hundred drawn ones per operation."""
    # Few of the drawn batches are valid; the generator would refuse to go on.
    options = ("--max-examples", "100", "--seed", "2", "--suppress-health-check", "filter_too_much")
    assert run_schemathesis(http, tmp_path, *options) > 20_000


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("options", "least"),
    [
        (("--phases", "examples,fuzzing,stateful", "--max-examples", "4", "--seed", "1"), 100),
        # The edges of a spec's schema are forty thousand, and wait for the night.
        (("--phases", "coverage", "--exclude-path-regex", "/experiments(/plan|/batch)?$", "--seed", "1"), 500),
    ],
    ids=["drawn cases and links", "edges but for those of specs"],
)
def test_schemathesis_briefly_finds_nothing(
    shared_http: httpx.Client, tmp_path: Path, options: tuple[str, ...], least: int
) -> None:
    assert run_schemathesis(shared_http, tmp_path, *options) > least


def test_a_change_of_the_schema_is_seen(settings: Settings) -> None:
    """`python -m tests.app.api.test_openapi` writes the snapshot anew."""
    schema = json.loads(json.dumps(create_app(settings).openapi()))
    assert schema == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_schema_is_the_same_whatever_was_imported_before(settings: Settings) -> None:
    """Modules of layers are imported when the first layer comes, in any order."""
    code = (
        "import json, sys; from fittingroom.specs.layers import wrappers, images; from app.main import create_app; "
        "from models.settings import Settings; "
        f"json.dump(create_app(Settings(data_dir={str(settings.data_dir)!r})).openapi(), sys.stdout)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE.parents[2]
    ).stdout
    assert json.loads(found) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


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
