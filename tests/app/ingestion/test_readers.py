"""The reader of uploads, called in this process: what it makes of tables and archives, and what it refuses."""

import io
import resource
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.ingestion import __main__ as reader
from app.ingestion import archives, tables
from models.settings import Settings
from tests.app.ingestion.hostile_files import EXECUTED, FILES, Y
from tests.app.ingestion.uploads import npz, parquet, read_in_process


@pytest.fixture
def read(settings: Settings) -> Callable[..., Any]:
    """Read a file's content with some options, in the folders that the service would use."""

    def reads(file_format: str, content: str | bytes, **changes: Any) -> Any:
        file = settings.temporary_dir / "uploaded"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        options: dict[str, Any] = {
            "name": "people",
            "target": "t",
            "task": "auto",
            "ignore": [],
            "categorical": [],
            "description": "",
        }
        options["max_bytes"] = 10**9
        output = settings.temporary_dir / "output.npz"
        return read_in_process({"file": str(file), "output": str(output), "format": file_format} | options | changes)

    return reads


@pytest.mark.parametrize("name", FILES)
def test_read_hostile_file_is_refused(read: Callable[..., Any], settings: Settings, name: str) -> None:
    file_format, content, changes, pointer, words = FILES[name]
    [fault] = read(file_format, content(), **changes)["faults"]
    assert fault["pointer"] == pointer
    assert words in fault["detail"]
    assert 10 < len(fault["detail"]) < 3_000
    assert "Traceback" not in fault["detail"]
    assert [file.name for file in settings.temporary_dir.iterdir()] == ["uploaded"], "something was written"
    assert not EXECUTED.exists()


@pytest.mark.parametrize(
    ("task", "found"), [("auto", "classification"), ("classification", "classification"), ("regression", "regression")]
)
def test_read_whole_numbers_target_task_is_classes_by_default(read: Callable[..., Any], task: str, found: str) -> None:
    schema = read("csv", "a,t\n1,3\n2,5\n3,3\n", task=task)["schema"]
    assert schema["task"] == found


def test_read_categorical_numbers_are_one_hot(read: Callable[..., Any]) -> None:
    schema = read("csv", 'a,"b, c",t\n1,3,0\n2,5,1\n', categorical=["b, c"])["schema"]
    assert schema["feature_names"] == ["a", "b, c=3", "b, c=5"]


GROUPED: dict[str, tuple[str, str | bytes]] = {
    "csv": ("csv", "g,a,t\n007,1,2.5\n7,2,3.5\n007,3,4.5\nb,4,5.5\n"),
    "parquet": ("parquet", parquet(g=["007", "7", "007", "b"], a=[1, 2, 3, 4], t=[2.5, 3.5, 4.5, 5.5])),
    "parquet, whole numbers": ("parquet", parquet(g=[2**62, 1, 2**62, 2**62 + 1], a=[1, 2, 3, 4], t=[2.5, 3, 4, 5.5])),
    "parquet, decimals": (
        "parquet",
        parquet(g=[Decimal(10**20 + n) for n in (0, 1, 0, 2)], a=[1, 2, 3, 4], t=[2.5, 3.5, 4.5, 5.5]),
    ),
    "parquet, zeros": ("parquet", parquet(g=[0.0, 1.5, -0.0, 2.0], a=[1, 2, 3, 4], t=[2.5, 3.5, 4.5, 5.5])),
    "npz": ("npz", npz(x=np.arange(4.0)[:, None], y=[2.5, 3.5, 4.5, 5.5], g=["007", "7", "007", "b"])),
    "npz, whole numbers": ("npz", npz(x=np.arange(4.0)[:, None], y=[2.5, 3, 4, 5.5], g=np.array([9, 1, 9, 4], ">u8"))),
}


@pytest.mark.parametrize(("file_format", "content"), GROUPED.values(), ids=GROUPED)
def test_read_group_is_kept_beside_the_features(
    read: Callable[..., Any], settings: Settings, file_format: str, content: str | bytes
) -> None:
    schema = read(file_format, content, group="g")["schema"]
    assert (schema["group"], schema["groups"], schema["features"]) == ("g", 3, 1)
    assert "g" not in [*schema["feature_names"], *(column["name"] for column in schema["columns"])]
    with np.load(settings.temporary_dir / "output.npz") as file:
        assert file["groups"].tolist() == [0, 1, 0, 2]
        assert file["x"].shape == (4, 1)
    ignored = read(file_format, content, ignore=["g"])["schema"]
    assert ignored["groups"] is None
    assert ignored["sha256"] != schema["sha256"], "training sees the groups, so they are of the content"


def test_read_groups_have_no_row_without_a_target(read: Callable[..., Any]) -> None:
    schema = read("csv", "g,a,t\nx,1,2.5\ny,2,\nz,3,4.5\n", group="g", drop_missing_target=True)["schema"]
    assert (schema["groups"], schema["dropped_rows"]) == (2, 1)
    numbers = npz(x=np.arange(3.0)[:, None], y=[2.5, np.nan, 4.5], g=[5, 6, 7])
    assert read("npz", numbers, group="g", drop_missing_target=True)["schema"]["groups"] == 2


def test_read_archive_names_classes_and_task(read: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (20, 4, 4), dtype=np.uint8)
    schema = read("npz", npz(x=images, y=np.arange(20) % 3))["schema"]
    assert (schema["features"], schema["classes"]) == (16, 3)
    assert read("npz", npz(x=images, y=np.array(["cat", "dog"] * 10)))["schema"]["class_names"] == ["cat", "dog"]
    assert read("npz", npz(x=images, y=rng.normal(size=20)))["schema"]["task"] == "regression"


@pytest.mark.parametrize(
    ("names", "rows", "features"),
    [
        (",a,t", ["0,1,0", "1,5,1", "2,3,0"], ["a"]),
        ("Unnamed: 0,a,t", ["7,1,0", "2,5,1", "5,3,0"], ["a"]),
        ("a,,t", ["1,0,0", "5,1,1", "3,2,0"], ["a"]),
        ("Unnamed: 0,a,t", ["1,1,0", "1,5,1", "2,3,0"], ["Unnamed: 0", "a"]),  # not a number for each row
        ("Unnamed: 0,a,t", ["x,1,0", "y,5,1", "x,3,0"], ["Unnamed: 0=x", "Unnamed: 0=y", "a"]),
        ("id,a,t", ["0,1,0", "1,5,1", "2,3,0"], ["id", "a"]),
    ],
)
def test_read_index_of_pandas_is_left_out_of_csv(
    read: Callable[..., Any], names: str, rows: list[str], features: list[str]
) -> None:
    schema = read("csv", "\n".join([names, *rows, ""]))["schema"]
    assert schema["feature_names"] == features
    assert bool(schema["left_out"]) == (features == ["a"])


def test_read_index_of_pandas_is_left_out_of_parquet(read: Callable[..., Any]) -> None:
    content = parquet(a=[1, 5, 3], t=[0, 1, 0], __index_level_0__=[7, 2, 5])
    schema = read("parquet", content)["schema"]
    assert (schema["feature_names"], schema["left_out"]) == (["a"], ["__index_level_0__"])
    kept = read("parquet", content, categorical=["__index_level_0__"])["schema"]
    assert (kept["features"], kept["left_out"]) == (4, [])


@pytest.mark.parametrize("start", [2**53, 2**63 - 3, -(2**63)])
def test_read_large_labels_stay_apart(read: Callable[..., Any], start: int) -> None:
    labels = [start, start + 1, start + 2]
    for file_format, content in (
        ("csv", "a,t\n" + "".join(f"{n},{label}\n" for n, label in enumerate(labels))),
        ("parquet", parquet(a=[1, 2, 3], t=labels)),
        ("npz", npz(x=np.ones((3, 2)), y=np.array(labels))),
    ):
        schema = read(file_format, content, task="classification")["schema"]
        assert schema["class_names"] == [str(label) for label in labels]


@pytest.mark.parametrize("kind", [">i4", ">i8", ">f4", ">f8", "<u2", np.longdouble])
def test_read_archive_numbers_of_any_width_and_byte_order(read: Callable[..., Any], kind: Any) -> None:
    x, y = np.arange(12).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2])
    expected = read("npz", npz(x=x, y=y))["schema"]
    found = read("npz", npz(x=x.astype(kind), y=y.astype(kind)))["schema"]
    assert found["sha256"] == expected["sha256"]


def test_read_time_in_an_unknown_zone_is_in_utc(read: Callable[..., Any]) -> None:
    times = pa.array([0, 86_400 * 365], pa.timestamp("s", tz="Nowhere/City"))
    schema = read("parquet", parquet(a=times, t=[1.5, 2.5]))["schema"]
    assert schema["feature_names"] == ["a_year", "a_month", "a_day", "a_weekday"]
    assert schema["preview"][0][0].startswith("1970-01-01 00:00:00")


def test_read_keeps_the_digits_that_a_column_varies_by(read: Callable[..., Any], settings: Settings) -> None:
    times, others = 1_700_000_000.0 + np.arange(50), np.linspace(0.1, 0.9, 50)
    rows = zip(times, others, strict=True)
    for file_format, content in (
        (
            "csv",
            "time,b,t\n" + "".join(f"{time:.1f},{other!r},{number / 4}\n" for number, (time, other) in enumerate(rows)),
        ),
        ("parquet", parquet(time=times, b=others, t=np.arange(50) / 4)),
        ("npz", npz(x=np.stack([times, others], axis=1), y=np.arange(50) / 4)),
    ):
        read(file_format, content)
        with np.load(settings.temporary_dir / "output.npz") as file:
            assert file["x"].dtype == np.float64, file_format
            assert (file["x"][:, 0] == times).all(), file_format


@pytest.mark.parametrize("column", [np.linspace(0.1, 0.9, 50), np.arange(1975, 2025), np.full(50, 0.1)])
def test_read_column_that_float32_holds_is_float32(
    read: Callable[..., Any], settings: Settings, column: np.ndarray
) -> None:
    read("npz", npz(x=column[:, None], y=np.arange(50) / 4))
    with np.load(settings.temporary_dir / "output.npz") as file:
        assert file["x"].dtype == np.float32


def test_read_same_numbers_digest_is_the_same_in_each_format(read: Callable[..., Any]) -> None:
    as_csv = read("csv", "a,b,t\n1,0.5,2.5\n2,0.25,3.5\n")["schema"]
    as_parquet = read("parquet", parquet(a=[1, 2], b=[0.5, 0.25], t=[2.5, 3.5]))["schema"]
    assert as_csv["sha256"] == as_parquet["sha256"]
    assert as_csv["task"] == as_parquet["task"] == "regression"
    assert as_csv["classes"] is None
    assert read("csv", "a,b,t\n1,0.5,2.5\n2,0.25,3.25\n")["schema"]["sha256"] != as_csv["sha256"]


@pytest.mark.parametrize("file_format", ["parquet", "npz"])
def test_read_file_over_unpacked_limit_is_refused(
    read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    content = {"parquet": parquet(a=range(1_000), t=range(1_000)), "npz": npz(x=np.zeros((4, 1_000)), y=Y)}[file_format]
    assert "schema" in read(file_format, content, task="regression")
    for module in (tables, archives):
        assert module._MAX_UNPACKED_BYTES == 2 * 1024**3  # noqa: SLF001 - the limit is what is tested
        monkeypatch.setattr(module, "_MAX_UNPACKED_BYTES", 5_000)
    [fault] = read(file_format, content, task="regression")["faults"]
    assert "unpacked" in fault["detail"]


def test_main_limits_its_process_before_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(ValueError, match="Expecting value"):
        reader.main()
    assert limits == {
        resource.RLIMIT_AS: (4 * 1024**3, 4 * 1024**3),
        resource.RLIMIT_CPU: (120, 120),
        resource.RLIMIT_CORE: (0, 0),
    }


def test_main_out_of_memory_is_a_fault(read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(reader, "ingest", fail)
    [fault] = read("csv", "a,t\n1,2\n2,3\n")["faults"]
    assert "memory" in fault["detail"]


def test_read_archive_with_several_numbers_per_row_keeps_range(read: Callable[..., Any]) -> None:
    x, y = np.ones((3, 2)), np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1]])
    schema = read("npz", npz(x=x, y=y))["schema"]
    assert (schema["task"], schema["targets"], schema["classes"]) == ("regression", 3, None)
    assert schema["target_range"] == [0.0, 1.0]


@pytest.mark.parametrize(("task", "targets", "classes"), [("auto", 1, 3), ("regression", 3, None)])
def test_read_archive_with_one_hot_rows_has_classes_unless_regression(
    read: Callable[..., Any], task: str, targets: int, classes: int | None
) -> None:
    schema = read("npz", npz(x=np.ones((3, 2)), y=np.eye(3)), task=task)["schema"]
    assert (schema["targets"], schema["classes"]) == (targets, classes)
    assert ("its columns are classes" in "".join(schema["notes"])) == (classes is not None)


def test_read_archive_with_missing_targets_drops_rows_on_request(read: Callable[..., Any]) -> None:
    y = np.array([[0.5, 1.5], [np.nan, 1.0], [2.0, 3.0]])
    [fault] = read("npz", npz(x=np.ones((3, 2)), y=y))["faults"]
    assert "missing" in fault["detail"]
    schema = read("npz", npz(x=np.ones((3, 2)), y=y), drop_missing_target=True)["schema"]
    assert (schema["rows"], schema["dropped_rows"], schema["targets"]) == (2, 1, 2)
