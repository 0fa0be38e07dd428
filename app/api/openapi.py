"""The schema: FastAPI's own, made fit to generate clients from."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import MEDIA_TYPE
from fittingroom.specs.experiment import EvaluateBody
from fittingroom.specs.extension import Extension
from fittingroom.specs.prediction import PredictBody

ANSWERS_FILE = Path(__file__).parent / "openapi_examples.json"
"""An answer of each operation, as the service once gave it."""
_REFERENCE = "#/components/schemas/"
_LONG_UNION = 60
"""Alternatives above which the docs page gives the types alone: Swagger UI takes 12 s to expand 118 of them."""
_READ_ELSEWHERE = (PredictBody, EvaluateBody, Extension)
"""Bodies that routes pass on as they are, so that FastAPI does not know them."""
_UNUSED = ("HTTPValidationError", "ValidationError")
"""FastAPI's own, in whose place stands Problem."""


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the application's schema; made once."""
    if app.openapi_schema is None:
        answers = json.loads(ANSWERS_FILE.read_text(encoding="utf-8"))
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path in schema["paths"].values():
            for operation in path.values():
                _describe_errors(operation)
                _show(operation, answers)
        components = schema["components"]["schemas"]
        for document in _READ_ELSEWHERE:
            described = document.model_json_schema(ref_template=f"{_REFERENCE}{{model}}")
            components |= {**described.pop("$defs", {}), **components, document.__name__: described}
        for name in _UNUSED:
            components.pop(name, None)
        app.openapi_schema = _renamed(_without_object_defaults(schema), _plain_names(components))
    return app.openapi_schema


def describe_briefly(app: FastAPI) -> dict[str, Any]:
    """Return the schema as the docs page shows it: a layer is its `type`, without the options of a hundred classes."""
    whole = describe(app)
    schema: dict[str, Any] = _with_short_unions(whole, whole["components"]["schemas"])
    components = schema["components"]["schemas"]
    used: set[str] = set()
    found = _references(schema["paths"])
    while found:
        used |= found
        found = {name for each in found for name in _references(components[each])} - used
    schema["components"]["schemas"] = {name: each for name, each in components.items() if name in used}
    return schema


def _with_short_unions(node: Any, components: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        return [_with_short_unions(value, components) for value in node]
    if not isinstance(node, dict):
        return node
    if len(node.get("oneOf", ())) > _LONG_UNION:
        named = [components[name] for each in node["oneOf"] for name in _references(each)]
        types = {"enum": [each["properties"]["type"]["const"] for each in named]}
        about = "By `type`; options: docs/reference/layers.md, or /openapi.json."
        return {"type": "object", "description": about, "properties": {"type": types}, "required": ["type"]}
    return {key: _with_short_unions(value, components) for key, value in node.items()}


def _references(node: Any) -> set[str]:  # noqa: ANN401 - JSON
    """Return the names of the schemas to which a part of the document refers."""
    if isinstance(node, list):
        return {name for value in node for name in _references(value)}
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"].removeprefix(_REFERENCE)} if isinstance(node.get("$ref"), str) else set()
    return own | {name for value in node.values() for name in _references(value)}


def _describe_errors(operation: dict[str, Any]) -> None:
    """Errors come under a media type of their own; and where no key was ever made, none is needed."""
    if "security" in operation:
        operation["security"].append({})
    for status, answer in operation["responses"].items():
        if status >= "400" and answer.get("content"):
            example = {
                "type": "about:blank",
                "title": HTTPStatus(int(status)).phrase,
                "status": int(status),
                "detail": answer["description"],
                "instance": "/v1/…",
                "errors": [],
            }
            answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": f"{_REFERENCE}Problem"}, "example": example}}


def _show(operation: dict[str, Any], answers: Mapping[str, Any]) -> None:
    """Add an example of a successful answer."""
    for status, answer in operation["responses"].items():
        if status < "300" and "application/json" in answer.get("content", {}):
            answer["content"]["application/json"]["example"] = answers.get(operation["operationId"])


def _plain_names(components: dict[str, Any]) -> dict[str, str]:
    """Names for generic documents, which pydantic names by all of their arguments: their titles, where these differ."""
    titles = {name: re.sub(r"\W", "", schema.get("title", "")) for name, schema in components.items()}
    taken = [*titles.values(), *components]
    return {name: title for name, title in titles.items() if "_" in name and title and taken.count(title) == 1}


def _renamed(node: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, dict):
        return {names.get(key, key): _renamed(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, names) for value in node]
    if isinstance(node, str) and node.startswith(_REFERENCE):
        name = node.removeprefix(_REFERENCE)
        return _REFERENCE + names.get(name, name)
    return node


def _without_object_defaults(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Remove defaults of objects, which generators of clients cannot use; each key has its own."""
    if isinstance(node, dict):
        return {
            key: _without_object_defaults(value)
            for key, value in node.items()
            if not (key == "default" and isinstance(value, dict))
        }
    return [_without_object_defaults(value) for value in node] if isinstance(node, list) else node
