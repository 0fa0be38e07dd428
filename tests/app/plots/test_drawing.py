"""Pictures: of an experiment, of a sweep, of trials from several experiments."""

import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.plots.drawing import draw
from app.plots.pictures import (
    Curve,
    CurvesPicture,
    ParallelAxis,
    ParallelPicture,
    Picture,
    ProgressPicture,
    Reached,
    SweepPicture,
)
from app.plots.selection import Look, select_parallel, select_progress
from fittingroom.views.resources import BestEpochView, ExperimentView, TrialSummaryView
from models.sql.database import Database
from tests.serving import submit
from tests.training import train

PNG = b"\x89PNG\r\n\x1a\n"
RATES = {"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.001, 0.01, 1.0]}}, "seeds": [0, 1]}


@pytest.fixture(scope="module")
def trained(shared_http: httpx.Client, shared_database: Database) -> str:
    """Return a sweep of three rates with two seeds each, trained."""
    experiment_id = submit(shared_http, **RATES)
    train(shared_database, experiment_id, {n: [1.0 / n, 0.9 / n, 0.95 / n] for n in range(1, 7)})
    return experiment_id


@pytest.fixture(scope="module")
def plain(shared_http: httpx.Client, trained: str) -> bytes:
    """Return the experiment's picture without any option."""
    return shared_http.get(f"/v1/experiments/{trained}/plot.svg").content


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"metric": "loss"},
        {"metric": "loss,val_loss"},
        {"metric": "loss,val_loss", "layout": "apart"},
        {"metric": "loss,val_loss", "seeds": "band"},
        {"seeds": "band", "scale": "log"},
        {"x": "optimizer.learning_rate"},
        {"x": "optimizer.learning_rate", "scale": "linear"},
        {"x": "hyperparameters"},
    ],
    ids=str,
)
def test_each_look_is_a_picture_of_its_own(
    shared_http: httpx.Client, trained: str, plain: bytes, query: dict[str, str]
) -> None:
    path = f"/v1/experiments/{trained}/plot"
    svg, png = shared_http.get(f"{path}.svg", params=query), shared_http.get(f"{path}.png", params=query)
    assert (svg.status_code, png.status_code) == (200, 200), svg.text[:500]
    assert svg.headers["content-type"] == "image/svg+xml"
    assert png.headers["content-type"] == "image/png"
    assert ET.fromstring(svg.content).tag.endswith("svg")  # noqa: S314 - our own answer
    assert png.content.startswith(PNG)
    assert shared_http.get(f"{path}.svg", params=query).content == svg.content
    assert (
        shared_http.get(f"{path}.svg", params=query, headers={"If-None-Match": svg.headers["etag"]}).status_code == 304
    )
    if query:
        assert plain != svg.content
        assert shared_http.get(f"{path}.svg", headers={"If-None-Match": svg.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"metric": "auc"}, "metric"),
        ({"metric": "loss,auc"}, "metric"),
        ({"metric": ","}, "metric"),
        ({"metric": "loss,val_loss,accuracy,val_accuracy,auc"}, "metric"),
        ({"x": "optimizer.momentum"}, "x"),
        ({"x": "optimizer.learning_rate", "metric": "loss,val_loss"}, "metric"),
        ({"x": "optimizer.learning_rate", "seeds": "band"}, "seeds"),
        ({"x": "optimizer.learning_rate", "layout": "apart"}, "layout"),
        ({"x": "hyperparameters", "scale": "log"}, "scale"),
        ({"x": "hyperparameters", "metric": "loss,val_loss"}, "metric"),
        ({"scale": "cubic"}, "scale"),
        ({"layout": "beside"}, "layout"),
        ({"seeds": "none"}, "seeds"),
    ],
    ids=str,
)
def test_draw_with_unsupported_options_is_refused(
    shared_http: httpx.Client, trained: str, query: dict[str, str], names: str
) -> None:
    answer = shared_http.get(f"/v1/experiments/{trained}/plot.svg", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == names


def test_parallel_coordinates_of_options_before_and_after_training(shared_http: httpx.Client) -> None:
    """Momentum is a hyperparameter of one optimizer alone."""
    optimizers = [{"name": "sgd", "momentum": {"choice": [0.5, 0.9]}}, "adam"]
    experiment_id = submit(shared_http, optimizer={"choice": optimizers})
    path, query = f"/v1/experiments/{experiment_id}/plot.svg", {"x": "hyperparameters"}
    assert shared_http.get(path, params=query).status_code == 200, "nothing has a value yet"
    view = shared_http.get(f"/v1/experiments/{experiment_id}").json()
    trials = [TrialSummaryView.model_validate(one) for one in shared_http.get(f"{path[:-9]}/trials").json()["items"]]
    best = [BestEpochView(epoch=1, metrics={"val_loss": value}) for value in (0.3, 0.1, 0.2)]
    ended = [trial.model_copy(update={"best_epoch": one}) for trial, one in zip(trials, best, strict=True)]
    picture = select_parallel(ExperimentView.model_validate(view), ended, ["val_loss"], Look(x="hyperparameters"))
    assert [(axis.name, axis.values) for axis in picture.axes] == [
        ("optimizer", ["sgd", "sgd", "adam"]), ("optimizer.momentum", [0.5, 0.9, None]), ("val_loss", [0.3, 0.1, 0.2]),
    ]  # fmt: skip
    assert picture.ranks == [2, 0, 1]
    assert draw(picture).startswith(b"<?xml")


def test_best_so_far_is_of_means_over_folds(shared_http: httpx.Client) -> None:
    rates = {"name": "sgd", "learning_rate": {"choice": [0.12345671, 0.12345672]}}  # with labels that are equal
    experiment_id = submit(shared_http, optimizer=rates, fit={"epochs": 1, "folds": 2})
    items = shared_http.get(f"/v1/experiments/{experiment_id}/trials").json()["items"]
    view = ExperimentView.model_validate(shared_http.get(f"/v1/experiments/{experiment_id}").json())
    trials = []
    for item, value in zip(items, (0.1, 0.9, 0.3, 0.3), strict=True):
        ended = {"best_epoch": BestEpochView(epoch=1, metrics={"val_loss": value}), "finished_at": view.created_at}
        trials.append(TrialSummaryView.model_validate(item).model_copy(update=ended | {"epochs_completed": 1}))
    picture = select_progress(view, trials, ["val_loss"], Look(x="trial"))
    assert picture.reached == [(2.0, 0.5), (4.0, 0.3)]
    assert select_progress(view, trials[:3], ["val_loss"], Look(x="epochs")).reached == [(2.0, 0.5)]


def test_trials_of_several_experiments_stand_in_one_picture(
    shared_http: httpx.Client, shared_database: Database, trained: str
) -> None:
    other = submit(shared_http, name="another", fit={"epochs": 2, "validation_split": 0.5})
    train(shared_database, other, {1: [0.6, 0.5]})
    ids = [
        shared_http.get(f"/v1/experiments/{experiment_id}/trials").json()["items"][0]["id"]
        for experiment_id in (trained, other)
    ]
    answer = shared_http.get("/v1/plot.png", params={"trials": ",".join(ids), "metric": "val_loss"})
    assert answer.status_code == 200
    assert answer.content.startswith(PNG)
    alone = shared_http.get("/v1/plot.svg", params={"trials": ids[0], "metric": "val_loss"})
    both = shared_http.get("/v1/plot.svg", params={"trials": ",".join(ids), "metric": "val_loss"})
    assert len(both.content) > len(alone.content)
    etag = both.headers["etag"]
    again = shared_http.get(
        "/v1/plot.svg", params={"trials": ",".join(ids), "metric": "val_loss"}, headers={"If-None-Match": etag}
    )
    assert again.status_code == 304


def test_trials_that_are_not_there_are_not_drawn(shared_http: httpx.Client) -> None:
    assert shared_http.get("/v1/plot.svg", params={"trials": f"trl_{'0' * 32}"}).status_code == 404
    assert shared_http.get("/v1/plot.svg").status_code == 422
    assert shared_http.get("/v1/plot.svg", params={"trials": ",".join(["trl_x"] * 3)}).status_code == 404
    assert (
        shared_http.get("/v1/plot.svg", params={"trials": ",".join(f"trl_{n}" for n in range(101))}).status_code == 422
    )


def test_the_leading_one_of_too_many_stands_out() -> None:
    def curves(leading: int) -> list[Curve]:
        return [
            Curve(f"t{n}", f"t{n}", "loss", [1, 2], [1.0 + n, 0.5 + n], 2, is_leading=n == leading) for n in range(40)
        ]

    assert draw(CurvesPicture("x", curves(0))) != draw(CurvesPicture("x", curves(1)))


def test_many_pictures_at_once_are_the_same_pictures(shared_http: httpx.Client, trained: str) -> None:
    """Ticks of a logarithmic axis are set by a part of matplotlib that threads must not share."""
    queries = [{"scale": "log", "metric": metric} for metric in ("loss", "val_loss")]
    path = f"/v1/experiments/{trained}/plot.svg"
    alone = {query["metric"]: shared_http.get(path, params=query).content for query in queries}

    def get(query: dict[str, str]) -> bool:
        answer = httpx.get(f"{shared_http.base_url}{path}", params=query, timeout=120)
        return answer.content == alone[query["metric"]]

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(get, queries * 3))


def examples(folder: Path) -> None:
    """Pictures to look at: `python -m tests.app.plots.test_drawing` writes them."""
    random, epochs = np.random.default_rng(0), range(1, 21)

    def runs(label: str, level: float, seeds: int, metric: str) -> list[Curve]:
        return [
            Curve(
                f"{label}, seed={s}", label, metric,
                list(epochs), [level + 1.2 / e + random.normal(0, 0.02) for e in epochs], 17,
                is_leading=(label, s) == ("model_2", 0),
            )
            for s in range(seeds)
        ]  # fmt: skip

    two = runs("model_1", 0.6, 1, "loss") + runs("model_2", 0.5, 1, "loss")
    validated = two + runs("model_1", 0.7, 1, "val_loss") + runs("model_2", 0.65, 1, "val_loss")
    seeds = runs("model_1", 0.6, 5, "val_loss") + runs("model_2", 0.5, 5, "val_loss")
    many = [curve for n in range(50) for curve in runs(f"model_{n}", 0.5 + n / 50, 1, "val_loss")]
    rates = [
        Curve("0.01", "0.01", "loss", list(epochs), [0.6 + 1 / e for e in epochs]),
        Curve("1", "1", "loss", [1, 2], [15_000.0, 0.7]),
    ]
    pictures: dict[str, Picture] = {
        "two": CurvesPicture("Two networks", two, file_format="png"),
        "together": CurvesPicture("Training and validation", validated, file_format="png"),
        "apart": CurvesPicture("Training and validation", validated, layout="apart", file_format="png"),
        "band": CurvesPicture("Five seeds each", seeds, seeds="band", file_format="png"),
        "many": CurvesPicture("Fifty networks", many, file_format="png"),
        "rates": CurvesPicture("A rate that explodes", rates, file_format="png"),
        "none": CurvesPicture("Nothing yet", [], file_format="png"),
        "sweep": SweepPicture(
            "Which rate?", "optimizer.learning_rate", "val_loss",
            [Reached(rate, (np.log10(rate) + 2) ** 2 / 8 + 0.5 + random.normal(0, 0.02), name)
             for rate in (1e-4, 1e-3, 1e-2, 1e-1, 1.0) for name in ("model_1", "model_2") for _ in range(3)],
            file_format="png",
        ),
        "names": SweepPicture(
            "Which activation?", "model.layers.0.activation", "val_loss",
            [Reached(name, 0.5 + random.normal(0, 0.02), "all") for name in ("relu", "tanh", "selu") for _ in range(3)],
            file_format="png",
        ),
        "progress": ProgressPicture(
            "A search", "trials", "val_loss",
            [(float(number), 0.4 + 1 / number + abs(random.normal(0, 0.1))) for number in range(1, 80)],
            "minimize", file_format="png",
        ),
        "parallel": ParallelPicture(
            "A search of everything",
            [
                ParallelAxis("optimizer", ["adam", "sgd"] * 20),
                ParallelAxis("optimizer.learning_rate", [10 ** -random.uniform(0, 5) for _ in range(40)]),
                ParallelAxis("optimizer.momentum", [None, 0.5, None, 0.9] * 10),
                ParallelAxis("model.layers.1", ["none", "dense+dropout+batch_normalization"] * 20),
                ParallelAxis("model.layers.0.times", [1, 2, 3, 4] * 10),
                ParallelAxis("val_loss", [float(value) for value in random.normal(0.5, 0.1, 40)]),
            ],
            list(range(40)), file_format="png",
        ),
        "no parallel": ParallelPicture("A search", [ParallelAxis("val_loss", [])], [], file_format="png"),
        "no progress": ProgressPicture("A search", "trials", "val_loss", [], "minimize", file_format="png"),
    }  # fmt: skip
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(draw(picture))


def test_the_pictures_to_look_at_can_be_drawn(tmp_path: Path) -> None:
    examples(tmp_path)
    assert all(file.read_bytes().startswith(PNG) for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 13


if __name__ == "__main__":
    examples(Path("/tmp"))  # noqa: S108 - to look at
