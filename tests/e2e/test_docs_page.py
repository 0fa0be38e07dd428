"""The docs page in a real browser: choose an exercise, send it, with no internet."""

import re

import pytest
from playwright.sync_api import Page, expect

from app.examples import IN_ORDER
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e


@pytest.mark.browser
def test_an_exercise_is_sent_from_the_docs_page(page: Page, service: Service) -> None:
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    page.goto("/docs")
    submit = page.locator("#operations-experiments-submit_experiment")
    submit.locator("button.opblock-summary-control").click()
    examples = submit.locator("select.examples-select-element")
    examples.locator("option").nth(len(IN_ORDER) - 1).wait_for(state="attached")
    examples.select_option("mnist_digits")
    expect(submit.locator("textarea.body-param__text")).to_have_value(re.compile("MNIST"))
    page.get_by_role("button", name="Execute").click()
    answer = submit.locator(".live-responses-table tbody .response-col_status")
    answer.first.wait_for()
    assert answer.first.inner_text().startswith("202")
    newest = service.http.get("/v1/experiments", params={"limit": 1}).json()["items"][0]
    assert service.client.wait(newest["id"], timeout=60).state.value == "completed"
    assert newest["name"].startswith("MNIST")
    assert refused == [], "the content security policy lets the page do what it does"
