/** A new experiment: one of the six exercises, or a spec of one's own, by a form made from the API's schema. */

import { SpecForm } from "../components/form.js";
import { warningsList } from "../components/warnings.js";
import { api, Problem } from "../lib/api.js";
import { el, messageOf } from "../lib/dom.js";

/**
 * @param {HTMLElement} main
 * @param {string} _
 * @param {AbortSignal} leaving
 */
export async function showSubmit(main, _, leaving) {
  document.title = "New experiment – Fitting Room";
  const [schema, datasets] = await Promise.all([
    api("/openapi.json", { signal: leaving }),
    api("/v1/datasets", { signal: leaving }),
  ]);
  const examples = schema.paths["/v1/experiments"].post.requestBody.content["application/json"].examples;
  const draft = sessionStorage.getItem("draft");
  sessionStorage.removeItem("draft");

  const exercise = el(
    "select",
    {
      onchange: () => {
        load(examples[exercise.value]?.value);
      },
    },
    el("option", { value: "" }, "choose …"),
    ...Object.entries(examples).map(([name, { summary }]) => el("option", { value: name }, summary)),
  );
  const text = el("textarea", {
    id: "spec",
    rows: 28,
    spellcheck: "false",
    "aria-describedby": "spec-hint",
    oninput: readText,
  });
  const said = el("div", { role: "alert" });
  const planned = el("p", { role: "status" });
  const warned = el("div", { role: "status" });
  const form = new SpecForm(
    schema.components.schemas,
    datasets.items.map((dataset) => dataset.name),
    (spec) => {
      text.value = JSON.stringify(spec, null, 2);
      said.replaceChildren();
    },
  );

  /** @param {Spec | undefined} spec */
  function load(spec) {
    if (!spec) return;
    text.value = JSON.stringify(spec, null, 2);
    form.fill(spec);
    said.replaceChildren();
    planned.textContent = "";
    warned.replaceChildren();
  }

  function readText() {
    let spec;
    try {
      spec = JSON.parse(text.value);
    } catch (error) {
      say(`This is not JSON yet: ${messageOf(error)}`);
      return;
    }
    said.replaceChildren();
    if (spec !== null && typeof spec === "object" && !Array.isArray(spec)) form.fill(spec);
  }

  let sent = { text: "", key: "" };
  const say = (/** @type {string} */ message) => said.replaceChildren(el("p", { class: "problem" }, message));

  /** @param {(spec: unknown) => Promise<void>} request */
  async function send(request) {
    if (form.invalid.size) {
      form.focusInvalid();
      return;
    }
    let spec;
    try {
      spec = JSON.parse(text.value);
    } catch (error) {
      say(`This is not JSON: ${messageOf(error)}`);
      text.focus();
      return;
    }
    said.replaceChildren();
    planned.textContent = "";
    warned.replaceChildren();
    form.clearFaults();
    // The same text under the same key makes one experiment, however often it is sent.
    if (text.value !== sent.text)
      sent = { text: text.value, key: crypto.randomUUID?.() ?? String(Math.random()).slice(2) };
    for (const button of buttons) button.disabled = true;
    try {
      await request(spec);
    } catch (error) {
      if (leaving.aborted) return;
      const faults = error instanceof Problem ? error.errors : [];
      say(
        faults.length
          ? faults.map((fault) => `${fault.pointer || "the document"}: ${fault.detail}`).join("\n")
          : messageOf(error),
      );
      form.showFaults(faults);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  const plan = () =>
    send(async (spec) => {
      const found = await api("/v1/experiments/plan", { method: "POST", body: spec, signal: leaving });
      const many = (/** @type {number} */ count, /** @type {string} */ word) =>
        `${count} ${word}${count === 1 ? "" : "s"}`;
      const engines = [...new Set(found.cohorts.map((cohort) => `${cohort.engine.name}: ${cohort.engine.reason}`))];
      const later = found.undrawn_trials ? ` and ${found.undrawn_trials} more in later rounds` : "";
      const size = `${many(found.trials.length, "trial")} in ${many(found.cohorts.length, "cohort")}${later}`;
      planned.textContent = `${size}, compared by ${found.objective.metric}. ${engines.join("; ")}.`;
      warned.replaceChildren(warningsList(found.warnings));
    });
  const submit = () =>
    send(async (spec) => {
      const headers = { "Idempotency-Key": sent.key };
      const view = await api("/v1/experiments", { method: "POST", body: spec, signal: leaving, headers });
      location.hash = `#/experiments/${view.id}`;
    });

  const buttons = [
    el("button", { type: "button", onclick: plan }, "Plan"),
    el("button", { type: "button", class: "main", onclick: submit }, "Submit"),
  ];

  main.replaceChildren(
    el("h1", {}, "New experiment"),
    el("div", { class: "bar" }, el("label", {}, "Start from an exercise", exercise), ...buttons),
    said,
    planned,
    warned,
    el(
      "div",
      { class: "columns" },
      el(
        "form",
        {
          "aria-label": "Spec",
          onsubmit: (event) => {
            event.preventDefault();
            submit();
          },
        },
        form.element,
      ),
      el(
        "div",
        {},
        el("label", { for: "spec" }, "The spec, as it is sent"),
        text,
        el("p", { class: "hint", id: "spec-hint" }, "The form and this text are the same document; change either."),
      ),
    ),
  );
  load(draft ? JSON.parse(draft) : Object.values(examples)[0]?.value);
}
