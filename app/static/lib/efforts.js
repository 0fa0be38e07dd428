/** What was spent until each trial had ended: the x axes of the best value so far. */
import { number } from "./dom.js";

/** @type {Record<string, string>} */
export const EFFORTS = { trial: "trial", epochs: "epochs of all trials", seconds: "seconds" };

/**
 * Trials that have ended with a value, in the order of what was spent. With folds, which are not equally hard, the mean
 * over those of a seed counts, once all have ended.
 * @param {Schemas["ExperimentView"]} view
 * @param {Schemas["TrialSummaryView"][]} trials
 * @param {string} effort a key of EFFORTS
 * @param {string} metric
 */
export function effortsOf(view, trials, effort, metric) {
  const began = Date.parse(view.started_at ?? view.created_at);
  const searched = trials.filter((trial) => !trial.is_confirming); // further seeds of the same are no progress
  const ended = searched.flatMap((trial) => (trial.finished_at ? [{ trial, at: Date.parse(trial.finished_at) }] : []));
  if (effort !== "trial") ended.sort((one, other) => one.at - other.at || one.trial.number - other.trial.number);
  const folds = Math.max(1, ...trials.map((trial) => trial.fold ?? 1));
  /** @type {Map<string, number[]>} */
  const ofFolds = new Map();
  let epochs = 0;
  return ended.flatMap(({ trial, at }) => {
    epochs += trial.epochs_completed;
    const y = number(trial.best_epoch?.metrics[metric]);
    const x = effort === "trial" ? trial.number : effort === "epochs" ? epochs : (at - began) / 1000;
    if (y === null) return [];
    const label = folds === 1 ? trial.label : trial.label.replace(/(, )?fold=\d+$/, "");
    const group = folds === 1 ? trial.id : JSON.stringify([trial.model, trial.hyperparameters, trial.seed]);
    const found = [...(ofFolds.get(group) ?? []), y];
    ofFolds.set(group, found);
    if (found.length < folds) return [];
    return [{ key: trial.id, label, x, y: found.reduce((sum, one) => sum + one, 0) / folds }];
  });
}
