"""Every route of the application with every kind of key: the routes are walked, not listed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from app.api.strict_route import find_admission
from app.main import create_app
from models.settings import Settings
from models.sql.api_keys import Scope, create_key, revoke_key
from models.sql.database import Database
from tests.factories import document
from tests.serving import assert_problem, served

OPEN_TO_ALL = {"/livez", "/readyz", "/", "/docs", "/docs/openapi.json", "/openapi.json", "/static/plotly.min.js"}
"""Routes without a key: they show nothing of a project."""
BODIES = {
    "/v1/experiments": document(), "/v1/experiments/plan": document(),
    "/v1/experiments/{experiment_id}/extend": {"epochs": 9}, "/v1/trials/{trial_id}/evaluate": {},
}  # fmt: skip
KEYS = ("none", "malformed", "never made", "revoked", "expired", "read", "submit", "admin", "other project")


@dataclass(frozen=True)
class Place:
    """A route that asks for a key, filled in with what there is in project one."""

    method: str
    path: str
    pattern: str
    scope: Scope


@pytest.fixture(scope="module")
def application_routes(shared_settings: Settings) -> list[APIRoute]:
    contexts = iter_route_contexts(create_app(shared_settings).routes)
    return [context.original_route for context in contexts if isinstance(context.original_route, APIRoute)]


@pytest.fixture(scope="module")
def keys(shared_settings: Settings) -> dict[str, dict[str, str]]:
    """Request headers for each kind of key."""
    database = Database(shared_settings.database_location)
    with database.writing() as session:

        def make(scope: Scope, project: str = "one", expires: float | None = None) -> tuple[str, dict[str, str]]:
            key_id, key = create_key(session, project=project, name="test", scope=scope, expires_in_seconds=expires)
            return key_id, {"Authorization": f"Bearer {key}"}

        revoked_id, revoked = make(Scope.ADMIN)
        made = {scope.value: make(scope)[1] for scope in Scope}
        found = made | {
            "none": {},
            "malformed": {"Authorization": "Bearer fr_" + "x" * 500},
            "never made": {"Authorization": f"Bearer fr_{'x' * 43}"},
            "revoked": revoked,
            "expired": make(Scope.ADMIN, expires=-1.0)[1],
            "other project": make(Scope.ADMIN, project="two")[1],
        }
        revoke_key(session, revoked_id)
    database.close()
    assert found.keys() == set(KEYS)
    return found


@pytest.fixture(scope="module")
def http(shared_settings: Settings, keys: dict[str, dict[str, str]]) -> Iterator[httpx.Client]:
    del keys  # made first: without one, nobody needs one
    with served(shared_settings) as client:
        yield client


@pytest.fixture(scope="module")
def places(application_routes: list[APIRoute], http: httpx.Client, keys: dict[str, dict[str, str]]) -> list[Place]:
    """All that asks for a key, with an experiment, a trial and a dataset of project one in its path."""
    answer = http.post("/v1/experiments", json=document(), headers=keys["admin"])
    trials = http.get(f"{answer.headers['location']}/trials", headers=keys["admin"]).json()["items"]
    csv = b"a,target\n" + b"1,x\n2,y\n" * 20
    uploaded = http.post("/v1/datasets?name=mine", content=csv, headers=keys["admin"] | {"Content-Type": "text/csv"})
    assert uploaded.status_code == 201, uploaded.text
    values = {"experiment_id": answer.json()["id"], "trial_id": trials[0]["id"], "name": "mine"}
    found = []
    for route in application_routes:
        admission = find_admission(route.dependant)
        if admission is None:
            continue
        path = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], route.path)
        if route.path.startswith("/v1/plot."):
            path += f"?trials={trials[0]['id']}"
        found += [Place(method, path, route.path, admission.scope) for method in route.methods]
    return sorted(found, key=lambda place: place.method == "DELETE")  # last, as they remove the others' resources


def ask(http: httpx.Client, place: Place, headers: dict[str, str]) -> httpx.Response:
    body = BODIES.get(place.pattern) if place.method == "POST" else None
    with http.stream(place.method, place.path, headers=headers, json=body) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            answer.read()
        return answer


def test_all_but_a_few_routes_ask_for_a_key(application_routes: list[APIRoute]) -> None:
    open_to_all = {route.path for route in application_routes if find_admission(route.dependant) is None}
    assert open_to_all == OPEN_TO_ALL
    assert len(application_routes) > 30


def test_scope_of_a_route_follows_from_its_method(places: list[Place]) -> None:
    """Read changes nothing; permanent removal needs admin."""
    asking = {"/v1/experiments/plan", "/v1/trials/{trial_id}/predict", "/v1/trials/{trial_id}/evaluate"}
    for place in places:
        is_read = place.method == "GET" or place.pattern in asking
        expected = Scope.READ if is_read else Scope.ADMIN if place.method == "DELETE" else Scope.SUBMIT
        assert place.scope == expected, place


@pytest.mark.parametrize("kind", ["none", "malformed", "never made", "revoked", "expired"])
def test_key_that_is_none_answers_401_everywhere(
    http: httpx.Client, places: list[Place], keys: dict[str, dict[str, str]], kind: str
) -> None:
    for place in places:
        answer = ask(http, place, keys[kind])
        assert_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scope", list(Scope))
def test_key_of_lesser_scope_answers_403(
    http: httpx.Client, places: list[Place], keys: dict[str, dict[str, str]], scope: Scope
) -> None:
    for place in places:
        if place.scope not in scope.included:
            assert_problem(ask(http, place, keys[scope.value]), 403)


def test_key_of_another_project_finds_nothing(
    http: httpx.Client, places: list[Place], keys: dict[str, dict[str, str]]
) -> None:
    mine = {part for place in places for part in re.findall(r"(?:exp|trl)_\w+|\bmine\b", place.path)}
    assert len(mine) == 3
    for place in places:
        answer = ask(http, place, keys["other project"])
        if any(part in place.path for part in mine):
            assert_problem(answer, 404)
        else:
            assert answer.status_code < 500, place
            assert not any(part in answer.text for part in mine), place


def test_key_of_enough_scope_is_let_in(
    http: httpx.Client, places: list[Place], keys: dict[str, dict[str, str]]
) -> None:
    """Last: it deletes."""
    for place in places:
        answer = ask(http, place, keys[place.scope.value])
        expected = {404} if place.pattern.endswith("/webhook") else {200, 202, 204, 409, 422}  # it has none
        assert answer.status_code in expected, (place, answer.status_code)
