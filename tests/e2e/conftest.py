"""A whole service in real processes, on each stack: SQLite with the folder broker, PostgreSQL with Redis."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import REDIS, create_postgres_database, drop_postgres_database
from tests.e2e.service import Service

REDIS_DATABASE = 9 - 2 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Redis database that is not in common use. Leftover messages do no harm. Test processes that run beside this one have
two of their own."""


@pytest.fixture(scope="session")
def environment(store: str) -> Iterator[dict[str, str]]:
    """Environment of a service: its stack, and a database of its own."""
    if store == "sqlite":
        yield {}
        return
    url = create_postgres_database()
    yield {"FITTINGROOM_DATABASE_URL": url, "FITTINGROOM_BROKER_URL": f"{REDIS}/{REDIS_DATABASE}"}
    drop_postgres_database(url)


@pytest.fixture(scope="session")
def service(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service that many tests use."""
    with Service(tmp_path_factory.mktemp("service"), environment) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def start(store: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start services of the test's own, over one database: for tests that kill."""
    environment: dict[str, str] = {}
    if store == "postgresql":
        database = f"{REDIS}/{REDIS_DATABASE - 1}"
        environment = {"FITTINGROOM_DATABASE_URL": create_postgres_database(), "FITTINGROOM_BROKER_URL": database}
    started: list[Service] = []

    def begin(*arguments: str, **settings: str) -> Service:
        begun = Service(tmp_path, environment | settings, *arguments)
        started.append(begun)
        return begun

    yield begin
    for service in started:
        service.stop()
    if store == "postgresql":
        drop_postgres_database(environment["FITTINGROOM_DATABASE_URL"])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Yield the machine's own browser, with nothing that asks the internet.

    A module's, as Playwright runs an event loop in this thread until it ends: no test beside it could have one.
    """
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "install chromium (Debian: apt-get install chromium)"
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, service: Service) -> Iterator[Page]:
    """Yield a page that must ask nobody but the service, and meet no error."""
    home = f"http://127.0.0.1:{service.port}"
    page = chromium.new_page(base_url=home, viewport={"width": 1280, "height": 900}, timezone_id="UTC", locale="en-GB")
    requested: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert [url for url in requested if not url.startswith((home, "data:", "blob:"))] == []
    assert [error for error in errors if "status of 4" not in error] == []  # the browser notes each refused request
