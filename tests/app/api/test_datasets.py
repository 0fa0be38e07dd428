"""Datasets of one's own: what becomes of an upload, and of those that are none."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.maintenance.retention import tidy
from models.settings import Settings
from models.sql.database import Database
from models.storage import Storage
from tests.app.api.test_authentication import MakeKey, make_key  # noqa: F401 - a fixture
from tests.app.api.test_experiments import submit
from tests.app.api.test_malformed_requests import is_a_problem, untouched  # noqa: F401 - a fixture
from tests.factories import document, layers

CSV = {"Content-Type": "text/csv"}
BYTES = {"Content-Type": "application/octet-stream"}
PEOPLE = """\
age,city,member,note,grade
23,Paris,true,x,good
,Rome,false,y,bad
40,,true,z,good
31,Paris,,w,bad
"""


def upload(http: httpx.Client, content: str | bytes = PEOPLE, headers: dict[str, str] = CSV, **query: str) -> Any:
    options = {"name": "people", "target": "grade", "ignore": "note"} | query
    return http.post("/v1/datasets", params=options, content=content, headers=headers)


def packed(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def parquet(**columns: Any) -> bytes:
    return packed(lambda file: pq.write_table(pa.table(columns), file))


def npz(**arrays: Any) -> bytes:
    return packed(lambda file: np.savez(file, **arrays))


def test_a_table_is_typed(http: httpx.Client) -> None:
    answer = upload(http, description="who is who")
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


def test_the_same_again_changes_nothing_and_another_needs_another_name(http: httpx.Client) -> None:
    first = upload(http)
    again = upload(http)
    assert (again.status_code, again.json()) == (200, first.json())
    is_a_problem(upload(http, PEOPLE + "50,Rome,true,v,good\n"), 409)
    is_a_problem(upload(http, name="titanic"), 409)
    as_other_table = upload(http, name="other", target="member", ignore="note,grade")
    assert as_other_table.status_code == 422, "a target is missing in a row"
    assert "row 4" in as_other_table.json()["errors"][0]["detail"]


def test_the_hash_is_that_of_the_numbers(http: httpx.Client) -> None:
    """However they were written down."""
    as_csv = upload(http, "a,b,t\n1,0.5,2.5\n2,0.25,3.5\n", name="one", target="t", ignore="").json()
    table = parquet(a=[1, 2], b=[0.5, 0.25], t=[2.5, 3.5])
    as_parquet = upload(http, table, BYTES, name="two", target="t", ignore="").json()
    assert as_csv["sha256"] == as_parquet["sha256"]
    assert as_csv["task"] == as_parquet["task"] == "regression"
    assert as_csv["classes"] is None
    other = upload(http, "a,b,t\n1,0.5,2.5\n2,0.25,3.25\n", name="three", target="t", ignore="").json()
    assert other["sha256"] != as_csv["sha256"]


def test_archives(http: httpx.Client) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (20, 4, 4), dtype=np.uint8)
    answer = upload(http, npz(x=images, y=np.arange(20) % 3), BYTES, name="images")
    assert answer.status_code == 201, answer.text
    assert (answer.json()["features"], answer.json()["classes"]) == (16, 3)
    named = upload(http, npz(x=images, y=np.array(["cat", "dog"] * 10)), BYTES, name="named").json()
    assert named["class_names"] == ["cat", "dog"]
    number = upload(http, npz(x=images, y=rng.normal(size=20)), BYTES, name="number").json()
    assert number["task"] == "regression"


@pytest.mark.parametrize(
    ("task", "found"), [("auto", "classification"), ("classification", "classification"), ("regression", "regression")]
)
def test_whole_numbers_are_classes_unless_one_says_otherwise(http: httpx.Client, task: str, found: str) -> None:
    answer = upload(http, "a,t\n1,3\n2,5\n3,3\n", target="t", ignore="", task=task)
    assert answer.json()["task"] == found


def test_numbers_can_name_categories(http: httpx.Client) -> None:
    schema = upload(http, 'a,"b, c",t\n1,3,0\n2,5,1\n', target="t", ignore="", categorical='"b, c"').json()
    assert schema["feature_names"] == ["a", "b, c=3", "b, c=5"]


def test_a_project_sees_its_own(http: httpx.Client, make_key: MakeKey) -> None:  # noqa: F811
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


def test_what_is_in_use_stays(http: httpx.Client, database: Database, settings: Settings) -> None:
    upload(http)
    mine = submit(http, dataset={"name": "people"}, fit={"epochs": 1})
    refused = http.delete("/v1/datasets/people")
    is_a_problem(refused, 409)
    assert mine in refused.json()["detail"]
    http.post(f"/v1/experiments/{mine}/cancel")
    assert http.delete("/v1/datasets/people").status_code == 204
    assert http.get("/v1/datasets/people").status_code == 404
    is_a_problem(http.delete("/v1/datasets/people"), 404)
    is_a_problem(http.delete("/v1/datasets/titanic"), 422)
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


def test_a_spec_can_say_which_content_it_means(http: httpx.Client) -> None:
    sha256 = upload(http).json()["sha256"]
    mine = submit(http, dataset={"name": "people"}, fit={"epochs": 1})
    trial = http.get(f"/v1/experiments/{mine}/trials").json()["items"][0]["id"]
    assert http.get(f"/v1/trials/{trial}").json()["spec"]["dataset"]["sha256"] == sha256
    submit(http, dataset={"name": "people", "sha256": sha256}, fit={"epochs": 1})
    for dataset in ({"name": "people", "sha256": "0" * 64}, {"name": "titanic", "sha256": sha256}):
        refused = http.post("/v1/experiments", json=document(dataset=dataset, fit={"epochs": 1}))
        assert refused.json()["errors"][0]["pointer"] == "/dataset/sha256"


def member(name: str, content: bytes) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, content)

    return packed(write)


def header(text: str, *, payload: bytes = b"") -> bytes:
    """A .npy file with a header of one's own."""
    line = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + payload


def bomb() -> bytes:
    def write(file: io.BytesIO) -> None:
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("x.npy", "w", force_zip64=True) as opened,
        ):
            opened.write(header("{'descr': '<f4', 'fortran_order': False, 'shape': (600000, 1000), }"))
            for _ in range(2_400):
                opened.write(b"\0" * 1_000_000)

    return packed(write)


X, Y = np.zeros((4, 2)), np.array([0, 1, 0, 1])
GOOD = {"name": "people", "target": "t"}
HUNDRED_AND_ONE = "a,t\n" + "".join(f"v{number},{number % 2}\n" for number in range(101))
UPLOADS: dict[str, tuple[Callable[[], str | bytes], dict[str, str], dict[str, str], int]] = {
    "nothing": (lambda: "", CSV, GOOD, 422),
    "no media type": (lambda: "a,t\n1,2\n2,3\n", {"Content-Type": ""}, GOOD, 422),
    "a form": (lambda: "a=1", {"Content-Type": "multipart/form-data; boundary=x"}, GOOD, 422),
    "no name": (lambda: "a,t\n1,2\n2,3\n", CSV, {"target": "t"}, 422),
    "a name out of its folder": (lambda: "a,t\n1,2\n2,3\n", CSV, GOOD | {"name": "../../x"}, 422),
    "a name with NUL": (lambda: "a,t\n1,2\n2,3\n", CSV, GOOD | {"name": "a\0"}, 422),
    "a name with a line": (lambda: "a,t\n1,2\n2,3\n", CSV, GOOD | {"name": "a\n"}, 422),
    "no such target": (lambda: "a,t\n1,2\n2,3\n", CSV, GOOD | {"target": "T"}, 422),
    "no such column to ignore": (lambda: "a,t\n1,2\n2,3\n", CSV, GOOD | {"ignore": "b"}, 422),
    "the target ignored": (lambda: "a,t\n1,2\n2,3\n", CSV, GOOD | {"ignore": "t"}, 422),
    "no such task": (lambda: "a,t\n1,2\n2,3\n", CSV, GOOD | {"task": "clustering"}, 422),
    "an unknown parameter": (lambda: "a,t\n1,2\n2,3\n", CSV, GOOD | {"sheet": "1"}, 422),
    "a compressed table": (lambda: b"\x1f\x8b\x08\x00" + b"\0" * 50, CSV | {"Content-Encoding": "gzip"}, GOOD, 415),
    "gzip for CSV": (lambda: b"\x1f\x8b\x08\x00" + b"\0" * 50, CSV, GOOD, 422),
    "UTF-16": (lambda: "a,t\n1,2\n2,3\n".encode("utf-16"), CSV, GOOD, 422),
    "names in Latin-1": (lambda: "é,t\n1,2\n2,3\n".encode("latin-1"), CSV, GOOD, 422),
    "names that are bytes": (lambda: b"\x89\xff,t\n1,2\n2,3\n", CSV, GOOD, 422),
    "Latin-1": (lambda: "a,t\né,2\nü,3\n".encode("latin-1"), CSV, GOOD, 422),
    "no header": (lambda: "1,2\n3,4\n5,6\n", CSV, GOOD, 422),
    "a header alone": (lambda: "a,t\n", CSV, GOOD, 422),
    "one row": (lambda: "a,t\n1,2\n", CSV, GOOD, 422),
    "rows of other lengths": (lambda: "a,t\n1,2\n1,2,3\n", CSV, GOOD, 422),
    "a quote that never ends": (lambda: 'a,t\n"1,2\n2,3\n', CSV, GOOD, 422),
    "a column twice": (lambda: "a,a,t\n1,1,2\n2,2,3\n", CSV, GOOD, 422),
    "a column without a name": (lambda: ",t\n1,2\n2,3\n", CSV, GOOD, 422),
    "a hundred thousand columns": (lambda: ",".join(f"c{i}" for i in range(100_000)) + "\n", CSV, GOOD, 422),
    "an infinite number": (lambda: "a,t\n1,2\ninf,3\n", CSV, GOOD, 422),
    "a number beyond float32": (lambda: "a,t\n1,2\n1e300,3\n", CSV, GOOD, 422),
    "an empty column": (lambda: "a,b,t\n1,,2\n2,,3\n", CSV, GOOD, 422),
    "a column of dates": (lambda: "a,t\n2020-01-01,2\n2020-01-02,3\n", CSV, GOOD, 422),
    "a column of ids": (lambda: HUNDRED_AND_ONE, CSV, GOOD, 422),
    "a target alone": (lambda: "t\n1\n2\n", CSV, GOOD, 422),
    "a target with gaps": (lambda: "a,t\n1,2\n2,\n", CSV, GOOD, 422),
    "a target of one class": (lambda: "a,t\n1,x\n2,x\n", CSV, GOOD, 422),
    "texts for regression": (lambda: "a,t\n1,x\n2,y\n", CSV, GOOD | {"task": "regression"}, 422),
    "fractions for classes": (lambda: "a,t\n1,0.5\n2,1\n", CSV, GOOD | {"task": "classification"}, 422),
    "features of one name": (lambda: "a,a=x,t\nx,1,0\ny,2,1\n", CSV, GOOD, 422),
    "a formula": (lambda: "a,t\n=cmd|'/c calc'!A0,\n", CSV, GOOD, 422),
    "a body of 300 MB": (lambda: b"a,t\n" + b"1,2\n" * 75_000_000, CSV, GOOD, 413),
    "Parquet cut off": (lambda: parquet(a=[1, 2], t=[1, 2])[:-9], BYTES, GOOD, 422),
    "Parquet's name only": (lambda: b"PAR1" + b"\0" * 100 + b"PAR1", BYTES, GOOD, 422),
    "Parquet said to be CSV": (lambda: parquet(a=[1, 2], t=[1, 2]), CSV, GOOD, 422),
    "nested Parquet": (lambda: parquet(a=[[1], [2]], t=[1, 2]), BYTES, GOOD, 422),
    "Parquet that unpacks to gigabytes": (
        lambda: parquet(a=pa.nulls(20_000_000, pa.int64()), t=pa.nulls(20_000_000, pa.int64())), BYTES, GOOD, 422
    ),
    "an archive cut off": (lambda: npz(x=X, y=Y)[:-30], BYTES, GOOD, 422),
    "an archive without x": (lambda: npz(y=Y), BYTES, GOOD, 422),
    "an archive with a way out": (lambda: member("../../x.npy", b"x"), BYTES, GOOD, 422),
    "an archive of text": (lambda: member("x.npy", b"hello"), BYTES, GOOD, 422),
    "a pickle in an archive": (lambda: npz(x=np.array([{"a": 1}] * 4, dtype=object), y=Y), BYTES, GOOD, 422),
    "a pickle for targets": (lambda: npz(x=X, y=np.array([None] * 4, dtype=object)), BYTES, GOOD, 422),
    "a header that is code": (
        lambda: member("x.npy", header("__import__('os').system('touch /tmp/fittingroom-was-here')")), BYTES, GOOD, 422
    ),
    "a header nested deep": (lambda: member("x.npy", header("(" * 5_000 + ")" * 5_000)), BYTES, GOOD, 422),
    "a shape without end": (
        lambda: member("x.npy", header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 9), }")),
        BYTES, GOOD, 422,
    ),
    "a negative shape": (
        lambda: member("x.npy", header("{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 2), }")),
        BYTES, GOOD, 422,
    ),
    "a bomb": (bomb, BYTES, GOOD, 422),
    "rows that differ": (lambda: npz(x=X, y=Y[:3]), BYTES, GOOD, 422),
    "NaN in an archive": (lambda: npz(x=np.full((4, 2), np.nan), y=Y), BYTES, GOOD, 422),
    "complex numbers": (lambda: npz(x=X.astype(complex), y=Y), BYTES, GOOD, 422),
    "records": (lambda: npz(x=np.zeros((4, 2), [("a", "f4")]), y=Y), BYTES, GOOD, 422),
    "one axis": (lambda: npz(x=X[:, 0], y=Y), BYTES, GOOD, 422),
    "no features": (lambda: npz(x=X[:, :0], y=Y), BYTES, GOOD, 422),
}  # fmt: skip


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", UPLOADS)
def test_hostile_uploads(http: httpx.Client, settings: Settings, name: str) -> None:
    content, headers, query, status = UPLOADS[name]
    answer = http.post("/v1/datasets", params=query, content=content(), headers=headers)
    is_a_problem(answer, status)
    assert "its reader gave up" not in answer.text, "the reader has met what it does not know"
    assert list(settings.temporary_dir.iterdir()) == []
    assert Storage(settings.storage_location).list_names() == []


def test_a_reader_that_is_killed_or_hangs_is_an_answer(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.datasets.READING_SECONDS", 0.05)
    slow = upload(http)
    is_a_problem(slow, 422)
    assert "took more than" in slow.json()["detail"]
    monkeypatch.setattr("app.services.datasets.READING_SECONDS", 60.0)
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setattr("models.child_processes.sys.executable", "/bin/false")
    is_a_problem(upload(http), 422)


DATASETS: dict[str, tuple[dict[str, Any], str]] = {
    "a validation set of another kind": (
        {"dataset": {"name": "people", "validation": "titanic"}}, "/dataset/validation"
    ),
    "no such validation set": ({"dataset": {"name": "people", "validation": "x"}}, "/dataset/validation/name"),
    "both ways to validate": (
        {"dataset": {"name": "people", "validation": "people"}, "fit": {"validation_split": 0.2}}, "/dataset/validation"
    ),
    "a class that is not there": ({"fit": {"class_weight": {"2": 1.0}}}, "/fit/class_weight/2"),
    "a class by no number": ({"fit": {"class_weight": {"good": 1.0}}}, "/fit/class_weight/good"),
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


@pytest.mark.parametrize("name", DATASETS)
def test_specs_that_ask_for_what_a_dataset_has_not(http: httpx.Client, name: str) -> None:
    upload(http)
    upload(http, "a,t\n1,0.5\n2,0.25\n3,0.75\n", name="numbers", target="t", ignore="")
    changes, pointer = DATASETS[name]
    answer = http.post("/v1/experiments/plan", json=document(**({"dataset": {"name": "people"}, "fit": {}} | changes)))
    assert answer.status_code == 422, answer.text
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]], json.dumps(answer.json(), indent=1)
