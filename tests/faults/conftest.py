"""One cluster per store, which all cases use one after the other."""

from collections.abc import Iterator

import pytest

from tests.conftest import create_postgres_database, drop_postgres_database
from tests.faults.cluster import Cluster


@pytest.fixture(scope="session")
def cluster(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a service to break."""
    url = create_postgres_database() if store == "postgresql" else None
    built = Cluster(tmp_path_factory.mktemp("cluster"), url)
    yield built
    built.close()
    if url is not None:
        drop_postgres_database(url)


@pytest.fixture(autouse=True)
def _nothing_is_left_over(cluster: Cluster) -> Iterator[None]:
    """End a case's own workers with it."""
    keep = {cluster.api.pid, cluster.rescuer.pid}
    yield
    for process in [process for process in cluster.processes if process.pid not in keep]:
        if process.poll() is None:
            process.kill()
        process.wait()
        cluster.processes.remove(process)
    cluster.tell("DELETE FROM epochs WHERE experiment_id NOT IN (SELECT id FROM experiments)")
