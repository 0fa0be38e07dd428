"""Datasets of one's own over HTTP: uploads, who sees them, and specs that name them.

What the reader refuses is a table in `tests/app/ingestion/test_readers.py`. Here the reader runs as a process in
`test_upload_hostile_file_answers_4xx` and what follows it, and within the server elsewhere.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.api import routes
from app.ingestion.options import Options
from app.services.datasets import MAX_FILE_BYTES
from fittingroom import Client
from fittingroom.cli import dataset_commands
from models.maintenance.retention import tidy
from models.settings import Settings
from models.sql.database import Database
from models.storage import Storage
from tests.app.ingestion.hostile_files import FILES
from tests.app.ingestion.uploads import PEOPLE, npz, packed, parquet, reading_in_process, true_bomb
from tests.factories import document, layers
from tests.serving import MakeKey, assert_problem, served, submit

CSV = {"Content-Type": "text/csv"}
BYTES = {"Content-Type": "application/octet-stream"}
GOOD = {"name": "people", "target": "t"}
ROWS = "a,t\n1,2\n2,3\n"


def upload(http: httpx.Client, content: str | bytes = PEOPLE, headers: dict[str, str] = CSV, **query: str) -> Any:
    options = {"name": "people", "target": "grade", "ignore": "note"} | query
    return http.post("/v1/datasets", params=options, content=content, headers=headers)


def test_upload_table_answers_typed_schema(http: httpx.Client) -> None:
    answer = upload(http, description="people by role")
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "/v1/datasets/people"
    schema = answer.json()
    assert (schema["rows"], schema["task"], schema["classes"]) == (4, "classification", 2)
    assert schema["class_names"] == ["bad", "good"]
    assert schema["feature_names"] == [
        "age", "age_was_missing", "city=Paris", "city=Rome", "city_was_missing", "member", "member_was_missing"
    ]  # fmt: skip
    age, city, member = schema["columns"]
    assert (age["kind"], age["missing"], age["minimum"], age["maximum"]) == ("number", 1, 23, 40)
    assert (city["kind"], city["categories"]) == ("category", ["Paris", "Rome"])
    assert member["kind"] == "boolean"
    assert schema["preview"][1] == [None, "Rome", "False", "bad"]
    assert http.get("/v1/datasets/people").json() == schema
    names = [item["name"] for item in http.get("/v1/datasets").json()["items"]]
    assert names == ["titanic", "mnist-sample", "mnist", "people"]


@pytest.mark.usefixtures("reader_in_process")
def test_the_same_again_changes_nothing_and_another_needs_another_name(http: httpx.Client) -> None:
    first = upload(http)
    again = upload(http)
    assert (again.status_code, again.json()) == (200, first.json())
    assert_problem(upload(http, PEOPLE + "50,Rome,true,v,good\n"), 409)
    assert_problem(upload(http, name="titanic"), 409)
    as_other_table = upload(http, name="other", target="member", ignore="note,grade")
    assert as_other_table.status_code == 422, "a target is missing in a row"
    assert "row 4" in as_other_table.json()["errors"][0]["detail"]


def test_every_option_of_an_upload_is_taken_everywhere() -> None:
    options = {option.name for option in fields(Options)}
    for takes in (Client.upload_dataset, dataset_commands.upload_dataset):
        assert options <= signature(takes).parameters.keys()
    assert options - {"charset"} <= signature(routes.datasets.upload_dataset).parameters.keys()


@pytest.mark.usefixtures("reader_in_process")
def test_upload_repeated_parameters_and_declared_charset_are_taken(http: httpx.Client) -> None:
    content = "a;b;c;größe;t\n1;3;5;1.000,5;1,5\n2;5;5;-;2,5\n3;7;5;x;\n".encode("cp1252")
    answer = http.post(
        "/v1/datasets?name=people&target=t&ignore=a&ignore=b,c&decimal=,&thousands=.&missing=-&missing=x"
        "&drop_missing_target=true&separator=;",
        content=content,
        headers={"Content-Type": 'text/csv; charset="windows-1252"'},
    )
    assert answer.status_code == 201, answer.text
    schema = answer.json()
    assert schema["feature_names"] == ["größe", "größe_was_missing"]
    assert (schema["rows"], schema["dropped_rows"], schema["columns"][0]["maximum"]) == (2, 1, 1000.5)
    quoted = http.post(
        "/v1/datasets?name=quoted&target=t&missing=%22&missing=-", content="a,t\n1,1.5\n-,2.5\n", headers=CSV
    )
    assert quoted.json()["columns"][0]["missing"] == 1, "each parameter is a line of its own"
    for name in ("target", "decimal"):
        assert_problem(http.post(f"/v1/datasets?name=people&{name}=,&{name}=,", content=content, headers=CSV), 422)


@pytest.mark.usefixtures("reader_in_process")
def test_upload_options_reach_the_reader(http: httpx.Client) -> None:
    schema = upload(
        http, 'a,"b, c",d,t\n1,3,7,0\n2,5,7,1\n', target="t", ignore="d", categorical='"b, c"', task="regression"
    ).json()
    assert schema["feature_names"] == ["a", "b, c=3", "b, c=5"]
    assert schema["task"] == "regression"


@pytest.mark.usefixtures("reader_in_process")
def test_upload_octet_stream_format_is_recognised(http: httpx.Client) -> None:
    contents = {
        "CSV": b"a,t\n1,2.5\n2,3.5\n",
        "Parquet": parquet(a=[1, 2], t=[2.5, 3.5]),
        "NPZ": npz(x=np.array([[1.0], [2.0]]), y=np.array([2.5, 3.5])),
    }
    for name, content in contents.items():
        query = {"name": name} if name == "NPZ" else {"name": name, "target": "t"}
        answer = http.post("/v1/datasets", params=query, content=content, headers=BYTES)
        assert answer.status_code == 201, answer.text
        assert (answer.json()["source"], answer.json()["task"]) == (f"Uploaded as {name}.", "regression")


REQUESTS: dict[str, tuple[str | bytes, dict[str, str], dict[str, str], int]] = {
    "no media type": (ROWS, {"Content-Type": ""}, GOOD, 422),
    "a form": ("a=1", {"Content-Type": "multipart/form-data; boundary=x"}, GOOD, 422),
    "no name": (ROWS, CSV, {"target": "t"}, 422),
    "a name out of its folder": (ROWS, CSV, GOOD | {"name": "../../x"}, 422),
    "a name with NUL": (ROWS, CSV, GOOD | {"name": "a\0"}, 422),
    "a name with a line": (ROWS, CSV, GOOD | {"name": "a\n"}, 422),
    "no such task": (ROWS, CSV, GOOD | {"task": "clustering"}, 422),
    "an unknown parameter": (ROWS, CSV, GOOD | {"sheet": "1"}, 422),
    "a compressed table": (b"\x1f\x8b\x08\x00" + b"\0" * 50, CSV | {"Content-Encoding": "gzip"}, GOOD, 415),
}
"""Uploads that are refused before their content is read."""
READ = [
    "nothing",
    "no such target",
    "UTF-16 without its mark",
    "an infinite number",
    "Parquet cut off",
    "an archive cut off",
    "a pickle in an archive",
    "a header that is code",
    "a shape without end",
    "a bomb",
]
"""Uploads that the reader's process refuses, one of each kind."""


def assert_nothing_kept(settings: Settings) -> None:
    """Check that neither the upload nor what was made of it is left."""
    assert list(settings.temporary_dir.iterdir()) == []
    assert Storage(settings.storage_location).list_names() == []


@pytest.mark.usefixtures("database_unchanged")
@pytest.mark.parametrize("name", REQUESTS)
def test_upload_malformed_request_answers_4xx(shared_http: httpx.Client, shared_settings: Settings, name: str) -> None:
    content, headers, query, status = REQUESTS[name]
    assert_problem(shared_http.post("/v1/datasets", params=query, content=content, headers=headers), status)
    assert_nothing_kept(shared_settings)


@pytest.mark.usefixtures("database_unchanged")
@pytest.mark.parametrize("name", READ)
def test_upload_hostile_file_answers_422(shared_http: httpx.Client, shared_settings: Settings, name: str) -> None:
    file_format, content, changes, pointer, words = FILES[name]
    headers = CSV if file_format == "csv" else BYTES
    answer = shared_http.post("/v1/datasets", params=GOOD | changes, content=content(), headers=headers)
    assert_problem(answer, 422)
    [fault] = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert words in fault["detail"]
    assert "the parser crashed" not in answer.text, "the reader has met what it does not know"
    assert_nothing_kept(shared_settings)


@pytest.mark.usefixtures("database_unchanged")
@pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "chunked"])
def test_upload_over_limit_answers_413(
    shared_http: httpx.Client, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch, *, is_announced: bool
) -> None:
    assert MAX_FILE_BYTES == 256 * 1024**2
    monkeypatch.setattr("app.api.routes.datasets.MAX_FILE_BYTES", 1_000_000)
    body = b"a,t\n" + b"1,2\n" * 249_999 + b"\n"
    content: bytes | Iterable[bytes] = body if is_announced else iter([body[:700_000], body[700_000:]])
    answer = shared_http.post("/v1/datasets", params=GOOD, content=content, headers=CSV)
    assert_problem(answer, 413)
    assert "1,000,000 bytes" in answer.json()["detail"]
    assert_nothing_kept(shared_settings)


@pytest.mark.nightly
@pytest.mark.usefixtures("database_unchanged")
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [(lambda: b"a,t\n" + b"1,2\n" * 75_000_000, CSV, 413), (true_bomb, BYTES, 422)],
    ids=["a body of 300 MB", "a bomb"],
)
def test_upload_of_gigabytes_answers_4xx(
    shared_http: httpx.Client,
    shared_settings: Settings,
    content: Callable[[], bytes],
    headers: dict[str, str],
    status: int,
) -> None:
    assert_problem(shared_http.post("/v1/datasets", params=GOOD, content=content(), headers=headers), status)
    assert_nothing_kept(shared_settings)


def test_upload_reader_over_time_limit_answers_422(
    shared_http: httpx.Client, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.datasets.READING_SECONDS", 0.05)
    answer = upload(shared_http)
    assert_problem(answer, 422)
    assert "took more than" in answer.json()["detail"]
    assert_nothing_kept(shared_settings)


def test_upload_reader_over_memory_limit_answers_422(
    shared_http: httpx.Client, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is lowered to what the reader has once it is imported, and 100 MB."""
    program = (
        "import pathlib, re; import app.ingestion.__main__ as reader; "
        "status = pathlib.Path('/proc/self/status').read_text(); "
        "reader.MEMORY_BYTES = 1024 * int(re.search(r'VmSize:\\s+(\\d+)', status)[1]) + 100_000_000; "
        "reader.main()"
    )
    monkeypatch.setattr("app.services.datasets.module_command", lambda _: [sys.executable, "-P", "-c", program])
    large = packed(lambda file: np.savez_compressed(file, x=np.zeros((30_000, 1_000), np.float32), y=np.arange(30_000)))
    answer = shared_http.post("/v1/datasets", params={"name": "large"}, content=large, headers=BYTES)
    assert_problem(answer, 422)
    assert "GB of memory" in answer.json()["detail"]
    assert_nothing_kept(shared_settings)


def test_upload_reader_that_dies_answers_422(
    shared_http: httpx.Client, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.child_processes.sys.executable", "/bin/false")
    answer = upload(shared_http)
    assert_problem(answer, 422)
    assert "the parser crashed" in answer.json()["detail"]
    assert_nothing_kept(shared_settings)


@pytest.mark.usefixtures("reader_in_process")
def test_a_project_sees_its_own(http: httpx.Client, make_key: MakeKey) -> None:
    (_, one), (_, two) = make_key(scope="admin"), make_key(scope="admin", project="two")
    (_, reader) = make_key(scope="read")
    assert upload(http, headers=CSV | reader).status_code == 403
    assert upload(http, headers=CSV | one).status_code == 201
    assert http.get("/v1/datasets/people", headers=two).status_code == 404
    assert http.delete("/v1/datasets/people", headers=two).status_code == 404
    on_people = document(dataset={"name": "people"}, model=layers({"type": "dense", "units": 2}), loss="mse")
    refused = http.post("/v1/experiments", json=on_people, headers=two)
    assert refused.status_code == 422
    assert "people" not in refused.json()["errors"][0]["detail"].partition("known datasets")[2]
    assert upload(http, PEOPLE + "50,Rome,true,v,good\n", CSV | two).status_code == 201


@pytest.mark.usefixtures("reader_in_process")
def test_dataset_in_use_survives_delete_and_tidy(http: httpx.Client, database: Database, settings: Settings) -> None:
    upload(http)
    mine = submit(http, dataset={"name": "people"}, fit={"epochs": 1})
    refused = http.delete("/v1/datasets/people")
    assert_problem(refused, 409)
    assert mine in refused.json()["detail"]
    http.post(f"/v1/experiments/{mine}/cancel")
    assert http.delete("/v1/datasets/people").status_code == 204
    assert http.get("/v1/datasets/people").status_code == 404
    assert_problem(http.delete("/v1/datasets/people"), 404)
    assert_problem(http.delete("/v1/datasets/titanic"), 422)
    storage = Storage(settings.storage_location)
    [file] = storage.list_names("datasets")
    tidy(database, storage, settings)
    assert storage.list_names("datasets") == [file], "an upload may be under way"
    os.utime(settings.data_dir / "storage" / file, (1, 1))
    assert any(file in sentence for sentence in tidy(database, storage, settings))
    assert storage.list_names("datasets") == []
    assert upload(http).status_code == 201
    tidy(database, storage, settings)
    assert storage.list_names("datasets") == [file]


@pytest.mark.usefixtures("reader_in_process")
def test_spec_with_a_hash_pins_the_content_of_a_dataset(http: httpx.Client) -> None:
    sha256 = upload(http).json()["sha256"]
    mine = submit(http, dataset={"name": "people"}, fit={"epochs": 1})
    trial = http.get(f"/v1/experiments/{mine}/trials").json()["items"][0]["id"]
    assert http.get(f"/v1/trials/{trial}").json()["spec"]["dataset"]["sha256"] == sha256
    submit(http, dataset={"name": "people", "sha256": sha256}, fit={"epochs": 1})
    for dataset in ({"name": "people", "sha256": "0" * 64}, {"name": "titanic", "sha256": sha256}):
        refused = http.post("/v1/experiments", json=document(dataset=dataset, fit={"epochs": 1}))
        assert refused.json()["errors"][0]["pointer"] == "/dataset/sha256"


DATASETS: dict[str, tuple[dict[str, Any], str]] = {
    "a validation set of another kind": (
        {"dataset": {"name": "people", "validation": "titanic"}}, "/dataset/validation"
    ),
    "no such validation set": ({"dataset": {"name": "people", "validation": "x"}}, "/dataset/validation/name"),
    "both ways to validate": (
        {"dataset": {"name": "people", "validation": "people"}, "fit": {"validation_split": 0.2}}, "/dataset/validation"
    ),
    "a class that is not there": ({"fit": {"class_weight": {"2": 1.0}}}, "/fit/class_weight/2"),
    "a class by another name": ({"fit": {"class_weight": {"gut": 1.0}}}, "/fit/class_weight/gut"),
    "a class by a number with a zero before it": ({"fit": {"class_weight": {"01": 1.0}}}, "/fit/class_weight/01"),
    "a class twice": ({"fit": {"class_weight": {"1": 1.0, "good": 2.0}}}, "/fit/class_weight"),
    "weights of nothing by name": ({"fit": {"class_weight": {"bad": 0, "good": 0}}}, "/fit/class_weight"),
    "weights by no rule": ({"fit": {"class_weight": "balance"}}, "/fit/class_weight"),
    "a negative weight": ({"fit": {"class_weight": {"0": -1.0}}}, "/fit/class_weight/0"),
    "no weights": ({"fit": {"class_weight": {}}}, "/fit/class_weight"),
    "weights of nothing": ({"fit": {"class_weight": {"0": 0, "1": 0}}}, "/fit/class_weight"),
    "cross-entropy of numbers": ({"dataset": {"name": "numbers"}}, "/loss"),
    "accuracy of numbers": ({"dataset": {"name": "numbers"}, "loss": "mse"}, "/metrics/0"),
    "two outputs for one number": (
        {"dataset": {"name": "numbers"}, "loss": "mse", "metrics": []}, "/model/layers/1/units"
    ),
    "class weights of numbers": (
        {"dataset": {"name": "numbers"}, "loss": "mse", "metrics": [], "fit": {"class_weight": {"0": 1.0}}},
        "/fit/class_weight",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def planning(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Yield a server with the datasets `people` and `numbers`."""
    folder = tmp_path_factory.mktemp("planning")
    database = shutil.copy(sqlite_template, folder / "planning.db")
    settings = Settings(data_dir=folder / "data", database_url=f"sqlite:///{database}")
    with served(settings) as http:
        with reading_in_process():
            upload(http).raise_for_status()
            numbers = "a,t\n1,0.5\n2,0.25\n3,0.75\n"
            upload(http, numbers, name="numbers", target="t", ignore="").raise_for_status()
        yield http


@pytest.mark.parametrize("name", DATASETS)
def test_plan_unfit_for_dataset_answers_422(planning: httpx.Client, name: str) -> None:
    changes, pointer = DATASETS[name]
    spec = document(**({"dataset": {"name": "people"}, "fit": {}} | changes))
    answer = planning.post("/v1/experiments/plan", json=spec)
    assert answer.status_code == 422, answer.text
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]], json.dumps(answer.json(), indent=1)
