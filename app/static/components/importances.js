/** Importance of hyperparameters as bars with their intervals. */
import { el } from "../lib/dom.js";
import { Table } from "./table.js";

/** @param {number} share */
const percent = (share) => `${Math.round(100 * share)} %`;

/** @param {Schemas["ImportanceView"][]} importances */
export function importancesTable(importances) {
  /** @type {Table<Schemas["ImportanceView"]>} */
  const table = new Table(
    [
      { title: "Hyperparameter", value: (row) => row.hyperparameter },
      {
        title: "Importance",
        isNumber: true,
        value: (row) => row.importance,
        cell: (row) => {
          const bar = el("progress", { value: String(row.importance), max: "1", "aria-label": row.hyperparameter });
          const cell = el("span", {}, bar, ` ${percent(row.importance)}`);
          cell.dataset.shown = percent(row.importance);
          return cell;
        },
      },
      {
        title: "95 % interval",
        isNumber: true,
        value: (row) => row.interval.low,
        cell: (row) => `${percent(row.interval.low)} to ${percent(row.interval.high)}`,
      },
    ],
    {
      caption: "By how much values among the best candidates differ from those among all",
      keyOf: (row) => row.hyperparameter,
    },
  );
  table.set(importances);
  return [el("h2", {}, "Importance of hyperparameters"), table.element];
}
