/** Which page is shown: `#/`, `#/submit`, `#/experiments/ID`, `#/compare/ID,ID`. */
import { api, isAsking, Problem } from "./lib/api.js";
import { byId, el, messageOf } from "./lib/dom.js";
import { showComparison } from "./pages/comparison.js";
import { showExperiment } from "./pages/experiment.js";
import { showExperiments } from "./pages/experiments.js";
import { showSubmit } from "./pages/submit.js";

/**
 * Draws a page into `main`.
 * @typedef {(main: HTMLElement, found: string, leaving: AbortSignal) => Promise<void>} Show
 */

/** @type {[RegExp, string, Show][]} */
const PAGES = [
  [/^#?\/?$/, "experiments", showExperiments],
  [/^#\/submit$/, "submit", showSubmit],
  [/^#\/experiments\/(exp_[0-9a-f]{32})$/, "experiments", showExperiment],
  [/^#\/compare\/((?:exp_[0-9a-f]{32},?){1,10})$/, "experiments", showComparison],
];
const main = byId("main", HTMLElement);
/** @type {(() => void) | null} */
let leave = null;

/**
 * The page of an address: the name of its link, how it is drawn, and the identifiers within the address.
 * @param {string} hash
 * @returns {[string, Show | null, string]}
 */
function pageOf(hash) {
  for (const [pattern, page, show] of PAGES) {
    const match = hash.match(pattern);
    if (match) return [page, show, match[1] ?? ""];
  }
  return ["", null, ""];
}

async function navigate(isFirst = false) {
  leave?.();
  const leaving = new AbortController();
  leave = () => leaving.abort();
  const [page, show, found] = pageOf(location.hash);
  for (const link of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("nav a"))) {
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
        el("h1", {}, "This page could not be loaded"),
        el("p", { class: "problem", role: "alert" }, messageOf(error)),
      );
    }
  }
}

/** Who trains, in the corner: it explains why nothing happens, where nothing does. */
async function watchWorkers() {
  const place = byId("service", HTMLElement);
  if (isAsking()) {
    setTimeout(watchWorkers, 1_000);
    return;
  }
  try {
    const workers = (await api("/v1/workers")).items;
    const busy = workers.filter((worker) => !worker.is_idle).length;
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

byId("skip", HTMLElement).addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => navigate());
navigate(true);
watchWorkers();
