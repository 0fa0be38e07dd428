"""The polls that are answered before the routes: as the routes answer them."""

from collections.abc import Iterator

import httpx
import pytest

from app.api.fast_reads import FastReads
from app.main import create_app
from models.settings import Settings
from models.sql.api_keys import Scope, create_key
from models.sql.database import Database
from tests.claims import claim_one, record, version
from tests.serving import early_in_a_minute, later, served

READS = ["experiments/{e}", "experiments/{e}/trials", "experiments/{e}/history", "trials/{t}", "trials/{t}/history"]
UNKNOWN = f"exp_{0:032x}", f"trl_{0:032x}"


@pytest.fixture(scope="module")
def ids(shared_database: Database) -> dict[str, str]:
    claim, trials = claim_one(shared_database)
    for epoch in (1, 2, 3):
        record(shared_database, claim, trials[0], epoch, loss=1 / epoch)
    return {"e": claim.experiment_id, "t": trials[0]}


@pytest.fixture(scope="module")
def keys(shared_database: Database, ids: dict[str, str]) -> dict[str, dict[str, str]]:
    """Request headers by what is special of a key."""
    del ids
    with shared_database.writing() as session:

        def made(project: str = "default", **options: int) -> dict[str, str]:
            _, key = create_key(session, project=project, name="test", scope=Scope.READ, **options)  # type: ignore[arg-type]
            return {"Authorization": f"Bearer {key}"}

        return {
            "own": made(),
            "other project": made(project="other"),
            "rarely": made(requests_per_minute=2),
            "none": {},
            "malformed": {"Authorization": "Bearer x"},
            "basic": {"Authorization": "Basic eDp5"},
        }


@pytest.fixture(scope="module")
def fast(shared_settings: Settings, keys: object) -> Iterator[httpx.Client]:
    """Yield a client of a server that has no routes: whatever it answers, the middleware does."""
    del keys
    application = create_app(shared_settings)
    application.router.routes.clear()
    with served(shared_settings, application) as client:
        yield client


@pytest.fixture(scope="module")
def plain(shared_settings: Settings, keys: object) -> Iterator[httpx.Client]:
    """Yield a client of a server without the middleware."""
    del keys
    application = create_app(shared_settings)
    application.user_middleware = [one for one in application.user_middleware if one.cls is not FastReads]
    with served(shared_settings, application) as client:
        yield client


POLLS = [
    *READS,
    "experiments/{e}/history?after=0", "experiments/{e}/history?after=3", "experiments/{e}/history?after=999999",
    "experiments/{e}/history?after=2&wait=9", "experiments/{e}/history?after=5&wait=0.1",
    "experiments/{e}?version=2&wait=9.5", "experiments/{e}?version=5&wait=0.1", "trials/{t}?version=2&wait=9",
    "trials/{t}/history?after=1", "trials/{t}/history?after=3", "trials/{t}/history?after=999999",
]  # fmt: skip


def seen(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    return answer.status_code, {name: value for name, value in answer.headers.items() if name != "date"}, answer.content


@pytest.mark.parametrize("read", POLLS)
@pytest.mark.parametrize("key", ["own", "other project", "none", "malformed", "basic"])
def test_answer_is_that_of_the_route(
    fast: httpx.Client, plain: httpx.Client, ids: dict[str, str], keys: dict[str, dict[str, str]], read: str, key: str
) -> None:
    path = f"/v1/{read.format(**ids)}"
    expected = plain.get(path, headers=keys[key])
    assert expected.status_code == {"own": 200, "other project": 404}.get(key, 401)
    for _ in range(2):  # made, and from memory
        assert seen(fast.get(path, headers=keys[key])) == seen(expected)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("known", ["the same", "*", 'W/"0"', '"x", W/"0"', ""])
def test_known_answer_is_not_sent_again(
    fast: httpx.Client, plain: httpx.Client, ids: dict[str, str], keys: dict[str, dict[str, str]], read: str, known: str
) -> None:
    path = f"/v1/{read.format(**ids)}"
    etag = plain.get(path, headers=keys["own"]).headers["etag"]
    headers = keys["own"] | {"If-None-Match": etag if known == "the same" else known}
    expected = plain.get(path, headers=headers)
    assert expected.status_code == (304 if known in {"the same", "*"} else 200)
    assert seen(fast.get(path, headers=headers)) == seen(expected)


@pytest.mark.parametrize("read", READS)
def test_unknown_id(fast: httpx.Client, plain: httpx.Client, keys: dict[str, dict[str, str]], read: str) -> None:
    path = f"/v1/{read.format(e=UNKNOWN[0], t=UNKNOWN[1])}"
    expected = plain.get(path, headers=keys["own"])
    assert expected.status_code == 404
    assert seen(fast.get(path, headers=keys["own"])) == seen(expected)


def test_id_of_a_trial_is_none_of_an_experiment(
    plain: httpx.Client, ids: dict[str, str], keys: dict[str, dict[str, str]]
) -> None:
    plain.get(f"/v1/trials/{ids['t']}/history", headers=keys["own"]).raise_for_status()
    for path in (f"/v1/experiments/{ids['t']}/history", f"/v1/experiments/{ids['t']}/history?wait=60&after=4"):
        assert plain.get(path, headers=keys["own"]).status_code == 404


def test_requests_are_counted(
    fast: httpx.Client, plain: httpx.Client, ids: dict[str, str], keys: dict[str, dict[str, str]]
) -> None:
    path = f"/v1/trials/{ids['t']}/history"
    early_in_a_minute()
    answers = [server.get(path, headers=keys["rarely"]) for server in (fast, plain, fast, plain)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in answers[2:])


def test_new_epoch_is_there_with_the_next_read(shared_database: Database, fast: httpx.Client) -> None:
    claim, trials = claim_one(shared_database)
    with shared_database.writing() as session:
        _, key = create_key(session, project="default", name="test", scope=Scope.READ)
    headers = {"Authorization": f"Bearer {key}"}
    for epoch in range(1, 6):
        record(shared_database, claim, trials[0], epoch)
        for path in (f"/v1/trials/{trials[0]}/history", f"/v1/experiments/{claim.experiment_id}/history"):
            answer = fast.get(path, headers=headers).json()
            trial = answer if "history" in answer else answer["trials"][0]
            assert trial["history"]["epoch"] == list(range(1, epoch + 1))


@pytest.mark.parametrize("query", ["?version={v}&wait=30", "/history?after={v}&wait=30"])
def test_long_poll_is_woken_by_a_write(shared_database: Database, fast: httpx.Client, query: str) -> None:
    claim, trials = claim_one(shared_database)
    with shared_database.writing() as session:
        _, key = create_key(session, project="default", name="test", scope=Scope.READ)
    path = f"/v1/experiments/{claim.experiment_id}{query.format(v=version(shared_database, claim))}"
    with later(0.2, lambda: record(shared_database, claim, trials[0], 1)):
        answer = fast.get(path, headers={"Authorization": f"Bearer {key}"}).json()
    assert answer["version"] == version(shared_database, claim)
    assert answer.get("progress", answer)["trials"]


@pytest.mark.parametrize(
    ("method", "read", "headers"),
    [
        ("GET", "trials/{t}/history?after=-1", {}),
        ("GET", "trials/{t}/history?after=1&wait=1", {}),
        ("GET", "trials/{t}/history?after=1&after=2", {}),
        ("GET", "trials/{t}?after=1", {}),
        ("GET", "experiments/{e}/history?after=1000000", {}),
        ("GET", "experiments/{e}/history?after=1&wait=61", {}),
        ("GET", "experiments/{e}/history?after=1&points=5", {}),
        ("GET", "experiments/{e}/history?after=%31", {}),
        ("GET", "experiments/{e}/history?version=1&wait=1", {}),
        ("GET", "experiments/{e}/trials?version=1&wait=1", {}),
        ("GET", "experiments/{e}?version=1&wait=nan", {}),
        ("GET", "trials/{t}/history?nothing=1", {}),
        ("GET", "trials/{t}/history", {"Accept": "text/csv"}),
        ("GET", "trials/{t}/trials", {}),
        ("GET", "trials/{t}/", {}),
        ("GET", "trials/{e}", {}),
        ("GET", "experiments/{t}/history", {}),
        ("GET", "experiments/plan", {}),
        ("HEAD", "trials/{t}", {}),
        ("OPTIONS", "experiments/{e}", {}),
        ("PUT", "experiments/{e}", {}),
    ],
)
def test_all_else_is_left_to_the_routes(  # noqa: PLR0913, PLR0917 - three servers
    shared_http: httpx.Client, fast: httpx.Client, plain: httpx.Client, ids: dict[str, str],
    keys: dict[str, dict[str, str]], method: str, read: str, headers: dict[str, str],
) -> None:  # fmt: skip
    path, headers = f"/v1/{read.format(**ids)}", headers | keys["own"]
    assert fast.request(method, path, headers=headers).status_code == 404
    expected = plain.request(method, path, headers=headers)
    assert seen(shared_http.request(method, path, headers=headers)) == seen(expected)
