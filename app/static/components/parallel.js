/** All hyperparameters side by side (parallel coordinates), as the service draws them. */

import { picture } from "../lib/api.js";
import { el } from "../lib/dom.js";

/**
 * A part of the page that draws when it is opened.
 * @param {string} path of the experiment
 * @param {(error: unknown) => void} say shows what went wrong
 */
export function parallelDetails(path, say) {
  const sheet = el("div", { class: "sheet" });
  /** @type {HTMLDetailsElement} */
  const details = el(
    "details",
    { ontoggle: () => void (details.open && redraw()) },
    el("summary", {}, "All hyperparameters side by side"),
    el("p", { class: "hint" }, "A line for each trial that has a value; the darker, the better."),
    sheet,
  );
  async function redraw() {
    try {
      sheet.replaceChildren(await picture(`${path}/plot.svg?x=hyperparameters`));
    } catch (error) {
      say(error);
    }
  }
  return details;
}
