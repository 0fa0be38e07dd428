/** The epochs of trials as they arrive, and curves of them. */
import { number } from "./dom.js";

export class Histories {
  constructor() {
    this.trials = new Map();
    this.names = [];
  }

  /** trials: as an event or `history?after=…` has them: what is new. */
  add(trials) {
    for (const { trial_id: id, history } of trials) {
      if (!this.trials.has(id)) this.trials.set(id, { epoch: [] });
      const mine = this.trials.get(id);
      const last = mine.epoch.at(-1) ?? 0;
      history.epoch.forEach((epoch, at) => {
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

  /** A trial's curve of a metric; its best epoch is marked. */
  curve(trial, metric, isNamed = false, before = "") {
    const mine = this.trials.get(trial.id) ?? { epoch: [] };
    const label = before + trial.label;
    return {
      key: trial.id,
      group: label.replace(/(, )?seed=\d+$/, "") || label,
      name: isNamed ? `${label}: ${metric}` : label,
      isDashed: isNamed && metric.startsWith("val_"),
      x: mine.epoch,
      y: (mine[metric] ?? []).map((value) => (Number.isFinite(value) ? value : null)),
      best: mine.epoch.indexOf(trial.best_epoch?.epoch),
    };
  }
}
