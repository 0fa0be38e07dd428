/** Chosen experiments side by side: their curves in one chart, and what each comparison says. */

import { candidatesTable } from "../components/candidates.js";
import { Chart } from "../components/charts.js";
import { api } from "../lib/api.js";
import { el, stateOf } from "../lib/dom.js";
import { Histories, thinned } from "../lib/histories.js";

/**
 * @param {HTMLElement} main
 * @param {string} ids with commas between
 * @param {AbortSignal} leaving
 */
export async function showComparison(main, ids, leaving) {
  document.title = "Comparison – Fitting Room";
  const found = await Promise.all(
    [...new Set(ids.split(",").filter(Boolean))].map(async (id) => {
      const path = /** @type {const} */ (`/v1/experiments/${id}`);
      const [view, trials, history, comparison] = await Promise.all([
        api(path, { signal: leaving }),
        api(`${path}/trials`, { signal: leaving }),
        api(path, { signal: leaving }).then(({ progress }) =>
          api(`${path}/history${thinned(progress)}`, { signal: leaving }),
        ),
        api(`${path}/comparison`, { signal: leaving }),
      ]);
      const histories = new Histories();
      histories.add(history.trials);
      return { name: view.name, view, trials: trials.items, histories, comparison };
    }),
  );
  const given = found.map(({ name }) => name);
  found.forEach((one, index) => {
    // those of one name are told apart by their place
    if (given.filter((name) => name === one.name).length > 1) one.name = `${index + 1}: ${one.name}`;
  });
  const drawing = el("div", { class: "chart", role: "figure" });
  const chart = new Chart(drawing);
  const names = [...new Set(found.flatMap(({ histories }) => histories.metrics()))];
  const metric = el("select", { onchange: draw }, ...names.map((name) => el("option", {}, name)));
  const shared = names.filter((name) => found.every(({ histories }) => histories.metrics().includes(name)));
  const objectives = found.map(({ view }) => view.objective.metric);
  metric.value = [...objectives, ...shared].find((name) => shared.includes(name)) ?? names[0] ?? "";
  const scale = el("select", { onchange: draw }, ...["auto", "linear", "log"].map((name) => el("option", {}, name)));
  const leaders = el("input", { type: "checkbox", onchange: draw });

  /** @returns {Promise<void>} */
  function draw() {
    const curves = found
      .flatMap(({ name, view, trials, histories }) =>
        trials
          .filter((trial) => !leaders.checked || trial.id === view.best_trial?.trial_id)
          .map((trial) => histories.curve(trial, metric.value, false, `${name}: `)),
      )
      .filter((curve) => curve.y.length > 0);
    drawing.setAttribute("aria-label", `${metric.value} of ${curves.length} trials of ${found.length} experiments`);
    return chart.draw(curves, {
      title: `${metric.value} ${scale.value}`,
      x: "epoch",
      y: metric.value,
      scale: scale.value,
      leader: null,
    });
  }

  main.replaceChildren(
    el("h1", {}, "Comparison"),
    el(
      "div",
      { class: "bar" },
      el("label", {}, "Metric", metric),
      el("label", {}, "Scale", scale),
      el("label", { class: "check" }, leaders, "leading trials only"),
    ),
    drawing,
    el(
      "div",
      {},
      ...found.map(({ name, view, comparison }) =>
        el(
          "section",
          {},
          el("h2", {}, el("a", { href: `#/experiments/${view.id}` }, name), " ", stateOf(view.state)),
          el("p", { class: "sentence" }, comparison.sentence),
          candidatesTable(comparison, name).element,
        ),
      ),
    ),
  );
  leaving.addEventListener("abort", () => chart.close());
  await draw();
}
