"""JSON columns: what goes in comes out."""

from typing import Any

import pytest
from sqlalchemy import select, text, update

from models.sql.database import Database
from models.sql.tables import ExperimentTable
from tests.factories import store


@pytest.mark.stores
@pytest.mark.parametrize(
    "value",
    [
        {},
        {"text": 'a "quoted" \\ ü 中 😀 \n', "list": [1, 2.5, None, True], "nested": {"a": {"b": []}}},
        {"large": 2**53 + 1, "small": 5e-324, "float": 1.7976931348623157e308, "tenth": 0.1, "negative zero": -0.0},
    ],
)
def test_value_comes_back(database: Database, value: dict[str, Any]) -> None:
    experiment_id, _ = store(database)
    with database.writing() as session:
        session.execute(update(ExperimentTable).where(ExperimentTable.id == experiment_id).values(spec=value))
    with database.reading() as session:
        found = session.scalars(select(ExperimentTable.spec).where(ExperimentTable.id == experiment_id)).one()
    assert repr(found) == repr(value)


@pytest.mark.parametrize("value", ['{"half": "\\ud800"}', '{"numbers": [NaN, Infinity, -Infinity]}'])
def test_row_of_an_earlier_version_is_read(database: Database, value: str) -> None:
    """Python's own JSON wrote half a character as an escape, and numbers that JSON lacks by name."""
    experiment_id, _ = store(database)
    with database.writing() as session:
        session.execute(text("UPDATE experiments SET spec = :value"), {"value": value})
    with database.reading() as session:
        found = session.scalars(select(ExperimentTable.spec).where(ExperimentTable.id == experiment_id)).one()
    with database.writing() as session:
        session.execute(update(ExperimentTable).values(spec=found))
        assert repr(session.scalars(select(ExperimentTable.spec)).one()) == repr(found)
