"""Requests that cost as much as their size allows: each with its answer's status, for one who needs no key."""

import json
from dataclasses import dataclass, field
from typing import Any

from fittingroom.specs.limits import MAX_BODY_BYTES
from tests.factories import document, layers

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv"}
EIGHT_MEGABYTES = 8 * 1024**2
NOBODY = "0" * 32
LONG = "x" * 60_000


@dataclass(frozen=True)
class Heavy:
    """A request and the status of its answer."""

    status: int
    path: str = "/v1/experiments"
    body: bytes | None = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: JSON)


def spec(**changes: Any) -> bytes:
    return json.dumps(document(**changes)).encode()


def filled(start: bytes, piece: bytes, end: bytes, size: int = MAX_BODY_BYTES) -> bytes:
    """Return a body of almost `size` bytes that repeats one piece."""
    return start + piece * ((size - len(start) - len(end)) // len(piece)) + end


def numbered(pattern: str, count: int, value: Any = 0) -> dict[str, Any]:
    return {pattern % number: value for number in range(count)}


def keras_of(*configs: dict[str, Any]) -> dict[str, Any]:
    dense = {"module": "keras.layers", "class_name": "Dense", "registered_name": None}
    return {"class_name": "Sequential", "config": {"layers": [dense | {"config": config} for config in configs]}}


WIDE = {"type": "dense", "units": 2}
TWICE = json.dumps(numbered("%d", 45_000))[:-1].encode() + b', "z": 0, "z": 0}'
MANY_SEEDS = spec(seeds=list(range(100)), optimizer={"name": "sgd", "learning_rate": {"log_uniform": [1e-5, 1]}},
                  sampler={"name": "random", "trials": 10})  # fmt: skip

BODIES: dict[str, bytes] = {
    "a key twice after 45,000 others": TWICE,
    "two keys twice, 30,000 times": filled(b"{", b'"a":0,"b":0,', b'"c":0}'),
    "arrays": filled(b"[", b"[],", b"0]"),
    "arrays, within the limit of values": filled(b"[", b"[],", b"0]", 140_000),
    "objects": filled(b"[", b"{},", b"0]"),
    "whole numbers": filled(b"[", b"0,", b"0]"),
    "short floats": filled(b"[", b"1e9,", b"0]"),
    "long floats": filled(b"[", b"0.12345678901234567,", b"0]"),
    "long whole numbers": filled(b"[", b"9" * 4_000 + b",", b"0]"),
    "texts": filled(b"[", b'"a",', b"0]"),
    "one text": filled(b'{"name":"', b"x", b'"}'),
    "one text, escaped": filled(b'{"name":"', b"\\u00e9", b'"}'),
    "white space": filled(b"", b" ", b"{}"),
    "depth 60, again and again": filled(b"[", b"[" * 60 + b"]" * 60 + b",", b"0]", 100_000),
    "depth without end": filled(b"", b"[", b""),
    "depth of objects without end": filled(b"", b'{"a":', b""),
    "30,000 keys that are nearly one of ours": spec(**numbered("epoch%d", 30_000)),
    "30,000 keys of a hundred letters": spec(**numbered("optimizer_" * 2 + "%d", 30_000)),
    "30,000 unknown keys of the fit": spec(fit={"epochs": 1} | numbered("epoch%d", 30_000)),
    "unknown keys of the optimizer": spec(optimizer={"name": "sgd"} | numbered("learning_rat%d", 30_000)),
    "unknown keys of the dataset": spec(dataset={"name": "titanic"} | numbered("nam%d", 30_000)),
    "unknown keys of a search space": spec(
        optimizer={"name": "sgd", "learning_rate": {"choice": [1]} | numbered("choic%d", 30_000)}
    ),
    "a hundred layers with 300 unknown keys": spec(model=layers(*[WIDE | numbered("unit%d", 300)] * 100)),
    "a hundred layers of long unknown types": spec(model=layers(*[{"type": "dens" * 2_000}] * 100)),
    "a hundred layers of short unknown types": spec(model=layers(*[{"type": "densee", "units": 1}] * 100)),
    "twenty models of a hundred layers that are none": spec(
        model=None, models={f"m{number}": layers(*[{"type": "dens"}] * 100) for number in range(20)}
    ),
    "twenty models of a hundred layers with twenty unknown keys": spec(
        model=None, models={f"m{number}": layers(*[WIDE | numbered("k%d", 20)] * 100) for number in range(20)}
    ),
    "9,000 models": spec(model=None, models={f"m{number}": layers(WIDE) for number in range(9_000)}),
    "20,000 models that are none": spec(model=None, models=numbered("m%d", 20_000)),
    "an unknown key of 900 KB": spec(**{"e" * 900_000: 1}),
    "a type of 900 KB": spec(model=layers({"type": "dense" * 180_000})),
    "an optimizer of 900 KB": spec(optimizer={"name": "sgd" * 300_000}),
    "a dataset of 900 KB": spec(dataset={"name": "titanic" * 130_000}),
    "a metric of 900 KB": spec(metrics=["accuracy" * 110_000]),
    "an objective of 900 KB": spec(objective={"metric": "loss" * 220_000}),
    "90,000 tags": spec(tags=["x"] * 90_000),
    "90,000 tags that are numbers": spec(tags=[1] * 90_000),
    "90,000 metrics": spec(metrics=["auc"] * 90_000),
    "90,000 seeds": spec(seeds=list(range(90_000))),
    "90,000 choices": spec(optimizer={"name": "sgd", "learning_rate": {"choice": [0.1] * 90_000}}),
    "90,000 choices of layers": spec(model=layers({"type": "dense", "units": {"choice": list(range(90_000))}})),
    "90,000 layers": spec(model=layers(*[{}] * 30_000)),
    "40,000 classes with weights": spec(fit={"epochs": 1, "class_weight": numbered("%d", 40_000, 1.0)}),
    "40,000 classes with bad weights": spec(fit={"epochs": 1, "class_weight": numbered("c%d", 40_000, "x")}),
    "a billion trials": spec(
        sampler={"name": "grid"},
        fit={"epochs": {"choice": list(range(1, 1_000))}, "batch_size": {"choice": list(range(1, 1_000))}},
        optimizer={"name": "sgd", "learning_rate": {"choice": [number / 1e4 for number in range(1, 1_000)]}},
    ),
    "Keras's JSON with 300 unknown options in a hundred layers": spec(
        model={"keras": keras_of(*[{"units": 2} | numbered("opt%d", 300)] * 100)}
    ),
    "Keras's JSON with 40,000 unknown options": spec(
        model={"keras": keras_of({"units": 2} | numbered("option%d", 40_000))}
    ),
    "Keras's JSON as text, of 900 KB": spec(model={"keras": json.dumps(keras_of({"units": 2, "name": "x" * 800_000}))}),
    "Keras's JSON as text, a key twice": spec(model={"keras": TWICE[:400_000].decode() + '0, "1": 2}'}),
    "Keras's JSON as text, wide": spec(model={"keras": filled(b"[", b"[],", b"0]", 100_000).decode()}),
    "Keras's JSON, nested": spec(model={"keras": json.loads(b'{"config":' * 50 + b"1" + b"}" * 50)}),
}
"""Bodies that are no experiment."""


def csv_of(columns: int, rows: int) -> bytes:
    return b"\n".join([b",".join(b"c%d" % number for number in range(columns)), *[b",".join([b"1"] * columns)] * rows])


REQUESTS: dict[str, Heavy] = {
    **{name: Heavy(422, body=body) for name, body in BODIES.items()},
    **{f"plan: {name}": Heavy(422, "/v1/experiments/plan", BODIES[name]) for name in list(BODIES)[::6]},
    "a valid experiment of a thousand trials": Heavy(202, body=MANY_SEEDS),
    "a valid plan of a thousand trials": Heavy(200, "/v1/experiments/plan", MANY_SEEDS),
    "8 MB of arrays for nobody's trial": Heavy(
        404, f"/v1/trials/trl_{NOBODY}/predict", filled(b"[", b"[],", b"0]", EIGHT_MEGABYTES)
    ),
    "8 MB at a path that ends like another": Heavy(
        404, "/elsewhere/predict", filled(b"[", b"0,", b"0]", EIGHT_MEGABYTES)
    ),
    "8 MB at no path": Heavy(404, "/nowhere", filled(b"[", b"0,", b"0]", EIGHT_MEGABYTES)),
    "8 MB for a method that is not taken": Heavy(
        405, "/v1/workers", filled(b"[", b"0,", b"0]", EIGHT_MEGABYTES), method="PUT"
    ),
    "8 MB for an experiment": Heavy(413, body=filled(b"[", b"0,", b"0]", EIGHT_MEGABYTES)),
    "8 MB for a cancel": Heavy(
        404, f"/v1/experiments/exp_{NOBODY}/cancel", filled(b"[", b"0,", b"0]", EIGHT_MEGABYTES)
    ),
    "a bulk submit of bad documents": Heavy(
        200, "/v1/experiments/batch", b"\n".join([BODIES["30,000 keys that are nearly one of ours"]] * 4),
        headers=NDJSON,
    ),
    "a bulk submit of arrays": Heavy(200, "/v1/experiments/batch", filled(b"[", b"[],", b"0]")),
    "a bulk submit with a key twice": Heavy(422, "/v1/experiments/batch", b"[" + TWICE + b"]"),
    "a bulk submit of empty lines": Heavy(200, "/v1/experiments/batch", b"\n" * EIGHT_MEGABYTES, headers=NDJSON),
    "a bulk submit of numbers": Heavy(
        200, "/v1/experiments/batch", filled(b"[", b"0,", b"0]", 100_000), headers=JSON
    ),
    "a table of 20,000 columns": Heavy(422, "/v1/datasets?name=wide", csv_of(20_000, 3), headers=CSV),
    "a table of nothing": Heavy(422, "/v1/datasets?name=empty", b"\n" * EIGHT_MEGABYTES, headers=CSV),
    "10,000 unknown parameters": Heavy(
        422, "/v1/experiments?" + "&".join(f"k{number}=1" for number in range(7_000)), method="GET"
    ),
    "a parameter 8,000 times": Heavy(422, "/v1/experiments?" + "&".join(["limit=1"] * 7_000), method="GET"),
    "a long unknown parameter": Heavy(422, f"/v1/experiments?{LONG}=1", method="GET"),
    "a long filter": Heavy(422, f"/v1/experiments?name={LONG}", method="GET"),
    "a long cursor": Heavy(422, f"/v1/experiments?cursor={LONG}", method="GET"),
    "a long list of metrics": Heavy(
        422, f"/v1/experiments/exp_{NOBODY}/plot.svg?metric={','.join(['a'] * 20_000)}", method="GET"
    ),
    "a long path": Heavy(404, f"/v1/experiments/{LONG}", method="GET"),
    "a path of many parts": Heavy(404, "/v1/" + "a/" * 30_000, method="GET"),
    "a path below the assets": Heavy(404, "/docs/assets/" + "..%2f" * 10_000, method="GET"),
    "10,000 ETags": Heavy(
        404, f"/v1/experiments/exp_{NOBODY}", method="GET", headers={"If-None-Match": ",".join(['"1"'] * 10_000)}
    ),
    "10,000 media types": Heavy(
        404, f"/v1/experiments/exp_{NOBODY}/history", method="GET", headers={"Accept": ",".join(["a/b"] * 10_000)}
    ),
    "a long idempotency key": Heavy(422, body=spec(), headers=JSON | {"Idempotency-Key": LONG}),
    "a long media type": Heavy(202, body=spec(), headers={"Content-Type": f"application/json; x={LONG}"}),
    "a long host": Heavy(421, "/livez", method="GET", headers={"Host": LONG}),
    "a long key": Heavy(200, "/v1/workers", method="GET", headers={"Authorization": f"Bearer {LONG}"}),
    "the schema, for the first time": Heavy(200, "/openapi.json", method="GET"),
    "a method that is not taken": Heavy(405, "/v1/workers", method="DELETE"),
    "the docs page": Heavy(200, "/docs", method="GET"),
    "the dashboard": Heavy(200, "/", method="GET"),
    "the chart library": Heavy(200, "/static/plotly.min.js", method="GET"),
}  # fmt: skip
