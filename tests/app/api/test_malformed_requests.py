"""What strangers send: each gets its 4xx, and nothing is changed by it."""

import datetime as dt
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.api import body_limits, head_limits
from app.api.conditional_requests import to_cursor
from models.sql.database import Database
from models.sql.experiment_list import Position
from models.sql.tables import Base
from tests.app.api.test_experiments import submit
from tests.factories import document, layers

JSON = {"Content-Type": "application/json"}
SPEC = json.dumps(document())
NOBODY = "0" * 32
HUGE = 10**400


def spec(**changes: Any) -> str:
    return json.dumps(document(**changes))


def raw(text: str, *parts: tuple[str, str]) -> str:
    for old, new in parts:
        assert old in text
        text = text.replace(old, new, 1)
    return text


EPOCHS = '"epochs": 10'
assert EPOCHS in spec(fit={"epochs": 10})

BODIES: dict[str, tuple[str | bytes, int]] = {
    "nothing": ("", 422),
    "null": ("null", 422),
    "a number": ("7", 422),
    "a string": ('"experiment"', 422),
    "an array": (f"[{SPEC}]", 422),
    "two documents": (SPEC + SPEC, 422),
    "cut off": (SPEC[:-1], 422),
    "cut in a string": (SPEC[: SPEC.index("titanic") + 3], 422),
    "trailing comma": (SPEC[:-1] + ",}", 422),
    "single quotes": (SPEC.replace('"', "'"), 422),
    "a comment": ("/* a spec */" + SPEC, 422),
    "byte order mark": ("\ufeff" + SPEC, 422),
    "UTF-16": (SPEC.encode("utf-16"), 422),
    "UTF-32": (SPEC.encode("utf-32"), 422),
    "Latin-1": (spec(name="x").replace('"x"', '"é"').encode("latin-1"), 422),
    "overlong UTF-8": (spec(name="x").encode().replace(b'"x"', b'"\xc0\xaf"'), 422),
    "a lone surrogate": (spec(name="x").replace('"x"', '"\\ud800"'), 422),
    "NUL in a name": (spec(name="x").replace('"x"', '"\\u0000"'), 422),
    "NUL between": (SPEC.replace(":", ":\x00", 1), 422),
    "a control character in a string": (spec(name="x").replace('"x"', '"\x01"'), 422),
    "an escaped control character": (spec(name="x").replace('"x"', '"\\u0007"'), 422),
    "gzip without saying so": (b"\x1f\x8b\x08\x00" + b"\x00" * 100, 422),
    "a pickle": (b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.", 422),
    "XML": ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", 422),
    "YAML": ("!!python/object/apply:os.system ['true']", 422),
    "arrays nested a hundred thousand deep": ("[" * 100_000 + "]" * 100_000, 422),
    "objects nested ten thousand deep": ('{"a":' * 10_000 + "1" + "}" * 10_000, 422),
    "nested within the name": (spec(name="x").replace('"x"', "[" * 500 + "]" * 500), 422),
    "a key twice": (raw(SPEC, ('{"name"', '{"name": "other", "name"')), 422),
    "a key twice, deep": (raw(spec(fit={"epochs": 10}), (EPOCHS, f"{EPOCHS}, {EPOCHS}")), 422),
    "a key twice, written otherwise": (raw(SPEC, ('{"name"', '{"n\\u0061me": "other", "name"')), 422),
    "a key that is no field": (spec(__class__="os"), 422),
    "prototype pollution": (spec(__proto__={"admin": True}), 422),
    "ten thousand unknown keys": (spec(**{f"k{number}": 1 for number in range(10_000)}), 422),
    "NaN": (raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": NaN')), 422),
    "infinity": (raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": Infinity')), 422),
    "minus infinity": (raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": -Infinity')), 422),
    "a float too large": (raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": 1e400')), 422),
    "a rate too large for a float": (raw(spec(optimizer={"name": "sgd", "learning_rate": 0.5}), ("0.5", "1e999")), 422),
    "a number of a million digits": (raw(spec(fit={"epochs": 10}), (EPOCHS, f'"epochs": {"9" * 1_000_000}')), 422),
    "a number of four hundred digits": (spec(fit={"epochs": HUGE}), 422),
    "two to the sixty-third": (spec(seeds=[2**63]), 422),
    "two to the sixty-fourth": (spec(seeds=[2**64]), 422),
    "a negative seed": (spec(seeds=[-1]), 422),
    "a fractional epoch": (spec(fit={"epochs": 1.5}), 422),
    "a number as text": (spec(fit={"epochs": "10"}), 422),
    "true for one": (spec(fit={"epochs": True}), 422),
    "minus zero epochs": (raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": -0')), 422),
    "a batch of a billion": (spec(fit={"batch_size": 10**9}), 422),
    "epochs for ever": (spec(fit={"epochs": 10**9}), 422),
    "units without end": (spec(model=layers({"type": "dense", "units": 10**12})), 422),
    "a million seeds": (spec(seeds=list(range(50_000))), 422),
    "a billion trials": (
        spec(
            sampler={"name": "grid"},
            fit={"epochs": {"int_uniform": [1, 10_000]}, "batch_size": {"int_uniform": [1, 10_000]}},
        ),
        422,
    ),
    "a thousand layers": (spec(model=layers(*[{"type": "dense", "units": 2}] * 1_000)), 422),
    "a Lambda layer": (spec(model=layers({"type": "lambda", "function": "os.system"})), 422),
    "a layer of another module": (spec(model=layers({"type": "os.system"})), 422),
    "a path for a dataset": (spec(dataset={"name": "../../etc/passwd"}), 422),
    "an address for a dataset": (spec(dataset={"name": "file:///etc/passwd"}), 422),
    "SQL for a dataset": (spec(dataset={"name": "'; DROP TABLE experiments; --"}), 422),
    "a template for a dataset": (spec(dataset={"name": "{{7*7}}"}), 422),
    "an empty name": (spec(name=""), 422),
    "a name of a megabyte": (spec(name="x" * 900_000), 422),
    "a body of two megabytes": (spec(name="x" * 2_000_000), 413),
    "a tag of a megabyte": (spec(tags=["x" * 900_000]), 422),
    "a thousand tags": (spec(tags=[str(number) for number in range(1_000)]), 422),
    "a loss that is code": (spec(loss="__import__('os').system('true')"), 422),
    "an optimizer that is code": (spec(optimizer={"name": "eval", "learning_rate": 1}), 422),
    "a metric that is a format": (spec(metrics=["{0.__class__}"]), 422),
}


def keras_json(**changes: Any) -> str:
    """A spec with a network in Keras's JSON, one of whose layers is changed."""
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2}, "registered_name": None}
    return spec(model={"keras": {"class_name": "Sequential", "config": {"layers": [dense | changes]}}})


def functional(*links: tuple[str, list[str]], outputs: Any = ("b", 0, 0), inputs: int = 1) -> str:
    """A spec with a graph of dense layers, each by its name and what it takes from."""

    def tensor(name: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

    shape = {"batch_shape": [None, 10]}
    layers_ = [
        {"class_name": "InputLayer", "config": shape, "name": f"in{number}", "inbound_nodes": []}
        for number in range(inputs)
    ] + [
        {
            "module": "keras.layers", "class_name": "Dense", "config": {"units": 2}, "name": name,
            "inbound_nodes": [{"args": [tensor(source)], "kwargs": {}} for source in sources],
        }
        for name, sources in links
    ]  # fmt: skip
    config = {"layers": layers_, "output_layers": outputs}
    return spec(model={"keras": {"class_name": "Functional", "config": config}})


NESTED = {"class_name": "Sequential", "module": "keras", "config": {"layers": []}}
PICKLED = ["4wEAAAAAAAAA", None, None]
KERAS: dict[str, str] = {
    "no object": spec(model={"keras": 7}),
    "an empty object": spec(model={"keras": {}}),
    "text that is no JSON": spec(model={"keras": "model = keras.Sequential()"}),
    "text nested deep": spec(model={"keras": "[" * 100_000}),
    "YAML": spec(model={"keras": "!!python/object/apply:os.system ['true']"}),
    "something beside it": spec(model={"keras": {}, "layers": []}),
    "a class of one's own": spec(model={"keras": {"class_name": "MyModel", "config": {}}}),
    "no layers": spec(model={"keras": {"class_name": "Sequential", "config": {"layers": []}}}),
    "layers that are none": spec(model={"keras": {"class_name": "Sequential", "config": {"layers": [7]}}}),
    "ten thousand layers": spec(model={"keras": {"class_name": "Sequential", "config": {"layers": [{}] * 10_000}}}),
    "a Lambda": keras_json(class_name="Lambda", config={"function": {"class_name": "__lambda__", "config": PICKLED}}),
    "a Lambda by another name": keras_json(config={"units": 2, "activation": {"class_name": "__lambda__"}}),
    "a function of a module": keras_json(
        config={"units": 2, "activation": {"class_name": "function", "module": "os", "config": "system"}}
    ),
    "a module of somebody else": keras_json(module="os"),
    "a registered class": keras_json(registered_name="custom>Dense"),
    "an unknown layer": keras_json(class_name="TFSMLayer", config={"filepath": "/etc/passwd"}),
    "a layer within a layer": keras_json(class_name="TimeDistributed", config={"layer": {}}),
    "a network within a network": keras_json(**NESTED),
    "a name that is no text": keras_json(class_name=["Dense"]),
    "no config": keras_json(config=None),
    "half precision": keras_json(config={"units": 2, "dtype": "float16"}),
    "a policy of one's own": keras_json(config={"units": 2, "dtype": {"class_name": "Mine", "module": "x"}}),
    "a frozen layer": keras_json(config={"units": 2, "trainable": False}),
    "a constraint": keras_json(config={"units": 2, "kernel_constraint": {"class_name": "MaxNorm"}}),
    "an initializer of one's own": keras_json(config={"units": 2, "kernel_initializer": {"class_name": "Mine"}}),
    "a seed of one's own": keras_json(
        config={
            "units": 2,
            "kernel_initializer": {
                "module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": 7}
            },
        }
    ),
    "a regularizer of one's own": keras_json(config={"units": 2, "kernel_regularizer": {"class_name": "Mine"}}),
    "an option nobody knows": keras_json(config={"units": 2, "hook": "os.system"}),
    "units without end": keras_json(config={"units": 10**30}),
    "units that are text": keras_json(config={"units": "2"}),
    "negative units": keras_json(config={"units": -2}),
    "a name with a path": keras_json(config={"units": 2, "name": "../../x"}),
    "a name that is code": keras_json(config={"units": 2, "name": "{0.__class__}"}),
    "a circle": functional(("a", ["b"]), ("b", ["a"])),
    "a layer that takes from itself": functional(("b", ["b"])),
    "a layer from nowhere": functional(("b", ["ghost"])),
    "a layer called twice": functional(("b", ["in0", "in0"])),
    "a layer that is never called": functional(("a", []), ("b", ["in0"])),
    "a layer that leads nowhere": functional(("a", ["in0"]), ("b", ["in0"])),
    "two layers of one name": functional(("b", ["in0"]), ("b", ["in0"])),
    "two inputs": functional(("b", ["in0"]), inputs=2),
    "no input": functional(("b", ["in0"]), inputs=0),
    "two outputs": functional(("b", ["in0"]), outputs=[["b", 0, 0], ["b", 0, 0]]),
    "an output that is none": functional(("b", ["in0"]), outputs={"b": 1}),
}  # fmt: skip
BODIES |= {f"Keras's JSON: {name}": (body, 422) for name, body in KERAS.items()}


def graph(*given: dict[str, Any]) -> str:
    return spec(model=layers(*({"type": "dense", "units": 2} | one for one in given)))


GRAPHS = {
    "an input from nowhere": graph({"inputs": ["ghost"]}),
    "an input from behind": graph({"inputs": ["b"]}, {"name": "b"}),
    "two inputs of a dense layer": graph({"name": "a"}, {"inputs": ["a", "input"]}),
    "one name twice": graph({"name": "a"}, {"name": "a"}),
    "a layer called input": graph({"name": "input"}, {}),
    "a layer nobody takes": graph({"name": "a"}, {"inputs": ["input"]}),
    "a sum of one": spec(model=layers({"type": "add"}, {"type": "dense", "units": 2})),
    "a sum of unlike ones": spec(
        model=layers({"type": "dense", "units": 3, "name": "a"}, {"type": "add", "inputs": ["a", "input"]})
    ),
    "a difference of three": spec(model=layers({"type": "subtract", "inputs": ["input", "input", "input"]})),
    "another input": spec(model=layers({"type": "dense", "units": 2}) | {"input_shape": [3, 3]}),
    "an input without end": spec(model=layers({"type": "dense", "units": 2}) | {"input_shape": [10**6] * 4}),
}
BODIES |= {f"a graph: {name}": (body, 422) for name, body in GRAPHS.items()}


@pytest.fixture
def untouched(http: httpx.Client, database: Database) -> Iterator[None]:
    """Looks at the whole database before and after."""

    def seen() -> list[Any]:
        with database.reading() as session:
            return [session.execute(select(table)).all() for table in Base.metadata.sorted_tables]

    submit(http)
    before = seen()
    yield
    assert seen() == before
    assert http.get("/livez").status_code == 200


def is_a_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert 10 < len(problem["detail"]) < 3_000
    assert "Traceback" not in answer.text
    assert len(answer.content) < 200_000


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", BODIES)
def test_bodies(http: httpx.Client, name: str) -> None:
    content, status = BODIES[name]
    body = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    is_a_problem(http.post("/v1/experiments", content=body, headers=JSON), status)


OF_TIMES = to_cursor("created_at", Position(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), f"exp_{NOBODY}"))

REQUESTS: dict[str, tuple[str, str, dict[str, str | bytes], int]] = {
    "no media type": ("POST", "/v1/experiments", {"Content-Type": ""}, 422),
    "a form": ("POST", "/v1/experiments", {"Content-Type": "application/x-www-form-urlencoded"}, 422),
    "XML's media type": ("POST", "/v1/experiments", {"Content-Type": "application/xml"}, 422),
    "a compressed body": ("POST", "/v1/experiments", JSON | {"Content-Encoding": "gzip"}, 415),
    "a body compressed in an unknown way": ("POST", "/v1/experiments", JSON | {"Content-Encoding": "x"}, 415),
    "an empty idempotency key": ("POST", "/v1/experiments", JSON | {"Idempotency-Key": ""}, 422),
    "an idempotency key without end": ("POST", "/v1/experiments", JSON | {"Idempotency-Key": "x" * 5_000}, 422),
    "an idempotency key of no text": ("POST", "/v1/experiments", JSON | {"Idempotency-Key": b"\xff\xfe"}, 422),
    "another method": ("PUT", "/v1/experiments", JSON, 405),
    "an id of another kind": ("GET", f"/v1/experiments/trl_{NOBODY}", {}, 404),
    "an id in capitals": ("GET", f"/v1/experiments/EXP_{NOBODY}", {}, 404),
    "an id with a wildcard": ("GET", "/v1/experiments/exp_%25", {}, 404),
    "an id with NUL": ("GET", f"/v1/experiments/exp_{NOBODY}%00", {}, 404),
    "an id with a line": ("GET", f"/v1/experiments/exp_{NOBODY}%0d%0aSet-Cookie:x", {}, 404),
    "an id that is no text": ("GET", "/v1/experiments/%ff%fe", {}, 404),
    "an id of full-width digits": ("GET", "/v1/experiments/exp_" + "%EF%BC%90" * 32, {}, 404),
    "an id without end": ("GET", "/v1/experiments/exp_" + "0" * 10_000, {}, 404),
    "a path out of the house": ("GET", "/v1/experiments/..%2f..%2f..%2fetc%2fpasswd", {}, 404),
    "the docs' files out of their folder": ("GET", "/docs/assets/..%2f..%2fmain.py", {}, 404),
    "the docs' files by a full path": ("GET", "/docs/assets/%2fetc%2fpasswd", {}, 404),
    "a dataset out of its folder": ("GET", "/v1/datasets/..%2ftitanic.csv", {}, 404),
    "a limit without end": ("GET", f"/v1/experiments?limit={HUGE}", {}, 422),
    "a negative limit": ("GET", "/v1/experiments?limit=-1", {}, 422),
    "a limit in another base": ("GET", "/v1/experiments?limit=0x10", {}, 422),
    "a sort that is SQL": ("GET", "/v1/experiments?sort=name;DROP%20TABLE%20trials", {}, 422),
    "a cursor that is none": ("GET", "/v1/experiments?cursor=AAAA", {}, 422),
    "a cursor that is JSON of ours no more": ("GET", "/v1/experiments?cursor=WyJuYW1lIiwgMSwgMl0", {}, 422),
    "a cursor nested deep": ("GET", "/v1/experiments?cursor=" + "W1tb" * 240, {}, 422),
    "a cursor of another order": ("GET", f"/v1/experiments?sort=name&cursor={OF_TIMES}", {}, 422),
    "a time that is none": ("GET", "/v1/experiments?created_after=yesterday", {}, 422),
    "a time beyond all calendars": ("GET", "/v1/experiments?created_after=99999-01-01T00:00:00Z", {}, 422),
    "NUL in a filter": ("GET", "/v1/experiments?dataset=%00", {}, 422),
    "a version that is none": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=1&version=x", {}, 422),
    "a version without end": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=1&version={HUGE}", {}, 422),
    "waiting for ever": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=1e9", {}, 422),
    "waiting for no number": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=nan", {}, 422),
    "waiting backwards": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=-1", {}, 422),
    "history after the end of numbers": ("GET", f"/v1/experiments/exp_{NOBODY}/history?after={2**70}", {}, 422),
    "a last event that is none": ("GET", f"/v1/experiments/exp_{NOBODY}/events", {"Last-Event-ID": "7; x"}, 422),
    "an ETag that is none": ("GET", f"/v1/experiments/exp_{NOBODY}", {"If-None-Match": '"' * 5_000}, 404),
    "a metric with a line": ("GET", f"/v1/experiments/exp_{NOBODY}/plot.svg?metric=%0a", {}, 422),
}  # fmt: skip


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", REQUESTS)
def test_requests(http: httpx.Client, name: str) -> None:
    method, path, headers, status = REQUESTS[name]
    content = SPEC.encode() if method in {"POST", "PUT"} else None
    is_a_problem(http.request(method, path, headers=headers, content=content), status)


@pytest.mark.usefixtures("untouched")
def test_what_is_no_http_ends_the_connection(http: httpx.Client) -> None:
    """Below what a client library would send."""
    port = http.base_url.port
    assert port is not None
    cases = {
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": b"400",  # TLS
        b"BREW /v1/experiments HTTP/1.1\r\nHost: x\r\n\r\n": b"400",
        b"GET / HTTP/9.9\r\n\r\n": b"400",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n": b"400",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": b"400",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": b"400",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 200_000 + b"\r\n\r\n": b"431",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"A: x\r\n" * 40_000 + b"\r\n": b"431",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n": b"431",
    }
    for sent, status in cases.items():
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(sent)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 " + status), (sent[:60], answer[:200])


@pytest.mark.usefixtures("untouched")
def test_who_sends_slowly_is_not_waited_for(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_limits, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(body_limits, "BODY_SECONDS", 0.3)
    head = (
        b"POST /v1/experiments%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )
    upload = head.replace(b"experiments%s", b"datasets?name=x").replace(b"application/json", b"text/csv")
    for sent in (b"", b"GET /livez HTTP/1.1\r\nHost", head % b"", head % b"/batch", upload):
        with socket.create_connection(("127.0.0.1", http.base_url.port), timeout=10) as connection:
            connection.sendall(sent)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 408"), (sent[:60], answer[:200])
        assert b"application/problem+json" in answer
