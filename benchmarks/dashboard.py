"""`make bench-dashboard`: how long a hundred trials of a hundred epochs take to draw in Chromium.

The chart says how many points it shows once it has drawn them; that is waited for within the page, so that nothing of
the driver is measured.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable

from playwright.sync_api import Page, sync_playwright

from benchmarks.api import Experiment, Server
from models.sql.database import Database

TRIALS, EPOCHS, RUNS = 100, 100, 5

# Milliseconds until the chart has drawn anew.
_UNTIL_DRAWN = """async (act) => {
  const chart = document.querySelector(".chart");
  const drawn = new Promise((resolve) => chart.on("plotly_afterplot", resolve));
  const started = performance.now();
  eval(act);
  await drawn;
  return performance.now() - started;
}"""
_CHOOSE = 'const s = document.querySelector(".bar select"); s.value = "{}"; s.dispatchEvent(new Event("change"))'


def main() -> None:
    """Measure, and print Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/fittingroom.db")
        database.migrate()
        with Server(["-m", "fittingroom", "api", "--port", "{port}"], {"FITTINGROOM_DATA_DIR": folder}) as server:
            experiment = Experiment(database, server, TRIALS, EPOCHS)
            experiment.write(EPOCHS)
            experiment.end()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
                    args=["--no-sandbox", "--disable-gpu"],
                )
                page = browser.new_page(base_url=f"http://127.0.0.1:{server.port}", bypass_csp=True)
                opened = _median(lambda: _open(page, experiment.id))
                metrics = iter(["loss", "accuracy", "val_loss", "val_accuracy", "loss"])
                redrawn = _median(lambda: float(page.evaluate(_UNTIL_DRAWN, _CHOOSE.format(next(metrics)))))
                browser.close()
        database.close()
    rows = [
        f"| {TRIALS} trials of {EPOCHS} epochs | measured | goal |",
        "| --- | ---: | ---: |",
        f"| from another page to the drawn curves, data and all | {opened:,.0f} ms | < 1,000 ms |",
        f"| drawn anew, after another metric was chosen | {redrawn:,.0f} ms | < 1,000 ms |",
    ]
    sys.stdout.write("\n".join(rows) + "\n")


def _open(page: Page, experiment_id: str) -> float:
    """Milliseconds from an empty list to the experiment's curves; scripts are loaded before."""
    page.goto("/")
    page.locator("table").wait_for()
    page.wait_for_timeout(500)
    return float(
        page.evaluate(
            """async ([hash, points]) => {
              const started = performance.now();
              location.hash = hash;
              while (document.querySelector(".chart")?.dataset.points !== points) {
                await new Promise((resolve) => requestAnimationFrame(resolve));
              }
              return performance.now() - started;
            }""",
            [f"#/experiments/{experiment_id}", str(TRIALS * EPOCHS)],
        )
    )


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(RUNS))


if __name__ == "__main__":
    main()
