"""The dashboard in a real browser: a person submits, watches, sorts, compares and cancels; nobody is shut out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect

from app.examples import example_documents
from fittingroom.views.states import TrialPhase
from models.settings import Settings
from models.sql import transitions
from models.sql.api_keys import Scope, create_key
from models.sql.database import Database
from tests.claims import claim_one
from tests.e2e.service import Service, until
from tests.factories import document, layers
from tests.serving import served

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

SWEEP = {
    "optimizer": {"name": "sgd", "learning_rate": {"choice": [0.001, 0.01, 0.1]}},
    "seeds": [0, 1, 2],
    "fit": {"epochs": 4, "validation_split": 0.3},
}


def trained(service: Service, **changes: Any) -> str:
    view = service.client.submit(document(**changes))
    assert service.client.wait(view.id, timeout=120).state.value == "completed"
    return view.id


def curves(page: Page, count: int, points: int | None = None) -> None:
    """Wait until so many curves are drawn."""
    chart = page.locator(".chart")
    expect(chart).to_have_attribute("data-curves", str(count), timeout=30_000)
    if points is not None:
        expect(chart).to_have_attribute("data-points", str(points), timeout=30_000)
    expect(chart.locator(".main-svg").first).to_be_visible()


def trials(page: Page) -> Locator:
    return page.get_by_role("region", name="Trials").locator("tbody tr")


def serious(page: Page) -> list[str]:
    """Return axe-core's findings, except minor ones and those of plotly's toolbar."""
    found = Axe().run(page, context={"exclude": [[".modebar"]]})
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'][:120] for node in violation['nodes']]}"
        for violation in found.response["violations"]
        if violation["impact"] in {"serious", "critical", "moderate"}
    ]


def test_an_exercise_is_submitted_by_the_form_and_its_curves_grow(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="New experiment").first.click()
    exercise = page.get_by_label("Start from an exercise")
    for document_ in example_documents().values():
        expect(exercise.locator("option", has_text=document_["name"])).to_have_count(1)
    exercise.select_option("wider_network")
    spec = page.get_by_label("The spec, as it is sent")
    expect(spec).to_have_value(re.compile("model_2"))
    page.get_by_label("epochs", exact=True).fill("400")
    page.get_by_label("epochs", exact=True).blur()
    page.get_by_label("early stopping", exact=True).uncheck()
    assert json.loads(spec.input_value())["fit"]["epochs"] == 400
    assert "early_stopping" not in json.loads(spec.input_value())
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text("2 trials in 2 cohorts")).to_be_visible()
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(re.compile(r"#/experiments/exp_"))
    seen: set[str] = set()

    def grown() -> bool:
        points = page.locator(".chart").get_attribute("data-points")
        seen.add(points or "")
        return points == "800"

    until(grown)
    assert len(seen) > 3, seen  # it was seen while it grew
    curves(page, 2, 800)
    expect(page.locator("main .state").first).to_have_text("completed")
    expect(page.locator(".sentence")).to_contain_text("leads")


def test_form_shows_a_fault_at_its_field(page: Page) -> None:
    page.goto("/#/submit")
    page.get_by_label("Start from an exercise").select_option("validation")
    split = page.get_by_label("validation split")
    split.fill("1.5")
    split.blur()
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("alert").get_by_text("/fit/validation_split")).to_be_visible()
    expect(split).to_have_attribute("aria-invalid", "true")
    expect(split).to_be_focused()
    page.get_by_label("The spec, as it is sent").fill("{")
    expect(page.get_by_role("alert").get_by_text("not JSON")).to_be_visible()


def test_invalid_input_is_neither_sent_nor_lost(page: Page, service: Service) -> None:
    page.goto("/#/submit")
    page.get_by_label("Start from an exercise").select_option("validation")
    page.get_by_label("name", exact=True).first.fill("not to be sent")
    model = page.get_by_label("model", exact=True)
    model.fill('{"layers": [')
    model.blur()
    page.get_by_label("early stopping", exact=True).click()
    expect(page.get_by_label("early stopping", exact=True)).not_to_be_checked()
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(model).to_be_focused()
    expect(model).to_have_value('{"layers": [')
    assert list(service.client.list_experiments(name="not to be sent")) == []
    page.get_by_label("The spec, as it is sent").fill(
        '{"name": "x", "metrics": "accuracy", "seeds": 3, "dataset": null}'
    )
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("alert").get_by_text("/metrics")).to_be_visible()


def test_two_presses_make_one_experiment(page: Page, service: Service) -> None:
    page.goto("/#/submit")
    page.get_by_label("Start from an exercise").select_option("validation")
    name = page.get_by_label("name", exact=True).first
    name.fill("pressed twice")
    name.blur()
    page.get_by_role("button", name="Submit", exact=True).dblclick(no_wait_after=True)
    page.wait_for_url(re.compile(r"#/experiments/exp_"))
    curves(page, 1)
    assert len(list(service.client.list_experiments(name="pressed twice"))) == 1


def test_no_button_of_a_chart_sends_anything_elsewhere(page: Page, service: Service) -> None:
    page.goto(f"/#/experiments/{trained(service)}")
    curves(page, 1)
    titles = page.locator(".modebar-btn").evaluate_all("nodes => nodes.map((node) => node.dataset.title)")
    known = {"Download plot as a png", "Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"}
    assert set(titles) <= known, titles
    assert len(titles) == 6


def test_a_thousand_trials_have_a_scale(page: Page) -> None:
    page.goto("/")
    spans = "import('/static/components/charts.js').then((charts) => charts.spansMuch([...Array(300_000).fill(2), {}]))"
    assert [page.evaluate(spans.format(last)) for last in (2, 500)] == [False, True]


def test_a_sweep_is_typed_with_commas(page: Page) -> None:
    page.goto("/#/submit")
    page.get_by_label("Start from an exercise").select_option("learning_rates")
    page.get_by_label("seeds").fill("0, 1, 2")
    page.get_by_label("seeds").blur()
    rate = page.get_by_role("textbox", name="learning rate")
    expect(rate).to_have_value("0.000001, 0.01, 1")
    rate.fill("0.1, 0.01")
    rate.blur()
    spec = json.loads(page.get_by_label("The spec, as it is sent").input_value())
    assert spec["seeds"] == [0, 1, 2]
    assert spec["optimizer"] == {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}}


def test_a_search_is_typed_in_the_form(page: Page) -> None:
    page.goto("/#/submit")
    page.get_by_label("Start from an exercise").select_option("learning_rates")
    rate = page.get_by_role("textbox", name="learning rate")
    rate.fill('{"log_uniform": [0.001, 1]}')
    rate.blur()
    page.get_by_text("Advanced", exact=True).click()
    sampler, pruner = page.get_by_label("sampler", exact=True), page.get_by_label("pruner", exact=True)
    expect(sampler).to_have_value("")
    expect(sampler.locator("option").first).to_have_text("by default")
    sampler.select_option("gp")
    page.get_by_role("button", name="Plan").click()
    trials = page.get_by_label("trials", exact=True)
    expect(trials).to_have_attribute("aria-invalid", "true")
    trials.fill("30")
    trials.blur()
    page.get_by_label("round", exact=True).fill("10")
    page.get_by_label("round", exact=True).blur()
    pruner.select_option("median")
    page.get_by_label("confirm", exact=True).check()
    page.get_by_label("stages", exact=True).fill("2")
    page.get_by_label("stages", exact=True).blur()
    spec = json.loads(page.get_by_label("The spec, as it is sent").input_value())
    assert spec["optimizer"] == {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1]}}
    assert (spec["sampler"], spec["pruner"]) == ({"name": "gp", "trials": 30, "round": 10}, {"name": "median"})
    assert spec["confirm"] == {"stages": 2}
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text("10 trials in")).to_be_visible()
    pruner.select_option("")
    assert "pruner" not in json.loads(page.get_by_label("The spec, as it is sent").input_value())


def test_options_survive_a_look_at_other_choices(page: Page) -> None:
    page.goto("/#/submit")
    text = page.get_by_label("The spec, as it is sent")
    given = {"name": "gp", "trials": 4, "round": 2}
    text.fill(json.dumps({"name": "typed", "sampler": given, "confirm": {"top": 2}, "optimizer": "adam"}))
    sampler = page.get_by_label("sampler", exact=True)
    sampler.select_option("random")
    assert json.loads(text.input_value())["sampler"] == {"name": "random", "trials": 4}, "what both have"
    sampler.select_option("")
    assert "sampler" not in json.loads(text.input_value())
    sampler.select_option("gp")
    assert json.loads(text.input_value())["sampler"] == given
    confirm = page.get_by_label("confirm", exact=True)
    confirm.uncheck()
    confirm.check()
    assert json.loads(text.input_value())["confirm"] == {"top": 2}
    optimizer = page.get_by_label("optimizer", exact=True)
    optimizer.select_option("sgd")
    assert json.loads(text.input_value())["optimizer"] == "sgd"
    text.fill(json.dumps({"name": "typed", "sampler": {"name": "tpe", "trials": 9}}))
    sampler.select_option("gp")
    assert json.loads(text.input_value())["sampler"] == {"name": "gp", "trials": 9}, (
        "of another document nothing is left"
    )


def test_unknown_choices_are_shown_as_json(page: Page) -> None:
    page.goto("/#/submit")
    text, sampler = page.get_by_label("The spec, as it is sent"), page.get_by_label("sampler", exact=True)
    for given in ({"name": "gpp", "trials": 3}, {"trials": 3}, "gp"):
        text.fill(json.dumps({"name": "typed", "sampler": given}))
        assert json.loads(sampler.input_value()) == given
    sampler.fill("")
    sampler.blur()
    expect(sampler.locator("option").first).to_have_text("by default")


def test_advanced_stays_open_and_shows_its_faults(page: Page) -> None:
    page.goto("/#/submit")
    page.get_by_label("Start from an exercise").select_option("learning_rates")
    summary, sampler = page.get_by_text("Advanced", exact=True), page.get_by_label("sampler", exact=True)
    summary.click()
    sampler.select_option("gp")
    sampler.focus()
    sampler.select_option("")
    expect(sampler).to_be_focused()
    page.get_by_label("pruner", exact=True).select_option("top_k")
    sampler.select_option("random")
    page.get_by_role("button", name="Plan").click()
    trials, k = page.get_by_label("trials", exact=True), page.get_by_label("k", exact=True)
    for field in (trials, k):
        expect(field).to_have_attribute("aria-invalid", "true")
    trials.fill("3")
    trials.blur()
    expect(trials).not_to_have_attribute("aria-invalid", "true")
    page.get_by_label("early stopping", exact=True).check()
    expect(k).to_have_attribute("aria-invalid", "true")
    k.fill("2")
    k.blur()
    page.get_by_label("tags", exact=True).fill("x" * 1000)
    page.get_by_label("tags", exact=True).blur()
    summary.click()
    expect(sampler).not_to_be_visible()
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_label("tags", exact=True)).to_be_focused()


def test_ranges_are_those_that_a_field_takes(page: Page) -> None:
    page.goto("/#/submit")
    page.get_by_label("Start from an exercise").select_option("learning_rates")
    page.get_by_label("epochs", exact=True).fill('{"int_uniform": [1, 100]}')
    page.get_by_label("epochs", exact=True).blur()
    expect(page.locator("#field-fit-epochs-hint")).to_contain_text('{"int_uniform": [1, 100]}')
    expect(page.locator("#field-optimizer-learning_rate-hint")).to_contain_text('{"log_uniform": [0.001, 0.1]}')
    rate, seeds = page.get_by_role("textbox", name="learning rate"), page.get_by_label("seeds", exact=True)
    rate.fill("[0.1, 0.2]")
    rate.blur()
    seeds.fill("[1, 2]")
    seeds.blur()
    spec = json.loads(page.get_by_label("The spec, as it is sent").input_value())
    assert (spec["optimizer"]["learning_rate"], spec["seeds"]) == ({"choice": [0.1, 0.2]}, [1, 2])
    page.get_by_label("sampler", exact=True).evaluate("node => node.closest('details').open = true")
    page.get_by_label("sampler", exact=True).select_option("random")
    page.get_by_label("trials", exact=True).first.fill("3")
    page.get_by_label("trials", exact=True).first.blur()
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text("6 trials in")).to_be_visible()


def test_form_shows_a_dataset_given_by_its_name(page: Page) -> None:
    page.goto("/#/submit")
    spec = page.get_by_label("The spec, as it is sent")
    spec.fill('{"name": "typed", "dataset": "titanic"}')
    dataset = page.get_by_role("group", name="dataset", exact=True)
    expect(dataset.get_by_label("name", exact=True)).to_have_value("titanic")
    dataset.get_by_label("rows", exact=True).fill("100")
    dataset.get_by_label("rows", exact=True).blur()
    assert json.loads(spec.input_value())["dataset"] == {"name": "titanic", "rows": 100}


def test_form_shows_options_of_a_choice_as_json_and_listed_metrics_as_names(page: Page) -> None:
    page.goto("/#/submit")
    options = {"choice": ["adam", {"name": "sgd", "momentum": {"uniform": [0.1, 0.9]}}]}
    rate = {"choice": [0.1, {"schedule": "cosine_decay", "initial_learning_rate": 0.1, "decay_steps": 9}]}
    spec = page.get_by_label("The spec, as it is sent")
    spec.fill(json.dumps({"name": "typed", "optimizer": options, "metrics": [{"name": "accuracy"}, "auc"]}))
    expect(page.get_by_label("metrics", exact=True)).to_have_value("accuracy, auc")
    expect(page.get_by_label("optimizer", exact=True)).to_have_value(json.dumps(options, indent=1))
    spec.fill(json.dumps({"name": "typed", "optimizer": {"name": "sgd", "learning_rate": rate}}))
    expect(page.get_by_label("learning rate", exact=True)).to_have_value(json.dumps(rate, separators=(",", ":")))


def test_spec_form_optimizer_named_like_a_member_of_every_object_has_no_options(page: Page) -> None:
    page.goto("/#/submit")
    page.get_by_label("The spec, as it is sent").fill('{"name": "typed", "optimizer": "constructor"}')
    expect(page.get_by_label("name", exact=True).first).to_have_value("typed")
    expect(page.get_by_label("optimizer", exact=True)).to_have_value("")


def test_events_refused_by_a_proxy_show_the_status(page: Page, service: Service) -> None:
    """A proxy answers with HTML, which is no problem document: the page must neither hide it nor ask again."""
    experiment_id = trained(service)
    held: list[Route] = []
    page.route("**/events", lambda route: route.fulfill(status=403, content_type="text/html", body="<h1>no</h1>"))
    is_held = True
    page.route("**/comparison", lambda route: held.append(route) if is_held else route.continue_())
    with page.expect_request("**/comparison"):
        page.goto(f"/#/experiments/{experiment_id}")
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("the service answered 403", timeout=30_000)
    # The refresh that began with the page ends only now, and must not take the alert away.
    is_held = False
    for route in held:
        route.continue_()
    expect(page.locator(".sentence")).not_to_be_empty(timeout=30_000)
    expect(alert).to_have_text("the service answered 403")


def test_trials_sort_filter_and_light_their_curves(page: Page, service: Service) -> None:
    experiment_id = trained(service, **SWEEP)
    page.goto(f"/#/experiments/{experiment_id}")
    curves(page, 9, 36)
    expect(page.locator(".sentence")).to_contain_text(re.compile("beats|No difference"))
    rows = trials(page)
    expect(rows).to_have_count(9)
    head = page.get_by_role("columnheader", name="val_loss there")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    values = [float(text) for text in rows.locator("td:nth-child(6)").all_inner_texts()]
    assert values == sorted(values)
    expect(rows.first).to_have_class(re.compile("leads"))
    head.get_by_role("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Find trials").fill("learning_rate=0.01,")
    expect(rows).to_have_count(3)
    curves(page, 3, 12)
    page.get_by_label("Find trials").fill("")
    curves(page, 9)

    def widths() -> list[str]:
        return page.locator(".chart .scatterlayer path.js-line").evaluate_all(
            "all => all.map(e => e.style.strokeWidth)"
        )

    rows.nth(4).hover()
    until(lambda: widths().count("5px") == 1)
    page.get_by_role("heading", level=1).hover()
    until(lambda: "5px" not in widths())
    rows.first.get_by_role("button", name="Summary of").focus()
    until(lambda: widths().count("5px") == 1)
    point = page.locator(".chart .scatterlayer path.point").first.bounding_box()
    assert point is not None
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2, steps=5)
    expect(page.locator("tr.lit")).to_have_count(1)


def test_metrics_scales_and_the_hyperparameter(page: Page, service: Service) -> None:
    experiment_id = trained(service, **SWEEP)
    page.goto(f"/#/experiments/{experiment_id}")
    curves(page, 9)
    page.get_by_label("training and validation").check()
    curves(page, 18)
    legend = page.locator(".chart .legendtext").all_text_contents()
    parts = [text.rpartition(": ")[2] for text in legend]
    assert parts == ["validation"] * 3 + ["training"] * 3, legend
    dashes = page.locator(".chart .scatterlayer path.js-line").evaluate_all(
        "lines => lines.map(line => line.style.strokeDasharray)"
    )
    assert len(set(dashes[:9])) == len(set(dashes[9:])) == 1, "dashes tell nothing but the part"
    assert dashes[0] != dashes[9]
    page.get_by_label("training and validation").uncheck()
    page.get_by_label("Metric").select_option("accuracy")
    expect(page.locator(".chart .ytitle")).to_have_text("accuracy")
    page.get_by_label("Scale").select_option("log")
    page.get_by_label("x axis").select_option("optimizer.learning_rate")
    expect(page.locator(".chart .xtitle")).to_have_text("optimizer.learning_rate")
    curves(page, 9, 9)
    for effort in ("trial", "epochs of all trials", "seconds"):
        page.get_by_label("x axis").select_option(f"best so far, by {effort}")
        expect(page.locator(".chart .xtitle")).to_have_text(effort)
        curves(page, 10, 18)
    expect(page.locator(".chart .legendtext")).to_have_text(["best so far"])


def test_importances_of_hyperparameters_have_bars(page: Page, service: Service) -> None:
    rate = {"name": "adam", "learning_rate": {"log_uniform": [1e-5, 1.0]}, "beta_1": {"uniform": [0.5, 0.99]}}
    experiment_id = trained(service, optimizer=rate, sampler={"name": "quasi_random", "trials": 30})
    page.goto(f"/#/experiments/{experiment_id}")
    table = page.locator("table", has_text="among the best candidates")
    expect(table.locator("tbody tr").first).to_contain_text("optimizer.learning_rate")
    expect(table.locator("progress")).to_have_count(2)
    page.get_by_text("All hyperparameters side by side").click()
    expect(page.locator(".sheet svg")).to_be_visible()


def test_warnings_stand_with_the_plan_and_the_experiment(page: Page, service: Service) -> None:
    wide = layers({"type": "dense", "units": 10_000}, {"type": "dense", "units": 2, "activation": "softmax"})
    spec = document(model=wide, dataset={"name": "titanic", "rows": 100}, device="gpu")
    detail = "/model a network has 130,002 parameters for 70 training rows; it can learn them by heart"
    view = service.client.submit(spec)
    page.goto(f"/#/experiments/{view.id}")
    expect(page.get_by_role("region", name="Warnings").get_by_role("listitem")).to_have_text([detail])
    service.client.cancel(view.id)
    page.get_by_role("link", name="New experiment").click()
    page.get_by_label("The spec, as it is sent").fill(json.dumps(spec))
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("region", name="Warnings").get_by_role("listitem")).to_have_text([detail])
    page.get_by_label("Start from an exercise").select_option("validation")
    expect(page.get_by_role("region", name="Warnings")).to_have_count(0)


def test_the_network_can_be_read_and_taken_along(page: Page, service: Service) -> None:
    experiment_id = trained(service)
    page.goto(f"/#/experiments/{experiment_id}")
    row = trials(page).first
    row.get_by_role("button", name="Summary of").click()
    expect(page.get_by_role("dialog").get_by_text("Total params")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    with page.expect_download(timeout=90_000) as network:
        row.get_by_role("button", name=".keras file of").click()
    assert Path(network.value.path()).read_bytes().startswith(b"PK")
    with page.expect_download() as picture:
        page.get_by_role("button", name="plot.png").click()
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")


def test_chosen_experiments_stand_side_by_side(page: Page, service: Service) -> None:
    ids = [trained(service, name=name, tags=["beside"]) for name in ("one", "other", "other")]
    page.goto("/")
    page.get_by_label("Tag").fill("beside")
    page.get_by_label("Tag").blur()
    button = page.get_by_role("button", name="Compare chosen")
    expect(button).to_be_disabled()
    page.get_by_label("Choose one").check()
    for number in range(2):
        page.get_by_label("Choose other").nth(number).check()
    button.click()
    page.wait_for_url(re.compile("#/compare/"))
    curves(page, 3, 6)
    assert all(identifier in page.url for identifier in ids)
    legend = page.locator(".chart .legendtext").all_text_contents()
    assert len(set(legend)) == 3, legend
    expect(page.get_by_role("region", name="Candidates of")).to_have_count(3)


def test_queued_experiment_shows_its_reason_and_can_be_cancelled(page: Page, service: Service) -> None:
    view = service.client.submit(document(name="for a GPU", device="gpu"))
    page.goto(f"/#/experiments/{view.id}")
    expect(page.get_by_text("no live worker serves the device gpu")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("main .state").first).to_have_text("cancelled")
    assert service.client.get_experiment(view.id).state.value == "cancelled"
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()


def test_ended_experiment_is_extended_by_epochs_or_trials(page: Page, service: Service) -> None:
    earlier = trained(service, **SWEEP | {"fit": {"epochs": 4, "validation_split": 0.3, "delete_checkpoint": False}})
    page.goto(f"/#/experiments/{earlier}")
    page.get_by_role("button", name="Extend").click()
    dialog = page.get_by_role("dialog", name="Extend this experiment")
    expect(dialog.get_by_role("spinbutton", name="Further trials", include_hidden=True)).to_be_hidden()
    expect(dialog.get_by_role("spinbutton", name="Epochs in all", include_hidden=True)).to_have_value("8")
    dialog.get_by_role("spinbutton", name="Best candidates").fill("2")
    assert serious(page) == []
    dialog.get_by_role("button", name="Train").click()
    expect(trials(page)).to_have_count(6)
    expect(trials(page).first).to_contain_text("8/8", timeout=60_000)
    expect(page).not_to_have_url(re.compile(earlier))
    page.goto(f"/#/experiments/{earlier}")
    page.get_by_role("button", name="Extend").click()
    dialog.get_by_label("More trials").check()
    expect(dialog.get_by_role("spinbutton", name="Epochs in all", include_hidden=True)).to_be_hidden()
    dialog.get_by_role("button", name="Train").click()
    expect(dialog.get_by_role("alert")).to_contain_text("have trained all combinations")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_list_updates_and_unknown_experiment_is_reported(page: Page, service: Service) -> None:
    page.goto("/")
    page.get_by_label("Tag").fill("live list")
    page.get_by_label("Tag").blur()
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    name = "<img src=x onerror=alert(1)>"
    view = service.client.submit(document(name=name, tags=["live list"]))
    expect(page.get_by_role("link", name=name)).to_be_visible()
    expect(page.locator("tbody .state")).to_have_text("completed", timeout=60_000)
    page.get_by_role("link", name=name).click()
    curves(page, 1)
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    page.goto(f"/#/experiments/exp_{'0' * 32}")
    expect(page.get_by_role("alert")).to_contain_text("there is no experiment")
    assert service.client.get_experiment(view.id).name == name


def test_everything_can_be_reached_by_keyboard(page: Page, service: Service) -> None:
    trained(service, name="by keyboard", tags=["keyboard"])
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    link = page.get_by_role("link", name="by keyboard").first
    link.wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if link.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    curves(page, 1, points=2)
    # A control is known by its label, and not by what can be chosen in it.
    name = "({ labels, innerText }) => labels?.[0]?.firstChild.textContent ?? innerText"
    reached: set[str] = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"({name})(document.activeElement)"))
    assert {"Metric", "x axis", "Scale", "Find trials", "Trial", "Summary", ".keras", "history", "plot.png"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_finds_nothing_and_nothing_overflows(chromium: Browser, service: Service, scheme: str, width: int) -> None:
    experiment_id, same_name = trained(service, **SWEEP), trained(service)
    home = f"http://127.0.0.1:{service.port}"
    page = chromium.new_page(base_url=home, viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    for place, ready in (
        ("/", "tbody tr"),
        ("/#/submit", "fieldset"),
        (f"/#/experiments/{experiment_id}", ".chart .main-svg"),
        (f"/#/compare/{experiment_id},{same_name}", ".chart .main-svg"),
    ):
        page.goto("about:blank")
        page.goto(place)
        page.locator(ready).first.wait_for()
        assert serious(page) == [], place
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 26)"
        )
    page.close()


def test_phase_of_a_running_trial_is_shown(chromium: Browser, tmp_path: Path) -> None:
    """No worker is there: what one would write is written by the test."""
    settings = Settings(data_dir=tmp_path)
    settings.make_folders()
    database = Database(settings.database_location)
    database.migrate()
    claim, [first, _] = claim_one(database)
    with served(settings) as http:
        page = chromium.new_page(base_url=str(http.base_url))
        page.goto(f"/#/experiments/{claim.experiment_id}")
        for phase in (TrialPhase.LOADING, TrialPhase.TRACING, TrialPhase.COMPILING):
            with database.writing() as session:
                transitions.mark_phase(session, claim, phase)
            expect(trials(page).first).to_contain_text(f"running ({phase})")
            assert http.get(f"/v1/trials/{first}").json()["phase"] == phase
        with database.writing() as session:
            transitions.mark_program(session, claim, "fused", "a reason", {})
        expect(trials(page).first).to_contain_text(re.compile("running(?! )"))
        history = http.get(f"/v1/experiments/{claim.experiment_id}/history").json()
        assert [trial["phase"] for trial in history["trials"]] == ["training", "training"]
        page.close()
    database.close()


def test_a_service_with_keys_asks_for_one(chromium: Browser, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.make_folders()
    database = Database(settings.database_location)
    database.migrate()
    with database.writing() as session:
        _, key = create_key(session, project="one", name="test", scope=Scope.SUBMIT)
    database.close()
    with served(settings) as http:
        page = chromium.new_page(base_url=str(http.base_url))
        page.goto("/")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Key").fill("fr_…")
        dialog.get_by_role("button", name="Go in").click()
        expect(dialog.get_by_label("Key")).to_be_focused()
        dialog.get_by_label("Key").fill("fr_wrong")
        dialog.get_by_role("button", name="Go in").click()
        expect(dialog.get_by_text("This key was not accepted")).to_be_visible()
        dialog.get_by_label("Key").fill(key)
        dialog.get_by_role("button", name="Go in").click()
        expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
        assert key not in page.url
        page.close()
