/** Which page is shown: `#/`, `#/submit`, `#/experiments/ID`, `#/compare/ID,ID`. */
import { api, isAsking, Problem } from "./lib/api.js";
import { el } from "./lib/dom.js";
import { showComparison } from "./pages/comparison.js";
import { showExperiment } from "./pages/experiment.js";
import { showExperiments } from "./pages/experiments.js";
import { showSubmit } from "./pages/submit.js";

const PAGES = [
  [/^#?\/?$/, "experiments", showExperiments],
  [/^#\/submit$/, "submit", showSubmit],
  [/^#\/experiments\/(exp_[0-9a-f]{32})$/, "experiments", showExperiment],
  [/^#\/compare\/((?:exp_[0-9a-f]{32},?){1,10})$/, "experiments", showComparison],
];
const main = document.getElementById("main");
let leave = null;

async function navigate(isFirst = false) {
  leave?.();
  leave = null;
  const leaving = new AbortController();
  leave = () => leaving.abort();
  const [page, show, found] = PAGES.flatMap(([pattern, page, show]) => {
    const match = location.hash.match(pattern);
    return match ? [[page, show, match[1]]] : [];
  })[0] ?? ["", null, null];
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren(el("p", {}, "Loading …"));
  if (!isFirst) main.focus();
  try {
    if (!show) throw new Error("There is no such page.");
    await show(main, found, leaving.signal);
  } catch (error) {
    if (!leaving.signal.aborted) {
      main.replaceChildren(
        el("h1", {}, "This cannot be shown"),
        el("p", { class: "problem", role: "alert" }, error.message),
      );
    }
  }
}

/** Who trains, in the corner: it explains why nothing happens, where nothing does. */
async function watchWorkers() {
  const place = document.getElementById("service");
  if (isAsking()) {
    setTimeout(watchWorkers, 1_000);
    return;
  }
  try {
    const workers = (await api("/v1/workers")).items;
    const busy = workers.filter((worker) => worker.cohort_id !== null).length;
    const text =
      workers.length === 0
        ? "no worker is alive"
        : `${workers.length} worker${workers.length > 1 ? "s" : ""}, ${busy} training`;
    if (place.textContent !== text) place.textContent = text;
  } catch (error) {
    place.textContent = error instanceof Problem ? error.message : "the service does not answer";
  }
  setTimeout(watchWorkers, 5_000);
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => navigate());
navigate(true);
watchWorkers();
