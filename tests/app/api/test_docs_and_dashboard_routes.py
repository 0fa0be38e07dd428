"""The schema and the docs page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

import app
from app.examples import example_documents


def test_docs_page_needs_nothing_from_elsewhere(shared_http: httpx.Client) -> None:
    page = shared_http.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 3
    for link in links:
        assert link.startswith("/docs/assets/")
        assert shared_http.get(link).status_code == 200
    assert not re.search(r"https?:", page.text)


def test_docs_page_shows_every_request_in_a_short_schema(shared_http: httpx.Client) -> None:
    whole, brief = (shared_http.get(path).json() for path in ("/openapi.json", "/docs/openapi.json"))
    assert '"/docs/openapi.json"' in shared_http.get("/docs").text.replace("'", '"')
    assert brief["paths"] == whole["paths"]
    components = whole["components"]["schemas"]
    shown = brief["components"]["schemas"]
    assert "conv2d" in str(shown["Model"])
    assert "Conv2D" not in shown, "layers by their types alone"
    differing = [name for name, schema in shown.items() if schema != components[name]]
    assert differing == ["Model"]
    assert max(len(schema.get("oneOf", ())) for schema in _parts(shown)) < 60


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _parts(each)


def test_the_dashboard_needs_nothing_from_elsewhere(shared_http: httpx.Client) -> None:
    page = shared_http.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert len(links) == 4
    static = Path(app.__file__).parent / "static"
    for file in (path for path in static.rglob("*") if path.is_file()):
        links.append(f"/static/{file.relative_to(static)}")
        assert not re.search(r"(?<!xmlns=\")https?://", file.read_text(encoding="utf-8")), file
    for link in links:
        assert shared_http.get(link).status_code == 200, link


def test_the_six_exercises_are_named_examples(shared_http: httpx.Client) -> None:
    paths = shared_http.get("/openapi.json").json()["paths"]
    for path in ("/v1/experiments", "/v1/experiments/plan"):
        examples = paths[path]["post"]["requestBody"]["content"]["application/json"]["examples"]
        assert {name: example["value"] for name, example in examples.items()} == example_documents()


def test_every_operation_is_described_and_documents_its_problems(shared_http: httpx.Client) -> None:
    schema = shared_http.get("/openapi.json").json()
    ids = []
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            ids.append(operation["operationId"])
            assert operation["description"], path
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
    assert len(set(ids)) == len(ids)


def test_every_field_of_the_spec_has_a_description(shared_http: httpx.Client) -> None:
    schemas = shared_http.get("/openapi.json").json()["components"]["schemas"]
    silent = [
        f"{name}.{field}"
        for name in (
            "ExperimentSpec",
            "Dataset",
            "Fit",
            "EarlyStopping",
            "Objective",
            "Dense",
            "Conv2D",
            "SGD",
            "AdamW",
        )
        for field, about in schemas[name]["properties"].items()
        if not {"description", "$ref"} & set(about) and field not in ("type", "name")
    ]
    assert silent == []


def test_datasets_are_described_without_their_numbers(shared_http: httpx.Client) -> None:
    items = {item["name"]: item for item in shared_http.get("/v1/datasets").json()["items"]}
    assert {name: (item["rows"], item["features"], item["classes"]) for name, item in items.items()} == {
        "titanic": (891, 10, 2), "mnist-sample": (5000, 784, 10), "mnist": (70_000, 784, 10),
    }  # fmt: skip
    assert shared_http.get("/v1/datasets/titanic").json() == items["titanic"]
