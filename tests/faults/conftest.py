"""One house per store, which all cases use one after the other."""

from collections.abc import Iterator

import pytest

from tests.conftest import create_postgres_database, drop_postgres_database
from tests.faults.house import House


@pytest.fixture(scope="session")
def house(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service to break."""
    url = create_postgres_database() if store == "postgresql" else None
    built = House(tmp_path_factory.mktemp("house"), url)
    yield built
    built.close()
    if url is not None:
        drop_postgres_database(url)


@pytest.fixture(autouse=True)
def _nothing_is_left_over(house: House) -> Iterator[None]:
    """A case's own workers end with it."""
    keep = {house.api.pid, house.rescuer.pid}
    yield
    for process in [process for process in house.processes if process.pid not in keep]:
        if process.poll() is None:
            process.kill()
        process.wait()
        house.processes.remove(process)
    house.tell("DELETE FROM epochs WHERE experiment_id NOT IN (SELECT id FROM experiments)")
