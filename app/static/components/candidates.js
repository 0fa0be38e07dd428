/** A comparison's candidates as a table. */
import { shown } from "../lib/dom.js";
import { Table } from "./table.js";

/** @param {Schemas["IntervalView"] | null} interval */
const span = (interval) => (interval ? `${shown(interval.low)} to ${shown(interval.high)}` : "–");
/** @param {number | null | undefined} part */
const per = (part) => (part === null || part === undefined ? "–" : `${(100 * part).toFixed(1)} %`);

/**
 * `title` says whose they are, where there are several such tables.
 * @param {Schemas["ComparisonView"]} comparison
 */
export function candidatesTable(comparison, title = comparison.name) {
  const metric = comparison.objective.metric;
  const hasFolds = comparison.candidates.some((row) => row.values.some((value) => value.fold));
  /** @type {Table<Schemas["CandidateView"]>} */
  const table = new Table(
    [
      { title: "Rank", isNumber: true, value: (row) => row.rank },
      { title: "Candidate", value: (row) => row.label },
      {
        title: hasFolds ? "Folds" : "Seeds",
        isNumber: true,
        value: (row) => row.values.length,
        cell: (row) =>
          row.is_confirmed
            ? `${row.values.length}/${row.confirming_trials} further`
            : `${row.values.length}/${row.trials - row.confirming_trials}`,
      },
      { title: `${metric}, mean`, isNumber: true, value: (row) => row.mean, cell: (row) => shown(row.mean) },
      {
        title: "95 % interval",
        isNumber: true,
        value: (row) => row.interval?.low ?? null,
        cell: (row) => span(row.interval),
      },
      {
        title: "Leader is better",
        isNumber: true,
        value: (row) => row.against_leader?.probability ?? null,
        cell: (row) => per(row.against_leader?.probability),
      },
      {
        title: "Gap",
        isNumber: true,
        value: (row) => row.generalization_gap,
        cell: (row) => shown(row.generalization_gap),
      },
      {
        title: "Epochs to best",
        isNumber: true,
        value: (row) => row.epochs_to_best,
        cell: (row) => shown(row.epochs_to_best),
      },
      {
        title: "Seconds",
        isNumber: true,
        value: (row) => row.training_seconds,
        cell: (row) => row.training_seconds.toFixed(1),
      },
      {
        title: "Parameters",
        isNumber: true,
        value: (row) => row.parameter_count,
        cell: (row) => shown(row.parameter_count),
      },
      {
        title: `What the ${hasFolds ? "folds" : "seeds"} show`,
        isText: true,
        value: (row) => row.against_leader?.sentence ?? (row.rank === 1 ? "it leads" : "–"),
      },
    ],
    {
      caption: `Candidates of ${title}`,
      keyOf: (row) => `${row.model} ${JSON.stringify(row.hyperparameters)}`,
      sortBy: 0,
      classOf: (row) => (row.rank === 1 ? "leads" : ""),
    },
  );
  table.set(comparison.candidates);
  return table;
}
