/** The list of experiments, with live state; some can be chosen and set side by side. */

import { Table } from "../components/table.js";
import { api, isAsking } from "../lib/api.js";
import { el, messageOf, stateOf, time } from "../lib/dom.js";

const EVERY = 2_000;
const STATES = ["queued", "running", "completed", "failed", "cancelled"];

/** @typedef {Schemas["ExperimentSummaryView"]} Experiment */

/**
 * @param {HTMLElement} main
 * @param {string} _
 * @param {AbortSignal} leaving
 */
export async function showExperiments(main, _, leaving) {
  document.title = "Fitting Room";
  /** @type {Set<string>} */
  const chosen = new Set();
  const pages = { limit: 50 };
  const compare = el(
    "button",
    {
      type: "button",
      class: "main",
      disabled: true,
      onclick: () => {
        location.hash = `#/compare/${[...chosen].join(",")}`;
      },
    },
    "Compare chosen",
  );
  const state = el(
    "select",
    { onchange: refresh },
    el("option", { value: "" }, "any"),
    ...STATES.map((name) => el("option", {}, name)),
  );
  const tag = el("input", { type: "search", onchange: refresh });
  const find = el("input", {
    type: "search",
    oninput: () => {
      table.filterBy(find.value);
    },
  });
  const more = el(
    "button",
    {
      type: "button",
      hidden: true,
      onclick: () => {
        pages.limit += 50;
        refresh();
      },
    },
    "Show more",
  );
  const nothing = el(
    "p",
    { hidden: true },
    "Nothing here yet. ",
    el("a", { href: "#/submit" }, "Submit one of the six exercises."),
  );
  const problem = el("p", { class: "problem", role: "alert", hidden: true });

  /** @type {Table<Experiment>} */
  const table = new Table(
    [
      { title: "Choose", value: (row) => chosen.has(row.id), cell: choice },
      {
        title: "Name",
        value: (row) => row.name,
        cell: (row) => keyed(row.name, el("a", { href: `#/experiments/${row.id}` }, row.name)),
      },
      { title: "State", value: (row) => row.state, cell: (row) => keyed(row.state, stateOf(row.state)) },
      { title: "Progress", value: (row) => done(row), cell: progressOf },
      {
        title: "Trials",
        isNumber: true,
        value: (row) => Object.values(row.progress.trials).reduce((sum, count) => sum + count, 0),
      },
      { title: "Objective", value: (row) => row.objective.metric },
      { title: "Tags", value: (row) => row.tags.join(", ") },
      { title: "Made", value: (row) => row.created_at, cell: (row) => time(row.created_at) },
    ],
    { caption: "Experiments, newest first", keyOf: (row) => row.id },
  );

  /** @param {Experiment} row */
  function choice(row) {
    const box = el("input", {
      type: "checkbox",
      "aria-label": `Choose ${row.name}`,
      checked: chosen.has(row.id),
      onchange: () => {
        if (box.checked) chosen.add(row.id);
        else chosen.delete(row.id);
        compare.disabled = chosen.size < 2 || chosen.size > 10;
      },
    });
    return keyed("choice", box);
  }

  async function refresh() {
    try {
      const query = new URLSearchParams();
      if (state.value) query.set("state", state.value);
      if (tag.value.trim()) query.set("tag", tag.value.trim());
      /** @type {Experiment[]} */
      const items = [];
      /** @type {string | null} */
      let cursor = null;
      do {
        query.set("limit", String(Math.min(100, pages.limit - items.length)));
        if (cursor) query.set("cursor", cursor);
        const page = await api(`/v1/experiments?${query}`, { signal: leaving });
        items.push(...page.items);
        cursor = page.next_cursor ?? null;
      } while (cursor && items.length < pages.limit);
      table.set(items);
      more.hidden = cursor === null;
      nothing.hidden = items.length > 0;
      problem.hidden = true;
    } catch (error) {
      if (leaving.aborted) return;
      problem.hidden = false;
      problem.textContent = messageOf(error);
    }
  }

  await refresh();
  main.replaceChildren(
    el("h1", {}, "Experiments"),
    problem,
    el(
      "div",
      { class: "bar" },
      el("label", {}, "State", state),
      el("label", {}, "Tag", tag),
      el("label", {}, "Find on this page", find),
      compare,
      el("a", { href: "#/submit" }, "New experiment"),
    ),
    nothing,
    table.element,
    el("p", {}, more),
  );
  const timer = setInterval(() => {
    if (!document.hidden && !isAsking()) refresh();
  }, EVERY);
  leaving.addEventListener("abort", () => clearInterval(timer));
}

/**
 * A cell's element is made anew only when what it shows has changed.
 * @param {string} text
 * @param {HTMLElement} element
 */
const keyed = (text, element) => {
  element.dataset.shown = text;
  return element;
};
/** @param {Experiment} row */
const done = ({ progress, state }) =>
  ["queued", "running"].includes(state) ? progress.epochs_completed / Math.max(1, progress.epochs_planned) : 1;

/** @param {Experiment} row */
function progressOf(row) {
  const { epochs_completed: completed, epochs_planned: planned } = row.progress;
  const text = `${completed} of ${planned} epochs`;
  return keyed(
    `${text} ${done(row)}`,
    el("span", {}, el("progress", { value: String(done(row)), max: "1", "aria-label": text }), ` ${text}`),
  );
}
