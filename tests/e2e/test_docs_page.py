"""The docs page in a real browser: choose an exercise, send it, with no internet."""

import re
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from models.spec.examples import IN_ORDER
from tests.e2e.service import Service


@pytest.mark.browser
def test_an_exercise_is_sent_from_the_docs_page(service: Service) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "install chromium (Debian: apt-get install chromium)"
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    requested: list[str] = []
    home = f"http://127.0.0.1:{service.port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page()
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{home}/docs")
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
        browser.close()
    assert [url for url in requested if not url.startswith((home, "data:"))] == []
    newest = service.http.get("/v1/experiments", params={"limit": 1}).json()["items"][0]
    assert service.client.wait(newest["id"], timeout=60).state.value == "completed"
    assert newest["name"].startswith("MNIST")
