"""Bad specs: each gets a 422 whose pointer names the fault, and changes nothing."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from models.settings import Settings
from models.sql.database import Database
from models.sql.tables import Base
from tests.conftest import emptied
from tests.factories import DENSE_2, DENSE_10, digits, document, layers
from tests.serving import served

DENSE = {"type": "dense", "units": 4}
IMAGE = {"type": "reshape", "target_shape": [28, 28, 1]}
MANY = {"choice": list(range(1, 1001))}


def optimizer(name: str = "sgd", **options: Any) -> dict[str, Any]:
    return document(optimizer={"name": name, **options})


def model(*given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return document(model=layers(*given), **changes)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in document().items() if name != key}


BAD_SPECS: list[tuple[str, Any, str]] = [
    # shape of the document
    ("not an object", [], ""),
    ("a bare string", "titanic", ""),
    ("nothing", None, ""),
    ("no name", without("name"), "/name"),
    ("no dataset", without("dataset"), "/dataset"),
    ("no optimizer", without("optimizer"), "/optimizer"),
    ("no loss", without("loss"), "/loss"),
    ("neither model nor models", without("model"), ""),
    ("both model and models", document(models={"a": layers(DENSE_2)}), ""),
    ("no models", document(model=None, models={}), "/models"),
    ("unknown key", document(learning_rate=0.1), "/learning_rate"),
    ("unknown key with a slash", document(**{"a/b~c": 1}), "/a~1b~0c"),
    ("empty name", document(name=""), "/name"),
    ("long name", document(name="n" * 201), "/name"),
    ("name with NUL", document(name="a\x00b"), "/name"),
    ("name no text", document(name=7), "/name"),
    ("tag twice", document(tags=["a", "a"]), "/tags"),
    ("too many tags", document(tags=[str(n) for n in range(21)]), "/tags"),
    ("bad model name", document(model=None, models={"../x": layers(DENSE_2)}), "/models/..~1x"),
    ("unknown device", document(device="tpu"), "/device"),
    ("unknown backend", document(backend="torch"), "/backend"),
    ("unknown precision", document(precision="float16"), "/precision"),
    ("unknown optimizer in a choice", document(optimizer={"choice": ["adam", {"name": "adan"}]}), "/optimizer/choice/1/name"),
    ("losses compared by themselves", document(loss={"choice": ["mse", "huber"]}), "/objective"),
    ("a layer that fits in one option alone", model({"choice": [[], {"type": "conv1d", "filters": 2, "kernel_size": 3}]}, DENSE_2), "/model/layers/0/choice/1"),
    ("the value of no space", model(DENSE | {"units": {"same_as": "/model"}}, DENSE_2), "/model/layers/0/units"),
    # dataset
    ("unknown dataset", document(dataset={"name": "titanik"}), "/dataset/name"),
    ("more rows than there are", document(dataset={"name": "titanic", "rows": 892}), "/dataset/rows"),
    ("one row", document(dataset={"name": "titanic", "rows": 1}), "/dataset/rows"),
    ("rows as text", document(dataset={"name": "titanic", "rows": "100"}), "/dataset/rows"),
    # losses and metrics
    ("a loss of several outputs for one", model({"type": "dense", "units": 1, "activation": "sigmoid"}, loss="kl_divergence"), "/loss"),
    ("a loss of probabilities for others", model({"type": "dense", "units": 2, "activation": "tanh"}, loss="kl_divergence"), "/model/layers/0/activation"),
    ("f1 of one output without a threshold", model({"type": "dense", "units": 1, "activation": "tanh"}, loss="hinge", metrics=["f1_score"]), "/metrics/0"),
    ("f1 above 0", model({"type": "dense", "units": 1, "activation": "tanh"}, loss="hinge", metrics=[{"name": "f1_score", "threshold": 0}]), "/metrics/0/threshold"),
    ("hinge of probabilities", model({"type": "dense", "units": 1, "activation": "sigmoid"}, loss="hinge"), "/model/layers/0/activation"),
    ("sparsemax over one unit", model({"type": "dense", "units": 1, "activation": "sparsemax"}, loss="binary_crossentropy"), "/model/layers/0/activation"),
    ("poisson of negative outputs", model({"type": "dense", "units": 1}, loss="poisson"), "/model/layers/0/activation"),
    ("f1 of a mean of no kind", document(metrics=[{"name": "f1_score", "average": None}]), "/metrics/0/average"),
    ("f1 of class numbers", document(loss="sparse_categorical_crossentropy", metrics=["f1_score"]), "/metrics/0"),
    ("alpha above 1", digits(DENSE_10, loss={"name": "categorical_focal_crossentropy", "alpha": 1.5}), "/loss/alpha"),
    ("a power that grows", optimizer("ftrl", learning_rate_power=0.5), "/optimizer/learning_rate_power"),
    ("a decay without steps", optimizer(learning_rate={"schedule": "polynomial_decay", "initial_learning_rate": 0.1}), "/optimizer/learning_rate/decay_steps"),
    ("restarts that come sooner", optimizer(learning_rate={"schedule": "cosine_decay_restarts", "initial_learning_rate": 0.1, "first_decay_steps": 9, "t_mul": 0.5}), "/optimizer/learning_rate/t_mul"),
    ("an activation of other words", model({"type": "dense", "units": 2, "activation": "glu"}), "/model/layers/0/activation"),
    # fit
    ("no epochs", document(fit={"epochs": 0}), "/fit/epochs"),
    ("too many epochs", document(fit={"epochs": 10_001}), "/fit/epochs"),
    ("half an epoch", document(fit={"epochs": 1.5}), "/fit/epochs"),
    ("epochs true", document(fit={"epochs": True}), "/fit/epochs"),
    ("batch of none", document(fit={"batch_size": 0}), "/fit/batch_size"),
    ("more memory than a worker has", document(dataset={"name": "mnist"}, model=layers({"type": "dense", "units": 60_000}, DENSE_10), fit={"batch_size": 60_000}), "/fit/batch_size"),
    ("no time at all", document(fit={"time_limit_seconds": 0}), "/fit/time_limit_seconds"),
    ("huge batch", document(fit={"batch_size": 10**9}), "/fit/batch_size"),
    ("all rows validate", document(fit={"validation_split": 1.0}), "/fit/validation_split"),
    ("an unknown pruner", document(pruner={"name": "hyperbanana"}), "/pruner/name"),
    ("a pruner without its number", document(pruner={"name": "top_k"}), "/pruner/k"),
    ("a pruner that keeps all", document(pruner={"name": "successive_halving", "reduction_factor": 1}), "/pruner/reduction_factor"),
    ("an unknown split", document(fit={"validation_split": 0.3, "split": "first"}), "/fit/split"),
    ("a split of nothing", document(fit={"split": "shuffled"}), "/fit/split"),
    ("no row left to fit", document(fit={"test_split": 0.9999}), "/fit/test_split"),
    ("too few rows left to fit", document(dataset={"name": "titanic", "rows": 4}, fit={"test_split": 0.5, "validation_split": 0.9}), "/fit/validation_split"),
    ("all rows for the test", document(fit={"test_split": 1.0}), "/fit/test_split"),
    ("split below 0", document(fit={"validation_split": -0.1}), "/fit/validation_split"),
    ("no training row left", document(fit={"validation_split": 0.9999}), "/fit/validation_split"),
    ("shuffle as text", document(fit={"validation_split": 0.3, "shuffle": "yes"}), "/fit/shuffle"),
    # what is watched
    ("monitor nobody records", document(early_stopping={"monitor": "val_auc"}), "/early_stopping/monitor"),
    ("plateau of a metric nobody records", document(reduce_lr_on_plateau={"monitor": "val_auc"}), "/reduce_lr_on_plateau/monitor"),
    ("plateau that lowers nothing", document(reduce_lr_on_plateau={"factor": 1.0}), "/reduce_lr_on_plateau/factor"),
    ("plateau beside a schedule", document(reduce_lr_on_plateau={}, optimizer={"name": "sgd", "learning_rate": {"schedule": "cosine_decay", "initial_learning_rate": 0.1, "decay_steps": 9}}), "/reduce_lr_on_plateau"),
    ("val_ monitor without validation", document(fit={}, early_stopping={}), "/early_stopping/monitor"),
    ("objective nobody records", document(objective={"metric": "precision"}), "/objective/metric"),
    ("val_ objective without validation", document(fit={}, objective={"metric": "val_loss"}), "/objective/metric"),
    ("unknown direction", document(objective={"metric": "loss", "direction": "up"}), "/objective/direction"),
    ("negative patience", document(early_stopping={"patience": -1}), "/early_stopping/patience"),
    ("unknown mode", document(early_stopping={"mode": "least"}), "/early_stopping/mode"),
    # metrics and losses
    ("unknown metric", document(metrics=["acuracy"]), "/metrics/0"),
    ("metric twice", document(metrics=["accuracy", "accuracy"]), "/metrics"),
    ("too many metrics", document(metrics=["accuracy"] * 11), "/metrics"),
    ("top_k of all classes", document(metrics=[{"name": "top_k", "k": 2}]), "/metrics/0"),
    ("threshold above 1", document(metrics=[{"name": "recall", "thresholds": 1.5}]), "/metrics/0/thresholds"),
    ("unknown loss", document(loss="crossentropy"), "/loss"),
    ("one-hot metric on class numbers", document(loss="sparse_categorical_crossentropy", metrics=["auc"]), "/metrics/0"),
    ("binary loss on ten classes", digits() | {"model": layers({**DENSE_10, "units": 1, "activation": "sigmoid"}), "loss": "binary_crossentropy"}, "/loss"),
    ("categorical loss on one output", model({**DENSE_2, "units": 1, "activation": "sigmoid"}), "/loss"),
    ("smoothing of 1", document(loss={"name": "categorical_crossentropy", "label_smoothing": 1.0}), "/loss/label_smoothing"),
    # networks
    ("no layers", model(), "/model/layers"),
    ("too many layers", model(*[DENSE] * 100, DENSE_2), "/model/layers"),
    ("unknown layer", model({"type": "dens", "units": 2}), "/model/layers/0/type"),
    ("layer without type", model({"units": 2}), "/model/layers/0"),
    ("dense without units", model({"type": "dense"}), "/model/layers/0/units"),
    ("no units", model({"type": "dense", "units": 0}), "/model/layers/0/units"),
    ("huge layer", model({"type": "dense", "units": 10**6}), "/model/layers/0/units"),
    ("huge network", model(*[{"type": "dense", "units": 65_536}] * 2, DENSE_2), "/model/layers/1"),
    ("unknown activation", model({**DENSE, "activation": "rulu"}, DENSE_2), "/model/layers/0/activation"),
    ("unknown initializer", model({**DENSE, "kernel_initializer": "he"}, DENSE_2), "/model/layers/0/kernel_initializer"),
    ("negative penalty", model({**DENSE, "kernel_regularizer": {"l2": -1}}, DENSE_2), "/model/layers/0/kernel_regularizer/l2"),
    ("drop everything", model({"type": "dropout", "rate": 1.0}, DENSE_2), "/model/layers/0/rate"),
    ("units that are not the classes", model({**DENSE_2, "units": 3}), "/model/layers/0/units"),
    ("the wrong model of two", document(model=None, models={"a": layers(DENSE_2), "b": layers(DENSE_10)}), "/models/b/layers/0/units"),
    ("one of the units searched", model(DENSE, {**DENSE_2, "units": {"choice": [2, 3]}}), "/model/layers/1/units"),
    ("softmax over one unit", model({**DENSE_2, "units": 1}, loss="binary_crossentropy"), "/model/layers/0/activation"),
    ("no probabilities", model(DENSE, {"type": "dense", "units": 2}), "/model/layers/1/activation"),
    ("reshape that does not fit", digits({"type": "reshape", "target_shape": [28, 27, 1]}, {"type": "flatten"}), "/model/layers/0"),
    ("convolution of a row", digits({"type": "conv2d", "filters": 2, "kernel_size": 3}), "/model/layers/0"),
    ("window larger than the image", digits(IMAGE, {"type": "max_pooling2d", "pool_size": 29}, {"type": "flatten"}), "/model/layers/1"),
    ("pooled to nothing", digits(IMAGE, *[{"type": "max_pooling2d", "pool_size": 4}] * 3, {"type": "flatten"}), "/model/layers/3"),
    ("no flatten", digits(IMAGE), "/model/layers/1"),
    ("kernel of two sizes and a word", digits(IMAGE, {"type": "conv2d", "filters": 2, "kernel_size": [3, "b"]}), "/model/layers/1/kernel_size/1"),
    # optimizers
    ("unknown optimizer in full", document(optimizer={"name": "adamm"}), "/optimizer/name"),
    ("unknown optimizer", document(optimizer="adamm"), "/optimizer"),
    ("option of another optimizer", optimizer("sgd", beta_1=0.9), "/optimizer/beta_1"),
    ("learning rate 0", optimizer(learning_rate=0), "/optimizer/learning_rate"),
    ("learning rate as text", optimizer(learning_rate="0.1"), "/optimizer/learning_rate"),
    ("momentum above 1", optimizer(momentum=1.1), "/optimizer/momentum"),
    ("two kinds of clipping", optimizer(clipnorm=1.0, clipvalue=1.0), "/optimizer"),
    ("unknown schedule", optimizer(learning_rate={"schedule": "linear"}), "/optimizer/learning_rate/schedule"),
    ("schedule without steps", optimizer(learning_rate={"schedule": "exponential_decay", "initial_learning_rate": 0.1, "decay_rate": 0.9}), "/optimizer/learning_rate/decay_steps"),
    ("boundaries that fall", optimizer(learning_rate={"schedule": "piecewise_constant_decay", "boundaries": [9, 5], "values": [1, 2, 3]}), "/optimizer/learning_rate"),
    ("too few values", optimizer(learning_rate={"schedule": "piecewise_constant_decay", "boundaries": [5, 9], "values": [1, 2]}), "/optimizer/learning_rate"),
    # search spaces, seeds
    ("empty choice", optimizer(learning_rate={"choice": []}), "/optimizer/learning_rate/choice"),
    ("a further key in a space", optimizer(learning_rate={"choice": [0.1], "foo": 1}), "/optimizer/learning_rate/foo"),
    ("two spaces", optimizer(learning_rate={"choice": [0.1], "uniform": [0, 1]}), "/optimizer/learning_rate/uniform"),
    ("one end of a range", optimizer(learning_rate={"uniform": [0.1]}), "/optimizer/learning_rate/uniform/1"),
    ("zero with two signs", optimizer(learning_rate=0.1, momentum={"choice": [0.0, -0.0]}), "/optimizer/momentum/choice"),
    ("choice twice", optimizer(learning_rate={"choice": [0.1, 0.1]}), "/optimizer/learning_rate/choice"),
    ("bad value in a choice", optimizer(learning_rate={"choice": [0.1, -1]}), "/optimizer/learning_rate/choice/1"),
    ("no such space", optimizer(learning_rate={"chioce": [0.1]}), "/optimizer/learning_rate"),
    ("range upside down", optimizer(learning_rate={"uniform": [0.2, 0.1]}), "/optimizer/learning_rate/uniform"),
    ("log range from 0", optimizer(momentum={"log_uniform": [0, 0.5]}), "/optimizer/momentum/log_uniform"),
    ("endless range in a grid", optimizer(learning_rate={"uniform": [0.1, 0.2]}), "/optimizer/learning_rate"),
    ("real range for whole numbers", model({"type": "dense", "units": {"uniform": [1, 9]}}, DENSE_2), "/model/layers/0/units"),
    ("a thousand million trials", document(fit={"epochs": MANY, "batch_size": MANY}, seeds=[0, 1]), ""),
    ("a grid of a thousand million units", model({"type": "dense", "units": {"int_uniform": [1, 65_536]}}, DENSE_2), ""),
    ("random without trials", document(sampler={"name": "random"}), "/sampler/trials"),
    ("rounds of nothing", document(sampler={"name": "gp", "trials": 9, "round": 0}), "/sampler/round"),
    ("rounds without trials", document(sampler={"name": "tpe"}), "/sampler/trials"),
    ("rounds of a sampler that has none", document(sampler={"name": "random", "trials": 9, "round": 3}), "/sampler/round"),
    ("stages of one seed each", document(confirm={"seeds": 5, "stages": 3}), "/confirm"),
    ("stages without another candidate", document(confirm={"top": 1, "stages": 2}), "/confirm"),
    ("confirmed by one seed", document(confirm={"seeds": 1}), "/confirm/seeds"),
    ("more confirmed than an experiment holds", document(confirm={"top": 100, "seeds": 100}, optimizer={"name": "sgd", "learning_rate": {"choice": [number / 1000 for number in range(1, 101)]}}), ""),
    ("unknown sampler", document(sampler={"name": "bayes"}), "/sampler/name"),
    ("no seeds", document(seeds=[]), "/seeds"),
    ("seed twice", document(seeds=[1, 1]), "/seeds"),
    ("seed below 0", document(seeds=[0, -1]), "/seeds/1"),
    ("seed too large", document(seeds=[2**32]), "/seeds/0"),
]  # fmt: skip


@pytest.fixture(scope="module")
def empty_url(migrated: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for the whole table: it stays empty."""
    return emptied(migrated, tmp_path_factory.mktemp("bad-specs"))


@pytest.fixture(scope="module")
def http(empty_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(Settings(data_dir=tmp_path_factory.mktemp("data"), database_url=empty_url)) as client:
        yield client


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.close()


def contents(database: Database) -> dict[str, int]:
    with database.reading() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def test_the_table_is_long_enough_and_names_no_case_twice() -> None:
    assert len({name for name, _, _ in BAD_SPECS}) == len(BAD_SPECS) >= 60


@pytest.mark.parametrize(("bad", "pointer"), [case[1:] for case in BAD_SPECS], ids=[case[0] for case in BAD_SPECS])
def test_bad_spec(http: httpx.Client, database: Database, bad: Any, pointer: str) -> None:
    for path in ("/v1/experiments", "/v1/experiments/plan"):
        answer = http.post(path, json=bad)
        problem = answer.json()
        assert answer.status_code == 422, problem
        assert answer.headers["content-type"] == "application/problem+json"
        assert pointer in [fault["pointer"] for fault in problem["errors"]]
        assert all(fault["detail"] for fault in problem["errors"])
        assert problem["instance"] == path
    assert set(contents(database).values()) == {0}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b'{"name": NaN}', 422),
        (b"\xff\xfe", 422),
        (b'{"name": ' + b"[" * 100_000 + b"}", 422),
        (b'{"name": ' + b"9" * 10_000 + b"}", 422),
        (b'{"name": "\\ud800"}', 422),
        (b" " * 1_048_577, 413),
    ],
    ids=["empty", "half", "NaN", "not UTF-8", "deep", "long number", "half a character", "too large"],
)
def test_bad_body(http: httpx.Client, database: Database, body: bytes, status: int) -> None:
    answer = http.post("/v1/experiments", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(contents(database).values()) == {0}


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "application/a/b+json", None])
def test_a_body_that_is_not_said_to_be_json(http: httpx.Client, database: Database, sent: str | None) -> None:
    headers = {} if sent is None else {"content-type": sent}
    answer = http.post("/v1/experiments", content=json.dumps(document()), headers=headers)
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"]
    assert set(contents(database).values()) == {0}
