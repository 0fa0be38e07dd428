"""Other people's web pages: foreign hosts and origins get nothing, and every answer says what a browser may do."""

import json
import re

import httpx
import pytest

from app.main import create_app
from models.settings import Settings
from tests.factories import document
from tests.serving import assert_problem, served, submit

OWN_HOSTS = [
    "localhost", "LOCALHOST:80", "localhost:12345", "app.localhost", "127.0.0.1", "127.0.0.1:9", "[::1]:8000", "[::1]",
    "10.1.2.3:8000", "192.168.1.5", "[fd00::1]:8000",
]  # fmt: skip
FOREIGN_HOSTS = [
    "evil.example", "evil.example:8000", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "127.1",
    "2130706433", "0x7f.0.0.1", "localhost@evil.example", "evil.example#localhost", "", ":8000", "[::1", "localhost.",
    "*", "localhost, evil.example",
]  # fmt: skip


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_own_host_is_answered(shared_http: httpx.Client, host: str) -> None:
    assert shared_http.get("/v1/experiments", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", ["/", "/livez", "/v1/experiments", "/docs", "/openapi.json", "/static/main.js"])
def test_foreign_host_answers_421(shared_http: httpx.Client, host: str, path: str) -> None:
    """A page whose name was made to resolve to this machine reads nothing."""
    assert_problem(shared_http.get(path, headers={"Host": host}), 421)


@pytest.mark.usefixtures("database_unchanged")
def test_foreign_host_changes_nothing(shared_http: httpx.Client) -> None:
    answer = shared_http.post("/v1/experiments", json=document(), headers={"Host": "evil.example"})
    assert_problem(answer, 421)
    assert "FITTINGROOM_ALLOWED_HOSTS" in answer.json()["detail"]


def test_allowed_hosts_are_answered(settings: Settings) -> None:
    allowed = settings.model_copy(update={"allowed_hosts": ("Trainer.example", "*.lab.example")})
    with served(allowed, create_app(allowed)) as http:
        for host, status in {
            "trainer.example": 200, "trainer.example:8443": 200, "a.lab.example": 200, "a.b.lab.example": 200,
            "lab.example": 421, "evil-lab.example": 421, "other.example": 421,
        }.items():  # fmt: skip
            assert http.get("/livez", headers={"Host": host}).status_code == status, host


def test_settings_list_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITTINGROOM_ALLOWED_HOSTS", "trainer.example, *.lab.example,")
    assert Settings().allowed_hosts == ("trainer.example", "*.lab.example")


FOREIGN_PAGES = [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:1"},
    {"Origin": "https://localhost"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "file://"}, {"Origin": ""},
    {"Origin": "http://localhost", "Host": "localhost:443"}, {"Origin": "https://localhost:1", "Host": "localhost:443"},
]  # fmt: skip


@pytest.mark.parametrize("headers", FOREIGN_PAGES, ids=str)
def test_foreign_page_changes_nothing(shared_http: httpx.Client, headers: dict[str, str]) -> None:
    experiment_id = submit(shared_http)
    place = f"/v1/experiments/{experiment_id}"
    before = shared_http.get(place).json()["version"]
    for method, path in (
        ("POST", f"{place}/pause"), ("POST", f"{place}/resume"), ("POST", f"{place}/cancel"), ("DELETE", place),
        ("POST", "/v1/experiments/plan"), ("PUT", place),
    ):  # fmt: skip
        assert_problem(shared_http.request(method, path, headers=headers), 403)
    assert_problem(shared_http.post("/v1/experiments", content=json.dumps(document()), headers=headers), 403)
    assert shared_http.get(place).json()["version"] == before
    shared_http.post(f"{place}/cancel").raise_for_status()


def test_own_page_may_change_things(shared_http: httpx.Client) -> None:
    own = str(shared_http.base_url).rstrip("/")
    for headers in (
        {"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"},
        {"Origin": own.replace("http:", "https:")},
        {"Origin": "https://localhost", "Host": "localhost:443"},
        {"Origin": "http://localhost", "Host": "localhost:80"},
    ):  # fmt: skip
        assert shared_http.post("/v1/experiments/plan", json=document(), headers=headers).status_code == 200


def test_every_answer_has_security_headers(shared_http: httpx.Client) -> None:
    experiment_id = submit(shared_http)
    shared_http.post(f"/v1/experiments/{experiment_id}/cancel").raise_for_status()
    answers = [
        shared_http.get(path)
        for path in (
            "/", "/docs", "/docs/assets/swagger-ui.css", "/static/main.js", "/static/plotly.min.js", "/openapi.json",
            "/livez", "/nowhere", "/v1/experiments", f"/v1/experiments/{experiment_id}", "/v1/experiments?x=1",
            f"/v1/experiments/{experiment_id}/plot.svg", f"/v1/experiments/{experiment_id}/events",
        )
    ]  # fmt: skip
    known = shared_http.get(f"/v1/experiments/{experiment_id}").headers["etag"]
    answers += [
        shared_http.get(f"/v1/experiments/{experiment_id}", headers={"If-None-Match": known}),
        shared_http.get("/livez", headers={"Host": "evil.example"}),
        shared_http.get("/livez", headers={"x": "x" * 70_000}),
        shared_http.post("/v1/experiments", headers={"Origin": "http://evil.example"}),
        shared_http.put("/v1/experiments"),
    ]
    assert {answer.status_code for answer in answers} == {200, 304, 403, 404, 405, 421, 422, 431}
    for answer in answers:
        headers, place = answer.headers, (answer.request.url, answer.status_code)
        assert headers["x-content-type-options"] == "nosniff", place
        assert headers["x-frame-options"] == "DENY", place
        assert headers["referrer-policy"] == "no-referrer", place
        assert headers["cross-origin-resource-policy"] == "same-origin", place
        [policy] = headers.get_list("content-security-policy")
        assert "default-src 'none'" in policy, place
        assert "frame-ancestors 'none'" in policy, place
        assert not re.search(r"https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline", policy), place
        assert "access-control-allow-origin" not in headers


def test_links_do_not_repeat_the_host(shared_http: httpx.Client) -> None:
    for _ in range(2):
        shared_http.post(f"/v1/experiments/{submit(shared_http)}/cancel").raise_for_status()
    link = shared_http.get("/v1/experiments?limit=1").headers["link"]
    found = re.fullmatch(r'<(/v1/experiments\?limit=1&cursor=[\w-]+)>; rel="next"', link)
    assert found
    assert len(shared_http.get(found[1]).json()["items"]) == 1
    assert_problem(shared_http.get("/v1/experiments/"), 404)
