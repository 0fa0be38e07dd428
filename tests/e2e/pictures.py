"""The pictures of the docs: `make pictures` trains the exercises on a service of its own and draws them."""

import json
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from app.examples import FOLDER as EXAMPLES
from app.examples import example_documents
from fittingroom import Client
from tests.e2e.service import Service

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
LOOKS: dict[str, dict[str, str]] = {
    "learning_rates": {"metric": "loss"},
    "validation": {"metric": "accuracy,val_accuracy"},
    "early_stopping": {"metric": "loss,val_loss"},
    "wider_network": {"metric": "val_loss", "seeds": "band"},
    "deeper_network": {"metric": "loss,val_loss", "layout": "apart"},
    "mnist_digits": {"metric": "accuracy,val_accuracy"},
}


def draw_curves(client: Client) -> None:
    """One picture for each exercise."""
    for name, document in example_documents().items():
        spec = document
        if name == "wider_network":
            dataset = {"name": "titanic", "standardize": True}
            spec = document | {"name": "wider, ten times", "seeds": list(range(10)), "dataset": dataset}
        view = client.wait(client.submit(spec).id, timeout=300)
        (FOLDER / f"{name}.svg").write_bytes(client.get_plot(view.id, **LOOKS[name]))


def draw_search(client: Client) -> None:
    """Draw the best value so far of the seventh exercise's search."""
    spec = json.loads((EXAMPLES / "digits_search.json").read_text())
    view = client.wait(client.submit(spec).id, timeout=300)
    (FOLDER / "digits_search.svg").write_bytes(client.get_plot(view.id, x="trial"))


def photograph(service: Service) -> None:
    """Draw the dashboard with a sweep, as a person sees it."""
    sweep = example_documents()["learning_rates"] | {
        "name": "Titanic: which learning rate, three times each?",
        "dataset": {"name": "titanic", "standardize": True},
        "optimizer": {"name": "sgd", "learning_rate": {"choice": [0.001, 0.01, 0.1]}},
        "fit": {"epochs": 20, "validation_split": 0.3},
        "seeds": [0, 1, 2],
        "objective": {"metric": "val_loss", "direction": "minimize"},
    }
    view = service.client.wait(service.client.submit(sweep).id, timeout=300)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(base_url=f"http://127.0.0.1:{service.port}", viewport={"width": 1200, "height": 860})
        page.goto(f"/#/experiments/{view.id}")
        page.locator('.chart[data-points="180"]').wait_for()
        page.wait_for_timeout(1_000)
        page.screenshot(path=FOLDER / "dashboard.png")
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), {}) as running:
        running.wait_until_ready()
        draw_curves(running.client)
        draw_search(running.client)
        photograph(running)
