/** Extension of an experiment that has ended: more epochs for its best candidates, or more trials of its search. */

import { api } from "../lib/api.js";
import { el, messageOf } from "../lib/dom.js";

/**
 * A button that asks by how much to extend an experiment, and then shows the new one.
 * @param {HTMLElement} main
 * @param {string} id
 * @param {number} epochs number of epochs that were trained
 */
export function extendButton(main, id, epochs) {
  return el("button", { type: "button", onclick: () => ask(main, id, epochs) }, "Extend");
}

/**
 * @param {HTMLElement} main
 * @param {string} id
 * @param {number} epochs
 */
function ask(main, id, epochs) {
  const longer = choice("More epochs for the best candidates", true);
  const further = choice("More trials, drawn from the results so far", false);
  const total = count("Epochs in all", epochs + 1, 2 * epochs);
  const top = count("Best candidates", 1, 5);
  const trials = count("Further trials", 1, 20);
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const send = el("button", { class: "main" }, "Train");
  let sent = { text: "", key: "" };

  const show = () => {
    total.label.hidden = top.label.hidden = !longer.input.checked;
    trials.label.hidden = longer.input.checked;
    for (const { label, input } of [total, top, trials]) input.disabled = label.hidden;
  };
  const dialog = el("dialog", { "aria-label": "Extend this experiment" });
  dialog.addEventListener("close", () => dialog.remove());
  const form = el(
    "form",
    { onchange: show, onsubmit: submit },
    el("h2", {}, "Extend this experiment"),
    el("p", { class: "faint" }, "It stays as it is: a new experiment goes on from its results."),
    longer.label,
    further.label,
    el("div", { class: "bar" }, total.label, top.label, trials.label),
    problem,
    el("div", { class: "bar" }, send, el("button", { type: "button", onclick: () => dialog.close() }, "Close")),
  );
  dialog.append(form);

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    const body = longer.input.checked
      ? { epochs: total.input.valueAsNumber, top: top.input.valueAsNumber }
      : { trials: trials.input.valueAsNumber };
    // The same extension under the same key makes one experiment, however often it is sent.
    const text = JSON.stringify(body);
    if (text !== sent.text) sent = { text, key: crypto.randomUUID?.() ?? String(Math.random()).slice(2) };
    send.disabled = true;
    try {
      const headers = { "Idempotency-Key": sent.key };
      const view = await api(`/v1/experiments/${id}/extend`, { method: "POST", body, headers });
      dialog.close();
      location.hash = `#/experiments/${view.id}`;
    } catch (error) {
      problem.hidden = false;
      problem.textContent = messageOf(error);
    } finally {
      send.disabled = false;
    }
  }

  show();
  main.append(dialog);
  dialog.showModal();
}

/**
 * @param {string} text
 * @param {boolean} isChosen
 */
function choice(text, isChosen) {
  const input = el("input", { type: "radio", name: "extend", checked: isChosen });
  return { input, label: el("label", { class: "check" }, input, text) };
}

/**
 * @param {string} text
 * @param {number} least
 * @param {number} value
 */
function count(text, least, value) {
  const input = el("input", { type: "number", min: String(least), step: "1", required: true, value: String(value) });
  return { input, label: el("label", {}, text, input) };
}
