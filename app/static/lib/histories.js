/** The epochs of trials as they arrive, and curves of them. */
import { number } from "./dom.js";

/** @typedef {Record<string, (number | null)[]> & { epoch: number[] }} History */

/** Epochs that a page holds of an experiment at most when it opens: as many as it can draw without delay. */
const POINTS_OF_ALL = 100_000;

/**
 * The query for a history as a chart shows it.
 * @param {Schemas["ProgressView"]} progress
 * @returns {`?points=${number}`}
 */
export function thinned({ trials }) {
  const count = Object.values(trials).reduce((sum, one) => sum + one, 0);
  return `?points=${Math.min(2_000, Math.max(20, Math.floor(POINTS_OF_ALL / Math.max(1, count))))}`;
}

export class Histories {
  constructor() {
    /** @type {Map<string, History>} */
    this.trials = new Map();
    /** @type {string[]} */
    this.names = [];
  }

  /**
   * What is new, as an event or `history?after=…` has it.
   * @param {Schemas["TrialHistoryView"][]} trials
   */
  add(trials) {
    for (const { trial_id: id, history } of trials) {
      const mine = this.trials.get(id) ?? { epoch: [] };
      this.trials.set(id, mine);
      const last = mine.epoch.at(-1) ?? 0;
      // The schema says that any column may have gaps; the epochs have no null.
      /** @type {number[]} */ (history.epoch ?? []).forEach((epoch, at) => {
        if (epoch <= last) return;
        mine.epoch.push(epoch);
        for (const [name, values] of Object.entries(history)) {
          if (name === "epoch") continue;
          if (!this.names.includes(name)) this.names.push(name);
          mine[name] ??= Array(mine.epoch.length - 1).fill(null);
          mine[name].push(number(values[at]));
        }
      });
    }
  }

  metrics() {
    return this.names;
  }

  /**
   * A trial's curve of a metric; its best epoch is marked.
   * @param {Schemas["TrialSummaryView"]} trial
   * @param {string} metric
   */
  curve(trial, metric, isNamed = false, before = "") {
    /** @type {History} */
    const mine = this.trials.get(trial.id) ?? { epoch: [] };
    const label = before + trial.label;
    /** @type {"training" | "validation"} */
    const part = metric.startsWith("val_") ? "validation" : "training";
    return {
      key: trial.id,
      group: label.replace(/(, )?(seed=\d+)?(, )?(fold=\d+)?$/, "") || label,
      name: isNamed ? `${label}: ${metric}` : label,
      part: isNamed ? part : null,
      x: mine.epoch,
      y: (mine[metric] ?? []).map((value) => (Number.isFinite(value) ? value : null)),
      best: trial.best_epoch ? mine.epoch.indexOf(trial.best_epoch.epoch) : -1,
    };
  }
}
