"""Bodies of `POST /v1/experiments` that are refused: each with the pointer and some words of its first fault."""

import json
from typing import Any

from tests.factories import document, layers

Refused = tuple[str | bytes, str, str]
"""Body, pointer of the first fault, and a part of its detail."""
SPEC = json.dumps(document())
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

BODIES: dict[str, Refused] = {
    "nothing": ("", "", "at line 1"),
    "null": ("null", "", "expected a JSON object"),
    "a number": ("7", "", "expected a JSON object"),
    "a string": ('"experiment"', "", "expected a JSON object"),
    "an array": (f"[{SPEC}]", "", "expected a JSON object"),
    "a number for a dataset": (spec(dataset=7), "/dataset", "expected a JSON object"),
    "two documents": (SPEC + SPEC, "", "at line 1"),
    "cut off": (SPEC[:-1], "", "at line 1"),
    "cut in a string": (SPEC[: SPEC.index("titanic") + 3], "", "at line 1"),
    "trailing comma": (SPEC[:-1] + ",}", "", "at line 1"),
    "single quotes": (SPEC.replace('"', "'"), "", "at line 1"),
    "a comment": ("/* a spec */" + SPEC, "", "at line 1"),
    "byte order mark": ("\ufeff" + SPEC, "", "at line 1"),
    "UTF-16": (SPEC.encode("utf-16"), "", "not UTF-8"),
    "UTF-32": (SPEC.encode("utf-32"), "", "not UTF-8"),
    "Latin-1": (spec(name="x").replace('"x"', '"é"').encode("latin-1"), "", "not UTF-8"),
    "overlong UTF-8": (spec(name="x").encode().replace(b'"x"', b'"\xc0\xaf"'), "", "not UTF-8"),
    "a lone surrogate": (spec(name="x").replace('"x"', '"\\ud800"'), "/name", "input should be a valid string"),
    "NUL in a name": (spec(name="x").replace('"x"', '"\\u0000"'), "/name", "match pattern"),
    "NUL between": (SPEC.replace(":", ":\x00", 1), "", "at line 1"),
    "a control character in a string": (spec(name="x").replace('"x"', '"\x01"'), "", "at line 1"),
    "an escaped control character": (spec(name="x").replace('"x"', '"\\u0007"'), "/name", "match pattern"),
    "gzip without saying so": (b"\x1f\x8b\x08\x00" + b"\x00" * 100, "", "not UTF-8"),
    "a pickle": (
        b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
        "",
        "not UTF-8",
    ),
    "XML": ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "", "at line 1"),
    "YAML": ("!!python/object/apply:os.system ['true']", "", "at line 1"),
    "arrays nested a hundred thousand deep": ("[" * 100_000 + "]" * 100_000, "", "nested too deeply"),
    "objects nested ten thousand deep": ('{"a":' * 10_000 + "1" + "}" * 10_000, "", "nested too deeply"),
    "nested within the name": (spec(name="x").replace('"x"', "[" * 500 + "]" * 500), "", "nested too deeply"),
    "a key twice": (raw(SPEC, ('{"name"', '{"name": "other", "name"')), "", "duplicate key"),
    "a key twice, deep": (raw(spec(fit={"epochs": 10}), (EPOCHS, f"{EPOCHS}, {EPOCHS}")), "", "duplicate key"),
    "a key twice, written otherwise": (raw(SPEC, ('{"name"', '{"n\\u0061me": "other", "name"')), "", "duplicate key"),
    "a key that is no field": (spec(__class__="os"), "/__class__", "unknown key"),
    "prototype pollution": (spec(__proto__={"admin": True}), "/__proto__", "unknown key"),
    "ten thousand unknown keys": (spec(**{f"k{number}": 1 for number in range(10_000)}), "/k0", "unknown key"),
    "NaN": (raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": NaN')), "", "NaN is no number in JSON"),
    "infinity": (raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": Infinity')), "", "Infinity is no number in JSON"),
    "minus infinity": (
        raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": -Infinity')),
        "",
        "-Infinity is no number in JSON",
    ),
    "a float too large": (raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": 1e400')), "/fit/epochs", "valid integer"),
    "a rate too large for a float": (
        raw(spec(optimizer={"name": "sgd", "learning_rate": 0.5}), ("0.5", "1e999")),
        "/optimizer/learning_rate",
        "input should be a finite number",
    ),
    "a number of a million digits": (
        raw(spec(fit={"epochs": 10}), (EPOCHS, f'"epochs": {"9" * 1_000_000}')),
        "",
        "it has a number of too",
    ),
    "a number of four hundred digits": (spec(fit={"epochs": HUGE}), "/fit/epochs", "less than or equal to 10000"),
    "two to the sixty-third": (spec(seeds=[2**63]), "/seeds/0", "less than or equal to 4294967295"),
    "two to the sixty-fourth": (spec(seeds=[2**64]), "/seeds/0", "less than or equal to 4294967295"),
    "a negative seed": (spec(seeds=[-1]), "/seeds/0", "greater than or equal to 0"),
    "a fractional epoch": (spec(fit={"epochs": 1.5}), "/fit/epochs", "valid integer"),
    "a number as text": (spec(fit={"epochs": "10"}), "/fit/epochs", "valid integer"),
    "true for one": (spec(fit={"epochs": True}), "/fit/epochs", "valid integer"),
    "minus zero epochs": (
        raw(spec(fit={"epochs": 10}), (EPOCHS, '"epochs": -0')),
        "/fit/epochs",
        "greater than or equal to 1",
    ),
    "a batch of a billion": (spec(fit={"batch_size": 10**9}), "/fit/batch_size", "less than or equal to 65536"),
    "epochs for ever": (spec(fit={"epochs": 10**9}), "/fit/epochs", "less than or equal to 10000"),
    "units without end": (
        spec(model=layers({"type": "dense", "units": 10**12})),
        "/model/layers/0/units",
        "less than or equal to 65536",
    ),
    "a million seeds": (spec(seeds=list(range(50_000))), "/seeds", "at most 100"),
    "a billion trials": (
        spec(
            sampler={"name": "grid"},
            fit={"epochs": {"int_uniform": [1, 10_000]}, "batch_size": {"int_uniform": [1, 10_000]}},
        ),
        "",
        "this makes 100",
    ),
    "a thousand layers": (spec(model=layers(*[{"type": "dense", "units": 2}] * 1_000)), "/model/layers", "at most 100"),
    "a Lambda layer": (
        spec(model=layers({"type": "lambda", "function": "os.system"})),
        "/model/layers/0/type",
        "there is no 'lambda'",
    ),
    "a layer of another module": (
        spec(model=layers({"type": "os.system"})),
        "/model/layers/0/type",
        "there is no 'os.system'",
    ),
    "a path for a dataset": (spec(dataset={"name": "../../etc/passwd"}), "/dataset/name", "there is no such dataset"),
    "an address for a dataset": (
        spec(dataset={"name": "file:///etc/passwd"}),
        "/dataset/name",
        "there is no such dataset",
    ),
    "SQL for a dataset": (
        spec(dataset={"name": "'; DROP TABLE experiments; --"}),
        "/dataset/name",
        "there is no such dataset",
    ),
    "a template for a dataset": (spec(dataset={"name": "{{7*7}}"}), "/dataset/name", "there is no such dataset"),
    "an empty name": (spec(name=""), "/name", "String should have at least 1"),
    "a name of a megabyte": (spec(name="x" * 900_000), "/name", "at most 200"),
    "a tag of a megabyte": (spec(tags=["x" * 900_000]), "/tags/0", "at most 50"),
    "a thousand tags": (spec(tags=[str(number) for number in range(1_000)]), "/tags", "at most 20"),
    "a loss that is code": (
        spec(loss="__import__('os').system('true')"),
        "/loss",
        "there is no \"__import__('os').system('true')\"",
    ),
    "an optimizer that is code": (
        spec(optimizer={"name": "eval", "learning_rate": 1}),
        "/optimizer/name",
        "there is no 'eval'",
    ),
    "a metric that is a format": (spec(metrics=["{0.__class__}"]), "/metrics/0", "there is no '{0.__class__}'"),
}


def keras_json(**changes: Any) -> str:
    """Return a spec with a network in Keras's JSON, one of whose layers is changed."""
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2}, "registered_name": None}
    return spec(model={"keras": {"class_name": "Sequential", "config": {"layers": [dense | changes]}}})


def functional(*links: tuple[str, list[str]], outputs: Any = ("b", 0, 0), inputs: int = 1) -> str:
    """Return a spec with a graph of dense layers, each by its name and what it takes from."""

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


DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2}}


def around(depth: int) -> dict[str, Any]:
    """Return the config of a layer that is around others."""
    layer: dict[str, Any] = DENSE
    for _ in range(depth):
        layer = {"module": "keras.layers", "class_name": "TimeDistributed", "config": {"layer": layer}}
    return {"layer": layer}


def nested(depth: int) -> dict[str, Any]:
    """Return a network within others."""
    network: dict[str, Any] = DENSE
    for _ in range(depth):
        network = {"class_name": "Sequential", "module": "keras", "config": {"layers": [network]}}
    return network


NESTED = {"class_name": "Sequential", "module": "keras", "config": {"layers": []}}
PICKLED = ["4wEAAAAAAAAA", None, None]
KERAS: dict[str, Refused] = {
    "no object": (spec(model={"keras": 7}), "/model/keras", "expected an object"),
    "an empty object": (spec(model={"keras": {}}), "/model/keras", "expected an object"),
    "text that is no JSON": (
        spec(model={"keras": "model = keras.Sequential()"}),
        "/model/keras",
        "this text is no JSON",
    ),
    "text nested deep": (spec(model={"keras": "[" * 90_000}), "/model/keras", "this text is no JSON"),
    "YAML": (spec(model={"keras": "!!python/object/apply:os.system ['true']"}), "/model/keras", "this text is no JSON"),
    "something beside it": (
        spec(model={"keras": {}, "layers": []}),
        "/model/layers",
        "nothing may stand beside 'keras'",
    ),
    "a class of one's own": (
        spec(model={"keras": {"class_name": "MyModel", "config": {}}}),
        "/model/keras/class_name",
        "expected a Sequential or a Functional",
    ),
    "no layers": (
        spec(model={"keras": {"class_name": "Sequential", "config": {"layers": []}}}),
        "/model/keras/config/layers",
        "expected at least one layer beside",
    ),
    "layers that are none": (
        spec(model={"keras": {"class_name": "Sequential", "config": {"layers": [7]}}}),
        "/model/keras/config/layers/0",
        "expected an object",
    ),
    "ten thousand layers": (
        spec(model={"keras": {"class_name": "Sequential", "config": {"layers": [{}] * 10_000}}}),
        "/model/keras/config/layers",
        "at most 100",
    ),
    "a Lambda": (
        keras_json(class_name="Lambda", config={"function": {"class_name": "__lambda__", "config": PICKLED}}),
        "/model/keras/config/layers/0/class_name",
        "this layer is not supported",
    ),
    "a Lambda by another name": (
        keras_json(config={"units": 2, "activation": {"class_name": "__lambda__"}}),
        "/model/keras/config/layers/0/config/activation",
        "expected the name of a function",
    ),
    "a function of a module": (
        keras_json(config={"units": 2, "activation": {"class_name": "function", "module": "os", "config": "system"}}),
        "/model/keras/config/layers/0/config/activation",
        "expected the name of a function",
    ),
    "a module of somebody else": (
        keras_json(module="os"),
        "/model/keras/config/layers/0/module",
        "expected a layer of the module keras.layers",
    ),
    "a module that is a list": (
        keras_json(module=[]),
        "/model/keras/config/layers/0/module",
        "expected a layer of the module keras.layers",
    ),
    "a registered name that is an object": (
        keras_json(registered_name={}),
        "/model/keras/config/layers/0/module",
        "expected a layer of the module keras.layers",
    ),
    "a regularizer that is a list": (
        keras_json(config={"units": 2, "kernel_regularizer": {"class_name": [], "config": {}}}),
        "/model/keras/config/layers/0/config/kernel_regularizer",
        "expected L1, L2, L1L2 or",
    ),
    "a registered class": (
        keras_json(registered_name="custom>Dense"),
        "/model/keras/config/layers/0/module",
        "expected a layer of the module keras.layers",
    ),
    "an unknown layer": (
        keras_json(class_name="TFSMLayer", config={"filepath": "/etc/passwd"}),
        "/model/keras/config/layers/0/class_name",
        "this layer is not supported",
    ),
    "a layer within a layer": (
        keras_json(class_name="TimeDistributed", config={"layer": {}}),
        "/model/keras/config/layers/0/config/layer",
        "this layer is not supported",
    ),
    "layers around layers without end": (
        keras_json(class_name="TimeDistributed", config=around(12)),
        "/model/keras/config/layers/0" + "/config/layer" * 9,
        "there are more than 8 layers",
    ),
    "four layers around a layer": (
        keras_json(class_name="TimeDistributed", config=around(4)),
        "/model/keras/config/layers/0/config/layer/config/layer",
        "more than 3 layers",
    ),
    "networks in networks without end": (
        keras_json(**nested(12)),
        "/model/keras/config/layers/0" + "/config/layers/0" * 8 + "/config",
        "at most 8 deep",
    ),
    "a network of too many layers": (
        keras_json(class_name="Sequential", module="keras", config={"layers": [DENSE] * 101}),
        "/model/keras/config/layers/0/config/layers/100",
        "at most 100 layers",
    ),
    "a network within a network that is empty": (
        keras_json(**NESTED),
        "/model/keras/config/layers",
        "expected at least one layer",
    ),
    "a module of somebody else for a network": (
        keras_json(**NESTED | {"module": "os"}),
        "/model/keras/config/layers/0/class_name",
        "this layer is not supported",
    ),
    "a vocabulary in a file": (
        keras_json(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}),
        "/model/keras/config/layers/0/class_name",
        "rows are numbers",
    ),
    "an operation of somebody else": (
        keras_json(class_name="Evil", module="keras.src.ops.numpy"),
        "/model/keras/config/layers/0/class_name",
        "this operation is not",
    ),
    "the JSON of Keras 2": (
        spec(model={"keras": {"class_name": "Sequential", "config": {"layers": [DENSE]}, "keras_version": "2.15.0"}}),
        "/model/keras/keras_version",
        "the JSON of Keras 2",
    ),
    "a name that is no text": (
        keras_json(class_name=["Dense"]),
        "/model/keras/config/layers/0/class_name",
        "this layer is not supported",
    ),
    "no config": (keras_json(config=None), "/model/keras/config/layers/0/config", "expected an object"),
    "half precision": (
        keras_json(config={"units": 2, "dtype": "float16"}),
        "/model/keras/config/layers/0/config/dtype",
        "a layer is float32",
    ),
    "a policy of one's own": (
        keras_json(config={"units": 2, "dtype": {"class_name": "Mine", "module": "x"}}),
        "/model/keras/config/layers/0/config/dtype",
        "a layer is float32",
    ),
    "trainable that is neither": (
        keras_json(config={"units": 2, "trainable": "no"}),
        "/model/keras/config/layers/0/config/trainable",
        "valid boolean",
    ),
    "a constraint of one's own": (
        keras_json(config={"units": 2, "kernel_constraint": {"class_name": "Mine"}}),
        "/model/keras/config/layers/0/config/kernel_constraint",
        "expected one of keras.constraints",
    ),
    "a layer that does not fit": (
        keras_json(class_name="Conv2D", config={"filters": 2, "kernel_size": 3}),
        "/model/keras/config/layers/0",
        "takes images of height",
    ),
    "a shared layer on another shape": (
        functional(("a", ["in0", "a"]), outputs=["a", 1, 0]),
        "/model/keras/config/layers/1",
        "another shape",
    ),
    "an initializer of one's own": (
        keras_json(config={"units": 2, "kernel_initializer": {"class_name": "Mine"}}),
        "/model/keras/config/layers/0/config/kernel_initializer",
        "expected one of keras.initializers",
    ),
    "a seed of one's own": (
        keras_json(
            config={
                "units": 2,
                "kernel_initializer": {"module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": 7}},
            }
        ),
        "/model/keras/config/layers/0/config/kernel_initializer/config/seed",
        "only None is supported",
    ),
    "a regularizer of one's own": (
        keras_json(config={"units": 2, "kernel_regularizer": {"class_name": "Mine"}}),
        "/model/keras/config/layers/0/config/kernel_regularizer",
        "expected an object",
    ),
    "an option nobody knows": (
        keras_json(config={"units": 2, "hook": "os.system"}),
        "/model/keras/config/layers/0/config/hook",
        "this option is not supported",
    ),
    "units without end": (
        keras_json(config={"units": 10**30}),
        "/model/keras/config/layers/0/config/units",
        "less than or equal to 65536",
    ),
    "units that are text": (
        keras_json(config={"units": "2"}),
        "/model/keras/config/layers/0/config/units",
        "valid integer",
    ),
    "negative units": (
        keras_json(config={"units": -2}),
        "/model/keras/config/layers/0/config/units",
        "greater than or equal to 1",
    ),
    "a name with a path": (
        keras_json(config={"units": 2, "name": "../../x"}),
        "/model/keras/config/layers/0/config/name",
        "match pattern",
    ),
    "a name that is code": (
        keras_json(config={"units": 2, "name": "{0.__class__}"}),
        "/model/keras/config/layers/0/config/name",
        "match pattern",
    ),
    "a circle": (
        functional(("a", ["b"]), ("b", ["a"])),
        "/model/keras/config/layers",
        "they take from layers that are",
    ),
    "a layer that takes from itself": (
        functional(("b", ["b"])),
        "/model/keras/config/layers",
        "they take from layers that are",
    ),
    "a layer from nowhere": (
        functional(("b", ["ghost"])),
        "/model/keras/config/layers",
        "they take from layers that are",
    ),
    "a layer called twice": (
        functional(("b", ["in0", "in0"])),
        "/model/keras/config/layers/1",
        "no layer takes what this one",
    ),
    "a layer that is never called": (
        functional(("a", []), ("b", ["in0"])),
        "/model/keras/config/layers/1/inbound_nodes",
        "expected a layer that is called",
    ),
    "a layer that leads nowhere": (
        functional(("a", ["in0"]), ("b", ["in0"])),
        "/model/keras/config/layers/1",
        "no layer takes what this one",
    ),
    "two layers of one name": (
        functional(("b", ["in0"]), ("b", ["in0"])),
        "/model/keras/config/layers/2/name",
        "every layer needs a name of",
    ),
    "an input that nothing takes": (
        functional(("b", ["in0"]), inputs=2),
        "/model/keras/config/layers/2",
        "no layer takes the input",
    ),
    "no input": (functional(("b", ["in0"]), inputs=0), "/model/keras/config", "called with 1 inputs"),
    "two outputs": (
        functional(("b", ["in0"]), outputs=[["b", 0, 0], ["b", 0, 0]]),
        "/loss",
        "give an object with the loss of each: b, b_1",
    ),
    "an output that is none": (
        functional(("b", ["in0"]), outputs={"b": 1}),
        "/model/keras/config/output_layers",
        "expected layers, each with",
    ),
}
BODIES |= {f"Keras's JSON: {name}": row for name, row in KERAS.items()}


def as_text(body: str) -> str:
    """Return a spec whose network is given as a text, as `model.to_json()` returns it."""
    document = json.loads(body)
    network = document["model"]["keras"]
    document["model"]["keras"] = network if isinstance(network, str) else json.dumps(network)
    return json.dumps(document)


BODIES |= {
    f"Keras's JSON as text: {name}": (as_text(body), *expected)
    for name, (body, *expected) in KERAS.items()
    if '"keras": {"' in body
}


def graph(*given: dict[str, Any]) -> str:
    return spec(model=layers(*({"type": "dense", "units": 2} | one for one in given)))


GRAPHS: dict[str, Refused] = {
    "an input from nowhere": (graph({"inputs": ["ghost"]}), "/model/layers/0", "no layer before this one is"),
    "an input from behind": (graph({"inputs": ["b"]}, {"name": "b"}), "/model/layers/0", "no layer before this one is"),
    "two inputs of a dense layer": (
        graph({"name": "a"}, {"inputs": ["a", "input"]}),
        "/model/layers/1",
        "dense takes one input",
    ),
    "one name twice": (graph({"name": "a"}, {"name": "a"}), "/model/layers/1", "duplicate layer name"),
    "a layer called input": (graph({"name": "input"}, {}), "/model/layers/0", "duplicate layer name"),
    "a layer nobody takes": (
        graph({"name": "a"}, {"inputs": ["input"]}),
        "/model/layers/0",
        "no layer takes what this one",
    ),
    "a sum of one": (
        spec(model=layers({"type": "add"}, {"type": "dense", "units": 2})),
        "/model/layers/0",
        "add takes two inputs or more",
    ),
    "a sum of unlike ones": (
        spec(model=layers({"type": "dense", "units": 3, "name": "a"}, {"type": "add", "inputs": ["a", "input"]})),
        "/model/layers/1",
        "of one shape",
    ),
    "a difference of three": (
        spec(model=layers({"type": "subtract", "inputs": ["input", "input", "input"]})),
        "/model/layers/0",
        "subtract takes two inputs",
    ),
    "another input": (
        spec(model=layers({"type": "dense", "units": 2}) | {"input_shape": [3, 3]}),
        "/model/layers/0",
        "the input is 3 x 3",
    ),
    "an input without end": (
        spec(model=layers({"type": "dense", "units": 2}) | {"input_shape": [10**6] * 4}),
        "/model/layers/0",
        "the input is 1000000 x 1000000",
    ),
}
BODIES |= {f"a graph: {name}": row for name, row in GRAPHS.items()}


def body_of(name: str) -> bytes:
    """Return the bytes of a body, lone surrogates and all."""
    content, _, _ = BODIES[name]
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
