"""Fixtures for all tests: settings in a folder of their own, and databases of each kind."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import hypothesis
import psycopg
import pytest
from sqlalchemy import text

from models.settings import Settings
from models.sql.api_keys import Scope, create_key
from models.sql.database import Database
from models.sql.tables import Base
from tests.serving import MakeKey, served

# The machine may be slow; what is looked for are wrong answers, not slow ones.
hypothesis.settings.register_profile("default", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("default")

# Keras reads its backend when it is first imported. `KERAS_BACKEND=jax pytest tests/workers` is for the other one.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")

OPTIONAL = {
    "browser": "also run the tests that need Chromium",
    "e2e": "also run the tests that start whole services",
    "faults": "also run the cases of tests/faults: on SQLite, and with --nightly and --servers on PostgreSQL too",
    "mlflow": "also export to a real MLflow server: the command in MLFLOW",
    "nightly": "also run the tests that take long, and draw more cases where cases are drawn",
    "servers": "also run on PostgreSQL and Redis",
    "slow": "also run the tests that `make check` has and `make test` has not",
}
"""Markers of tests that `make test` leaves out, each with the option that runs them."""

POSTGRES = os.environ.get("FITTINGROOM_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("FITTINGROOM_TEST_REDIS", "redis://127.0.0.1:6379")


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, meaning in OPTIONAL.items():
        parser.addoption(f"--{name}", action="store_true", help=meaning)


def pytest_configure(config: pytest.Config) -> None:
    for name in OPTIONAL:
        config.addinivalue_line("markers", f"{name}: runs with --{name}")
    config.addinivalue_line("markers", "backends: runs on JAX too with each change, not only nightly")
    config.addinivalue_line("markers", "stores: runs on each database, as the dialects may differ here")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, not skip, the optional tests whose option is not given."""
    chosen = items
    for name in OPTIONAL:
        if not config.getoption(f"--{name}"):
            chosen = [item for item in chosen if item.get_closest_marker(name) is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    # Faults wait for leases to run out; begun first, by one process over one cluster, they wait beside all the others.
    items[:] = sorted(chosen, key=lambda item: item.get_closest_marker("faults") is None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `stores` on each database; the others need only some database."""
    if "store" not in metafunc.fixturenames:
        return
    option, marked = metafunc.config.getoption, metafunc.definition.get_closest_marker
    on_both = marked("stores") or (marked("faults") and option("--nightly"))
    stores = ["sqlite", "postgresql"] if option("--servers") and on_both else ["sqlite"]
    metafunc.parametrize("store", stores, scope="session")


@pytest.fixture(autouse=True)
def _temporary_folders() -> Iterator[None]:
    """Forget the scratch folder of a command that ran in this process: of it browsers make sockets, with long paths."""
    before = {name: os.environ.get(name) for name in ("TMPDIR", "MPLCONFIGDIR")}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Session-scoped, so that it precedes the servers that a module shares."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith("FITTINGROOM_")]:
            monkeypatch.delenv(name)
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings whose data folder is the test's own."""
    settings = Settings(data_dir=tmp_path / "data")
    settings.make_folders()
    return settings


def create_postgres_database() -> str:
    """Return an empty database of its own, by URL."""
    name = f"fittingroom_{uuid.uuid4().hex}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return POSTGRES.rpartition("/")[0].replace("postgresql://", "postgresql+psycopg://") + f"/{name}"


def drop_postgres_database(url: str) -> None:
    """Drop it, whoever is still connected."""
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty SQLite database at the newest version: a file to copy."""
    file = tmp_path_factory.mktemp("template") / "template.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated(store: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a database at head: SQLite's a file to copy, PostgreSQL's emptied for each test."""
    if store == "sqlite":
        yield f"sqlite:///{request.getfixturevalue('sqlite_template')}"
        return
    url = create_postgres_database()
    migrate(url)
    yield url
    drop_postgres_database(url)


def migrate(url: str) -> None:
    """Bring a database to the newest version."""
    database = Database(url)
    database.migrate()
    database.close()


def emptied(migrated: str, folder: Path) -> str:
    """Return the URL of an empty, migrated database."""
    if migrated.startswith("sqlite"):
        file = folder / "test.db"
        shutil.copy(migrated.removeprefix("sqlite:///"), file)
        return f"sqlite:///{file}"
    database = Database(migrated)
    with database.writing() as session:
        names = ", ".join(table.name for table in Base.metadata.sorted_tables)
        session.execute(text(f"TRUNCATE {names} CASCADE"))
    database.close()
    return migrated


@pytest.fixture
def database_url(migrated: str, tmp_path: Path) -> str:
    """Return the URL of an empty, migrated database."""
    return emptied(migrated, tmp_path)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield an empty, migrated database."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def http(tmp_path: Path, database_url: str) -> Iterator[httpx.Client]:
    with served(Settings(data_dir=tmp_path / "data", database_url=database_url)) as client:
        yield client


@pytest.fixture
def make_key(database: Database) -> MakeKey:
    """Make API keys in the test's own database."""

    def make(scope: str = "submit", project: str = "one", **options: object) -> tuple[str, dict[str, str]]:
        with database.writing() as session:
            key_id, key = create_key(session, project=project, name="test", scope=Scope(scope), **options)  # type: ignore[arg-type]
        return key_id, {"Authorization": f"Bearer {key}"}

    return make


# One server and one SQLite database for all tests of a module that need neither an empty nor an exclusive one. A test
# that counts experiments, makes API keys or belongs to `stores` takes `http` and `database` instead.


@pytest.fixture(scope="module")
def shared_settings(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings of the module's server."""
    folder = tmp_path_factory.mktemp("shared")
    settings = Settings(data_dir=folder / "data", database_url=emptied(f"sqlite:///{sqlite_template}", folder))
    settings.make_folders()
    return settings


@pytest.fixture(scope="module")
def shared_database(shared_settings: Settings) -> Iterator[Database]:
    """Yield the module's database."""
    database = Database(shared_settings.database_location)
    yield database
    database.close()


@pytest.fixture(scope="module")
def shared_http(shared_settings: Settings) -> Iterator[httpx.Client]:
    """Yield a client of the module's server."""
    with served(shared_settings) as client:
        yield client
