"""CSV as people write it: read as pandas reads it, or refused with what to say."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingestion.options import DEFAULT_MISSING
from models.settings import Settings
from tests.app.ingestion.test_readers import read
from tests.app.ingestion.uploads import read_in_process

Read = Callable[..., Any]
__all__ = ["read"]
ROWS = 30


def numbers(settings: Settings) -> np.ndarray:
    """Return the features that were stored last."""
    with np.load(settings.temporary_dir / "output.npz") as file:
        return np.array(file["x"])


@pytest.mark.parametrize(
    ("content", "options", "first_row"),
    [
        ("a;b;t\n1;2.5;3.5\n2;3;4\n", {}, [1, 2.5]),
        ("a\tb\tt\n1\t2.5\t3.5\n2\t3\t4\n", {}, [1, 2.5]),
        ("a|b|t\n1|2.5|3.5\n2|3|4\n", {}, [1, 2.5]),
        ('"a, or b";b;t\n1;2.5;3.5\n2;3;4\n', {}, [1, 2.5]),
        ("a b t\n1 2.5 3.5\n2 3 4\n", {"separator": " "}, [1, 2.5]),
        ("a\tb\tt\n1\t2.5\t3.5\n2\t3\t4\n", {"separator": "tab"}, [1, 2.5]),
        ("a;b;t\n1;2,5;3,5\n2;3,0;4,0\n", {"decimal": ","}, [1, 2.5]),
        ('a,b,t\n"1,000",2.5,3.5\n2,3,4\n', {"thousands": ","}, [1000, 2.5]),
        ("a;b;t\n1.234.567;2,5;3,5\n2;1.000,25;4\n", {"thousands": ".", "decimal": ","}, [1_234_567, 2.5]),
        ("a,b,t\n+1, 2.5,3.5\n2,3,4\n", {}, [1, 2.5]),
        ("\ufeffa,b,t\n1,2.5,3.5\n2,3,4\n", {}, [1, 2.5]),
        ("a,b,t,\n1,2.5,3.5,\n2,3,4,\n", {}, [1, 2.5]),
        ("sep=;\na;b;t\n1;2.5;3.5\n2;3;4\n", {}, [1, 2.5]),
        ("\na;b;t\n\n1;2.5;3.5\n2;3;4\n", {}, [1, 2.5]),
        ("a;b;t\r1;2.5;3.5\r2;3;4\r", {}, [1, 2.5]),
        ("p (a|b|c),b,t\n1,2.5,3.5\n2,3,4\n", {}, [1, 2.5]),
        ('a,b,t\n"1\u202f234",2.5,3.5\n2,3,4\n', {"thousands": " "}, [1234, 2.5]),
        ("a,b,t\n\u22125,2.5,3.5\n2,3,4\n", {}, [-5, 2.5]),
    ],
)
def test_numbers_written_otherwise_are_read(
    read: Read, settings: Settings, content: str, options: dict[str, str], first_row: list[float]
) -> None:
    schema = read("csv", content, **options)["schema"]
    assert [column["kind"] for column in schema["columns"]] == ["number", "number"]
    assert numbers(settings)[0].tolist() == first_row


def test_separator_that_was_found_is_noted(read: Read) -> None:
    assert read("csv", "a;t\n1;2.5\n2;3.5\n")["schema"]["notes"] == ["columns are separated by ';'"]
    assert read("csv", "a,t\n1,2.5\n2,3.5\n")["schema"]["notes"] == []


@pytest.mark.parametrize(
    ("charset", "declared"),
    [("utf-16", None), ("utf-16", "utf-8"), ("iso-8859-1", "iso-8859-1"), ("cp1252", "Windows-1252"),
     ("utf-8-sig", None), ("shift_jis", "Shift_JIS")],
)  # fmt: skip
def test_declared_charset_is_read(read: Read, charset: str, declared: str | None) -> None:
    towns = ["東京", "大阪"] if charset == "shift_jis" else ["Köln", "Ülm"]
    content = f"town,t\n{towns[0]},1.5\n{towns[1]},2.5\n".encode(charset)
    schema = read("csv", content, **({} if declared is None else {"charset": declared}))["schema"]
    assert schema["columns"][0]["categories"] == sorted(towns)


@pytest.mark.parametrize("word", sorted(DEFAULT_MISSING))
def test_missing_word_among_numbers_is_a_missing_number(read: Read, word: str) -> None:
    [column] = read("csv", f"a,t\n1,2.5\n{word},3.5\n3,4.5\n")["schema"]["columns"]
    assert (column["kind"], column["missing"]) == ("number", 1)


@pytest.mark.parametrize("word", [" NA", "? ", " n/k", "-999", "-999.0"])
def test_missing_word_with_blanks_or_in_other_digits_is_found(read: Read, word: str) -> None:
    [column] = read("csv", f"a,t\n1, 2.5\n{word},3.5\n3,4.5\n", missing=["n/k", "-999"])["schema"]["columns"]
    assert (column["kind"], column["missing"]) == ("number", 1)
    [column] = read("csv", f"a,t\nred,2.5\n{word},3.5\nblue,4.5\n", missing=["n/k", "-999", "-999.0"])["schema"][
        "columns"
    ]
    assert (column["categories"], column["missing"]) == (["blue", "red"], 1)


def test_missing_words_are_texts_on_request(read: Read) -> None:
    content = 'a,t\n1,None\n2,NA\n3,"x"\n'
    assert read("csv", content)["faults"][0]["pointer"] == "drop_missing_target"
    assert read("csv", content, default_missing=False)["schema"]["class_names"] == ["NA", "None", "x"]
    assert read("csv", "a,t\n1,2.5\n-,3.5\n", missing=["-"])["schema"]["columns"][0]["missing"] == 1


def test_texts_of_a_categorical_column_stay_as_written(read: Read) -> None:
    content = "zip,t\n00123,1.5\n123,2.5\n1e2,3.5\n,4.5\n"
    [column] = read("csv", content, categorical=["zip"])["schema"]["columns"]
    assert (column["categories"], column["missing"]) == (["00123", "123", "1e2"], 1)


@pytest.mark.parametrize("content", ["\n{}", "{}", "sep=,\n{}"])
@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
def test_texts_stay_whatever_stands_before_the_header(read: Read, content: str, line: str) -> None:
    table = content.format("zip,b,t\n00123,1,1.5\n123,2,2.5\n00123,3,3.5\n").replace("\n", line)
    columns = read("csv", table, categorical=["zip"])["schema"]["columns"]
    assert columns[0]["categories"] == ["00123", "123"]


def test_classes_that_numbers_would_merge_stay_apart(read: Read) -> None:
    content = "a,t\n1,01\n2,1\n3,02\n4,10\n"
    assert read("csv", content, task="classification")["schema"]["class_names"] == ["01", "02", "1", "10"]
    ordered = read("csv", "a,t\n1,9\n2,10\n3,2\n", task="classification")["schema"]["class_names"]
    assert ordered == ["2", "9", "10"]


def test_texts_for_numbers_may_be_classes_if_the_client_says_so(read: Read) -> None:
    content = "a,t\n" + "1,5\n2,7\n" * 5 + "3,unknown\n"
    assert "task=classification" in read("csv", content)["faults"][0]["detail"]
    assert read("csv", content, task="classification")["schema"]["class_names"] == ["5", "7", "unknown"]


def test_column_with_some_numbers_among_texts_is_a_category(read: Read) -> None:
    [column] = read("csv", "floor,t\n1,1.5\n2,2.5\nground,2.5\nroof,3.5\n")["schema"]["columns"]
    assert column["kind"] == "category"


def test_dates_become_parts(read: Read, settings: Settings) -> None:
    schema = read("csv", "d,t\n2024-02-29,1.5\n,2.5\n2025-12-31,3.5\n")["schema"]
    assert schema["feature_names"] == ["d_year", "d_month", "d_day", "d_weekday", "d_was_missing"]
    assert numbers(settings)[0].tolist() == [2024, 2, 29, 3, 0]
    assert np.isnan(numbers(settings)[1, :4]).all()
    schema = read("csv", "d,t\n2024-02-29 13:45:00,1.5\n2025-12-31 00:00:00,3.5\n")["schema"]
    assert schema["feature_names"][-2:] == ["d_hour", "d_minute"]
    assert numbers(settings)[0].tolist() == [2024, 2, 29, 3, 13, 45]


@pytest.mark.parametrize("day", ["0000-01-01", "99999-01-01"])
@pytest.mark.parametrize("categorical", [[], ["d"]])
def test_date_that_no_calendar_has_is_refused_or_a_text(read: Read, day: str, categorical: list[str]) -> None:
    answer = read("csv", f"d,t\n{day},1.5\n2020-12-31,2.5\n", categorical=categorical)
    kinds = [column["kind"] for column in answer["schema"]["columns"]] if "schema" in answer else []
    assert kinds == ["category"] or "dates outside the years" in answer["faults"][0]["detail"]


def test_digits_of_other_scripts_are_texts(read: Read) -> None:
    [column] = read("csv", "a,t\n\u0661\u0662,1.5\n\uff11\uff13,2.5\n")["schema"]["columns"]
    assert column["kind"] == "category"


def test_rows_without_a_target_are_left_out_on_request(read: Read, settings: Settings) -> None:
    schema = read("csv", "a,t\n1,2.5\n2,\n3,NA\n4,5.5\n", drop_missing_target=True)["schema"]
    assert (schema["rows"], schema["dropped_rows"]) == (2, 2)
    assert numbers(settings)[:, 0].tolist() == [1, 4]
    for few in ("a,t\n1,\n2,1.5\n", "a,t\n1,\n2,\n"):
        [fault] = read("csv", few, drop_missing_target=True)["faults"]
        assert "rows have a target 't'; at least 2 are needed" in fault["detail"]


def test_all_faults_are_named_at_once(read: Read) -> None:
    ids = "".join(f"id {number},,$5,x\n" for number in range(120))
    found = read("csv", f"id,empty,price,t\n{ids}1,,6,x\n")["faults"]
    assert [fault["detail"].split("'")[1] for fault in found] == ["price"]
    found = read("csv", f"id,empty,price,t\n{ids}", ignore=["price"])["faults"]
    assert [fault["detail"].split("'")[1] for fault in found] == ["id", "empty", "t"]


WORDS = st.sampled_from(["", *DEFAULT_MISSING[:-1]])
TEXTS = st.sampled_from(["red", "green", "Köln", "a b", 'say "no"', "x;y", "p,q"])
Column = tuple[str, list[str]]


def numeric(offset: float, exponent: int, seed: int, missing: list[int], word: str) -> Column:
    drawn = np.random.default_rng(seed).normal(size=ROWS) * 10.0**exponent + offset
    return "number", [word if row in missing else repr(float(value)) for row, value in enumerate(drawn)]


NUMERIC = st.builds(
    numeric, st.sampled_from([0.0, 1.5, -1e6, 1.7e9, 1e12]), st.integers(-25, 20), st.integers(0, 99),
    st.lists(st.integers(0, ROWS - 2), max_size=5), WORDS,
)  # fmt: skip
TEXTUAL = st.lists(TEXTS, min_size=ROWS, max_size=ROWS).map(lambda texts: ("text", texts))
ROUGH = st.lists(st.integers(0, 10**6).map(str) | TEXTS, min_size=ROWS, max_size=ROWS).map(lambda t: ("rough", t))


@given(
    columns=st.lists(NUMERIC | TEXTUAL | ROUGH, min_size=1, max_size=3),
    separator=st.sampled_from(",;\t|"),
    charset=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"]),
)
@settings(max_examples=60, deadline=None)
def test_stored_numbers_equal_the_reading_of_pandas_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, columns: list[Column], separator: str, charset: str
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    table = pd.DataFrame({f"c{place}": texts for place, (_, texts) in enumerate(columns)} | {"t": np.arange(ROWS) / 4})
    content = table.to_csv(index=False, sep=separator).encode(charset)
    file, output = folder / "table.csv", folder / "output.npz"
    file.write_bytes(content)
    answer = read_in_process({
        "file": str(file), "output": str(output), "format": "csv", "name": "table", "description": "",
        "max_bytes": 10**9, "target": "t", "charset": charset,
    })  # fmt: skip
    if "faults" in answer:
        rough = [f"'c{place}'" for place, (kind, _) in enumerate(columns) if kind == "rough"]
        assert all(any(name in fault["detail"] for name in rough) for fault in answer["faults"]), answer
        return
    expected = pd.read_csv(io.BytesIO(content), sep=separator, encoding=charset)
    names = answer["schema"]["feature_names"]
    with np.load(Path(output)) as stored:
        x = stored["x"]
    for place, (kind, _) in enumerate(columns):
        column = expected[f"c{place}"]
        if pd.api.types.is_numeric_dtype(column):
            found = x[:, names.index(f"c{place}")].astype(np.float64)
            known = column.notna().to_numpy()
            assert (np.isnan(found) == ~known).all()
            spread = float(np.std(column[known])) if np.ptp(column[known]) > 0 else 1.0
            np.testing.assert_allclose(found[known], column[known], rtol=0, atol=1e-6 * spread)
        else:
            assert kind != "number"
            for value in column.dropna().unique():
                assert (x[:, names.index(f"c{place}={value}")] == (column == value)).all()
