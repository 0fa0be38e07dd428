/** One experiment: curves that grow while it trains, its trials, what the comparison says, and ways to stop it. */

import { candidatesTable } from "../components/candidates.js";
import { Chart } from "../components/charts.js";
import { extendButton } from "../components/extend.js";
import { importancesTable } from "../components/importances.js";
import { parallelDetails } from "../components/parallel.js";
import { Table } from "../components/table.js";
import { warningsList } from "../components/warnings.js";
import { api, download, events } from "../lib/api.js";
import { el, messageOf, number, shown, stateOf, throttled, time } from "../lib/dom.js";
import { EFFORTS, effortsOf } from "../lib/efforts.js";
import { Histories, thinned } from "../lib/histories.js";

const ENDED = ["completed", "failed", "cancelled"];

/** @typedef {Schemas["TrialSummaryView"]} Trial */

/**
 * @param {HTMLElement} main
 * @param {string} id
 * @param {AbortSignal} leaving
 */
export async function showExperiment(main, id, leaving) {
  const path = /** @type {const} */ (`/v1/experiments/${id}`);
  let view = await api(path, { signal: leaving });
  let trials = (await api(`${path}/trials`, { signal: leaving })).items;
  const objective = view.objective.metric;
  const swept = [...new Set(trials.flatMap((trial) => Object.keys(trial.hyperparameters)))];
  const histories = new Histories();
  const soon = throttled(250, paint);
  /** @type {Table<Schemas["CandidateView"]> | null} */
  let ranking = null;
  document.title = `${view.name} – Fitting Room`;

  const sentence = el("p", { class: "sentence", role: "status" });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const state = el("p", { class: "bar" });
  const drawing = el("div", { class: "chart", role: "figure" });
  const chart = new Chart(drawing, (key) => {
    for (const trial of trials) table.light(trial.id, trial.id === key);
  });
  const metric = el("select", { onchange: draw });
  const x = el(
    "select",
    { onchange: draw },
    el("option", { value: "" }, "epoch"),
    ...Object.entries(EFFORTS).map(([value, name]) => el("option", { value }, `best so far, by ${name}`)),
    ...swept.map((name) => el("option", {}, name)),
  );
  const scale = el("select", { onchange: draw }, ...["auto", "linear", "log"].map((name) => el("option", {}, name)));
  const both = el("input", { type: "checkbox", onchange: draw });
  const filter = el("input", {
    type: "search",
    oninput: () => {
      table.filterBy(filter.value);
      draw();
    },
  });
  const cancel = action("Cancel", "cancel", "Cancel this experiment? What runs ends with its epoch.");
  const pause = action("Pause", "pause");
  const resume = action("Resume", "resume");
  const extend = extendButton(main, id, Math.max(...trials.map((trial) => trial.epochs_planned)));
  const candidates = el("div");
  const important = el("div");

  /** @type {Table<Trial>} */
  const table = new Table(
    [
      { title: "Trial", value: (trial) => trial.number, cell: (trial) => trial.label },
      ...swept.map((name) => ({
        title: name.replace(/^.*\./, ""),
        value: (/** @type {Trial} */ trial) => trial.hyperparameters[name],
        isNumber: trials.some((trial) => typeof trial.hyperparameters[name] === "number"),
        cell: (/** @type {Trial} */ trial) => shownValue(trial.hyperparameters[name]),
      })),
      {
        title: "State",
        value: (trial) => detailOf(trial) ?? trial.state,
        cell: (trial) => why(trial),
      },
      {
        title: "Epochs",
        isNumber: true,
        value: (trial) => trial.epochs_completed,
        cell: (trial) => `${trial.epochs_completed}/${trial.epochs_planned}`,
      },
      {
        title: "Best epoch",
        isNumber: true,
        value: (trial) => trial.best_epoch?.epoch ?? null,
        cell: (trial) => shown(trial.best_epoch?.epoch),
      },
      {
        title: `${objective} there`,
        isNumber: true,
        value: (trial) => number(trial.best_epoch?.metrics[objective]),
        cell: (trial) => shown(trial.best_epoch?.metrics[objective]),
      },
      {
        title: "Seconds",
        isNumber: true,
        value: (trial) => trial.training_seconds,
        cell: (trial) => trial.training_seconds.toFixed(1),
      },
      {
        title: "Parameters",
        isNumber: true,
        value: (trial) => trial.parameter_count,
        cell: (trial) => shown(trial.parameter_count),
      },
      { title: "Network", value: (trial) => trial.weights_epoch, cell: network },
    ],
    {
      caption: "Trials; point at one to see its curve",
      keyOf: (trial) => trial.id,
      textOf: (trial) => trial.label,
      onEnter: (trial) => {
        chart.light(trial.id);
        table.light(trial.id, true);
      },
      onLeave: (trial) => {
        chart.light(null);
        table.light(trial.id, false);
      },
      classOf: (trial) => (trial.id === view.best_trial?.trial_id && trials.length > 1 ? "leads" : ""),
      sortBy: 0,
    },
  );

  /**
   * @param {string} title
   * @param {"cancel" | "pause" | "resume"} name
   * @param {string} [question]
   */
  function action(title, name, question) {
    return el(
      "button",
      {
        type: "button",
        class: question ? "risky" : null,
        onclick: async () => {
          if (question && !confirm(question)) return;
          try {
            await api(`${path}/${name}`, { method: "POST" });
            await refresh();
          } catch (error) {
            say(error);
          }
        },
      },
      title,
    );
  }

  /** @param {Trial} trial */
  function network(trial) {
    const summary = el(
      "button",
      { type: "button", "aria-label": `Summary of ${trial.label}`, onclick: () => showSummary(trial).catch(say) },
      "Summary",
    );
    const save = el(
      "button",
      {
        type: "button",
        "aria-label": `.keras file of ${trial.label}`,
        onclick: () => download(`/v1/trials/${trial.id}/artifact`, `${trial.id}.keras`).catch(say),
      },
      ".keras",
    );
    const cell = el("span", {}, summary, " ", typeof trial.weights_epoch === "number" ? save : null);
    cell.dataset.shown = `network ${trial.weights_epoch}`;
    return cell;
  }

  /** @param {Trial} trial */
  async function showSummary(trial) {
    const found = await api(`/v1/trials/${trial.id}`);
    const dialog = el(
      "dialog",
      { "aria-label": `Network of ${trial.label}`, style: "max-width: min(95vw, 60rem)" },
      el("h2", {}, trial.label),
      el("pre", { class: "scroll", tabindex: "0" }, found.model_summary ?? "No worker has built it yet."),
      el("form", { method: "dialog" }, el("button", {}, "Close")),
    );
    dialog.addEventListener("close", () => dialog.remove());
    main.append(dialog);
    dialog.showModal();
  }

  const say = (/** @type {unknown} */ error) => {
    if (leaving.aborted) return;
    problem.hidden = false;
    problem.textContent = messageOf(error);
    problem.dataset.source = "";
  };
  const sayUntilRefreshed = (/** @type {unknown} */ error) => {
    say(error);
    problem.dataset.source = "refresh";
  };

  function fillMetrics() {
    const known = histories.metrics();
    if (known.length === metric.options.length) return;
    const before = metric.value || objective;
    metric.replaceChildren(...known.map((name) => el("option", {}, name)));
    metric.value = known.includes(before) ? before : (known[0] ?? "");
  }

  function draw() {
    soon();
  }

  function paint() {
    if (leaving.aborted) return;
    fillMetrics();
    const name = metric.value || objective;
    const shownTrials = trials.filter((trial) => !filter.value || table.elements.has(trial.id));
    drawing.setAttribute("aria-label", `${name} of ${shownTrials.length} trials; the table below has the numbers`);
    if (x.value in EFFORTS) {
      const dots = effortsOf(view, shownTrials, x.value, name);
      return chart.drawProgress(dots, {
        title: `${name} ${x.value} ${scale.value}`,
        x: EFFORTS[x.value] ?? "",
        y: `${name} at the best epoch`,
        scale: scale.value,
        isLess: name === objective ? view.objective.direction === "minimize" : /loss|error/.test(name),
      });
    }
    if (x.value) {
      const dots = shownTrials.flatMap(({ id: key, label, hyperparameters, model, best_epoch: best }) =>
        best && x.value in hyperparameters
          ? [{ key, label, x: hyperparameters[x.value], y: number(best.metrics[name]), series: model ?? "" }]
          : [],
      );
      return chart.drawSweep(dots, {
        title: `${name} ${x.value} ${scale.value}`,
        x: x.value,
        y: `${name} at the best epoch`,
        scale: scale.value,
      });
    }
    const other = name.startsWith("val_") ? name.slice(4) : `val_${name}`;
    const names = both.checked && histories.metrics().includes(other) ? [name, other] : [name];
    const curves = names.flatMap((which) =>
      shownTrials.map((trial) => histories.curve(trial, which, names.length > 1)),
    );
    return chart.draw(curves, {
      title: `${name} ${scale.value} ${both.checked}`,
      x: "epoch",
      y: names.join(" and "),
      scale: scale.value,
      leader: view.best_trial?.trial_id,
    });
  }

  function fillState() {
    const { epochs_completed: completed, epochs_planned: planned } = view.progress;
    const isOver = ENDED.includes(view.state);
    state.replaceChildren(
      el("span", {}, stateOf(view.paused_at && !isOver ? "paused" : view.state)),
      el(
        "span",
        {},
        el("progress", {
          value: String(isOver ? 1 : completed / Math.max(1, planned)),
          max: "1",
          "aria-label": "Epochs",
        }),
        ` ${completed} of ${planned} epochs`,
      ),
      el("span", { class: "faint" }, `made ${time(view.created_at)}`),
      view.waiting_for && !view.paused_at ? el("span", { class: "faint" }, `waits: ${view.waiting_for}`) : "",
    );
    cancel.disabled = isOver;
    pause.hidden = isOver || view.paused_at !== null;
    resume.hidden = isOver || view.paused_at === null;
    extend.hidden = !isOver;
  }

  async function refresh() {
    [view, trials] = await Promise.all([
      api(path, { signal: leaving }),
      api(`${path}/trials`, { signal: leaving }).then((found) => found.items),
    ]);
    fillState();
    table.set(trials);
    draw();
    const comparison = await api(`${path}/comparison`, { signal: leaving });
    if (sentence.textContent !== comparison.sentence) sentence.textContent = comparison.sentence;
    if (ranking) ranking.set(comparison.candidates);
    else if (comparison.candidates.length > 1) {
      ranking = candidatesTable(comparison);
      candidates.append(el("h2", {}, "Candidates"), ranking.element);
    }
    if (comparison.importances.length) important.replaceChildren(...importancesTable(comparison.importances));
    // What another request was refused with stays: the first refresh may end after the events were refused.
    if (problem.dataset.source === "refresh") problem.hidden = true;
  }
  const refreshSoon = throttled(1_000, () => refresh().catch(sayUntilRefreshed));

  main.replaceChildren(
    el("h1", {}, view.name),
    state,
    sentence,
    warningsList(view.warnings),
    problem,
    el(
      "div",
      { class: "bar" },
      el("label", {}, "Metric", metric),
      el("label", { class: "check" }, both, "training and validation"),
      el("label", {}, "x axis", x),
      el("label", {}, "Scale", scale),
      el("label", {}, "Find trials", filter),
      pause,
      resume,
      cancel,
      extend,
    ),
    drawing,
    el("h2", {}, "Trials"),
    table.element,
    candidates,
    important,
    swept.length ? parallelDetails(path, say) : "",
    el("h2", {}, "Export"),
    el(
      "p",
      {},
      ...["history", "comparison", "plot.svg", "plot.png"].flatMap((name) => [
        el(
          "button",
          {
            type: "button",
            onclick: () =>
              download(`${path}/${name}`, `${id}.${name.includes(".") ? name : `${name}.json`}`).catch(say),
          },
          name,
        ),
        " ",
      ]),
    ),
    el(
      "details",
      {},
      el("summary", {}, "Submitted spec"),
      el("pre", { class: "scroll", tabindex: "0" }, JSON.stringify(view.spec, null, 2)),
      el(
        "button",
        {
          type: "button",
          onclick: () => {
            sessionStorage.setItem("draft", JSON.stringify(view.spec));
            location.hash = "#/submit";
          },
        },
        "Change it and submit anew",
      ),
    ),
  );
  leaving.addEventListener("abort", () => chart.close());
  refresh().catch(sayUntilRefreshed); // the curves do not wait for the comparison
  try {
    for await (const event of events(id, thinned(view.progress), leaving)) {
      histories.add(event.trials);
      draw();
      refreshSoon();
    }
    await refresh();
  } catch (error) {
    say(error);
  }
}

/** @param {unknown} value */
const shownValue = (value) => (typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value ?? "–"));

/** @param {Trial} trial */
const detailOf = (trial) =>
  trial.state === "pruned"
    ? `after epoch ${trial.epochs_completed}`
    : (trial.stop_reason ?? (trial.phase === "training" ? null : trial.phase));

/** @param {Trial} trial */
function why(trial) {
  const detail = detailOf(trial);
  const cell = el(
    "span",
    {},
    stateOf(trial.state),
    detail ? ` (${detail})` : "",
    trial.fault ? el("span", { class: "fault" }, ` ${trial.fault.message}`) : "",
  );
  cell.dataset.shown = `${trial.state} ${detail ?? ""} ${trial.fault?.message ?? ""}`;
  return cell;
}
