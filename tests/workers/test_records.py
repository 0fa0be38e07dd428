"""Records are encoded as the upload of their dataset was, or refused with their place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.specs.faults import InvalidSpec
from tests.app.ingestion.uploads import read_in_process
from workers.records import rows_of

TABLE = """\
age,city,member,born,floor,"a, b=c",t
23,Paris,true,2001-02-03,1,7,0.5
,Rome,false,2000-12-31,2,8,1.5
40,,true,1990-01-01,1,9,2.5
31,Paris,,1980-06-15,2,9,3.5
"""
RECORDS: list[dict[str, Any]] = [
    {"age": 23, "city": "Paris", "member": True, "born": "2001-02-03", "floor": 1, "a, b=c": 7},
    {"age": None, "city": "Rome", "member": False, "born": "2000-12-31", "floor": "2", "a, b=c": 8.0},
    {"age": 40, "city": None, "member": True, "born": "1990-01-01T00:00:00", "floor": 1.0, "a, b=c": 9},
    {"age": 31, "city": "Paris", "member": None, "born": "1980-06-15", "floor": 2, "a, b=c": 9},
]


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., tuple[np.ndarray, list[str]]]:
    """Return a function that uploads a table and returns its features and their names."""

    def store(table: str, **options: Any) -> tuple[np.ndarray, list[str]]:
        (tmp_path / "table.csv").write_text(table)
        wanted = {
            "file": str(tmp_path / "table.csv"), "output": str(tmp_path / "out.npz"), "format": "csv", "name": "t",
            "description": "", "max_bytes": 10**9, "target": "t",
        }  # fmt: skip
        answer = read_in_process(wanted | options)
        assert "schema" in answer, answer
        with np.load(tmp_path / "out.npz") as file:
            return file["x"], json.loads(file["document"].tobytes())["feature_names"]

    return store


def test_records_become_the_rows_that_were_stored(stored: Callable[..., tuple[np.ndarray, list[str]]]) -> None:
    x, features = stored(TABLE, categorical=["floor"])
    rows, columns = rows_of(RECORDS, features)
    np.testing.assert_array_equal(rows, x)
    assert {columns[place] for place in columns} == {"age", "member", "a, b=c"}


def test_record_of_the_whole_table_reads_times_and_zones(stored: Callable[..., tuple[np.ndarray, list[str]]]) -> None:
    _, features = stored("at,t\n2024-02-29 23:45:00,1.5\n2025-12-31 00:00:00,3.5\n")
    rows, _ = rows_of([{"at": "2024-02-29T23:45:00-01:00"}], features)
    assert rows.tolist() == [[2024, 3, 1, 4, 0, 45]]


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"city": "Berlin"}, "/rows/1/city", "no such value was there in training: Paris, Rome"),
        ({"floor": 3}, "/rows/1/floor", "no such value was there in training: 1, 2"),
        ({"age": "23"}, "/rows/1/age", "expected a number"),
        ({"born": "yesterday"}, "/rows/1/born", "expected a date"),
        ({"born": 5.0}, "/rows/1/born", "expected a date"),
        ({"born": "0001-01-01T00:00:00+05:00"}, "/rows/1/born", "expected a date"),
        ({"age": 10**400}, "/rows/1/age", "too large"),
        ({"cty": "Paris"}, "/rows/1/cty", "did you mean 'city'?"),
    ],
)
def test_record_that_does_not_fit_is_refused_with_its_place(
    stored: Callable[..., tuple[np.ndarray, list[str]]], changes: dict[str, Any], pointer: str, detail: str
) -> None:
    _, features = stored(TABLE, categorical=["floor"])
    with pytest.raises(InvalidSpec) as caught:
        rows_of([RECORDS[0], RECORDS[0] | changes], features)
    [fault] = caught.value.faults
    assert fault.pointer == pointer
    assert detail in fault.detail


def test_record_without_a_column_is_refused_by_its_name(stored: Callable[..., tuple[np.ndarray, list[str]]]) -> None:
    _, features = stored(TABLE)
    with pytest.raises(InvalidSpec, match="without member, born; give every column"):
        rows_of([{name: value for name, value in RECORDS[0].items() if name not in {"member", "born"}}], features)


@pytest.mark.parametrize(
    ("categories", "given", "chosen"),
    [
        (["1", "1.0"], 1.0, 0),
        (["9007199254740992", "9007199254740993"], 9007199254740993, 1),
        (["False", "True"], True, 1),
        (["false", "true"], True, 1),
        (["0.00001", "0.5"], 1e-05, 0),
        (["a=b", "a"], "a=b", 0),
        (["x" * 300, "y"], "x" * 300, 0),
    ],
)
def test_record_has_one_category(categories: list[str], given: Any, chosen: int) -> None:
    rows, _ = rows_of([{"c": given}], [f"c={name}"[:200] for name in categories])
    assert rows.tolist() == [[float(place == chosen) for place in range(len(categories))]]


def test_records_that_stand_for_too_many_numbers_are_refused() -> None:
    features = [f"c{column}={value}" for column in range(100) for value in range(100)]
    record = {f"c{column}": "7" for column in range(100)}
    rows, _ = rows_of([record] * 400, features)
    assert rows.sum() == 400 * 100
    with pytest.raises(InvalidSpec, match="at most 400 of these records"):
        rows_of([record] * 401, features)
