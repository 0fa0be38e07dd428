/** A table that sorts by each of its columns and can be filtered; rows keep their elements, so that focus stays. */
import { el } from "../lib/dom.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} title
 * @property {(row: Row) => unknown} value what is sorted and found by
 * @property {(row: Row) => string | HTMLElement} [cell] what is shown: by default the value
 * @property {boolean} [isNumber]
 * @property {boolean} [isText]
 */

/**
 * @template Row
 * @typedef {object} Options
 * @property {string} caption
 * @property {(row: Row) => string} keyOf
 * @property {(row: Row) => string} [textOf] what else a row is found by
 * @property {(row: Row) => void} [onEnter]
 * @property {(row: Row) => void} [onLeave]
 * @property {(row: Row) => string} [classOf]
 * @property {number} [sortBy] index of a column
 * @property {boolean} [isDescending]
 */

/** @template Row */
export class Table {
  /**
   * @param {Column<Row>[]} columns
   * @param {Options<Row>} options
   */
  constructor(columns, options) {
    this.columns = columns;
    this.options = options;
    /** @type {Row[]} */
    this.rows = [];
    this.filter = "";
    /** @type {Map<string, { element: HTMLTableRowElement, row: Row }>} */
    this.elements = new Map();
    /** @type {number | null} */
    this.sortBy = options.sortBy ?? null;
    this.isDescending = options.isDescending ?? false;
    this.body = el("tbody");
    this.heads = columns.map((column, index) =>
      el(
        "th",
        { scope: "col", class: column.isNumber ? "number" : null },
        el("button", { type: "button", onclick: () => this.sort(index) }, column.title),
      ),
    );
    const caption = el("caption", { class: "hint" }, options.caption);
    const table = el("table", {}, caption, el("thead", {}, el("tr", {}, ...this.heads)), this.body);
    this.element = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": options.caption }, table);
  }

  /** @param {number} index */
  sort(index) {
    this.isDescending = this.sortBy === index ? !this.isDescending : false;
    this.sortBy = index;
    this.render();
  }

  /** @param {Row[]} rows */
  set(rows) {
    this.rows = rows;
    this.render();
  }

  /** @param {string} text */
  filterBy(text) {
    this.filter = text.trim().toLowerCase();
    this.render();
  }

  render() {
    this.heads.forEach((head, index) => {
      if (index === this.sortBy) head.setAttribute("aria-sort", this.isDescending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    let rows = this.rows;
    if (this.filter) {
      const { textOf } = this.options;
      const texts = (/** @type {Row} */ row) => [textOf?.(row), ...this.columns.map(({ value }) => value(row))];
      const isFound = (/** @type {unknown} */ text) =>
        String(text ?? "")
          .toLowerCase()
          .includes(this.filter);
      rows = rows.filter((row) => texts(row).some(isFound));
    }
    const column = this.sortBy === null ? undefined : this.columns[this.sortBy];
    if (column) {
      const { value } = column;
      rows = [...rows].sort((one, other) => compared(value(one), value(other), this.isDescending));
    }
    const kept = new Map();
    const elements = rows.map((row) => {
      const key = this.options.keyOf(row);
      const entry = this.elements.get(key) ?? this.make(key, row);
      const { element } = entry;
      entry.row = row;
      element.className = [this.options.classOf?.(row) ?? "", element.classList.contains("lit") ? "lit" : ""].join(" ");
      this.fill(element, row);
      kept.set(key, entry);
      return element;
    });
    this.elements = kept;
    const isInPlace =
      elements.length === this.body.children.length &&
      elements.every((element, at) => element === this.body.children[at]);
    if (isInPlace) return;
    const focused = document.activeElement;
    this.body.replaceChildren(...elements);
    if (focused instanceof HTMLElement && this.body.contains(focused)) focused.focus({ preventScroll: true });
  }

  /**
   * @param {string} key
   * @param {Row} row
   */
  make(key, row) {
    const { onEnter, onLeave } = this.options;
    const entry = { element: el("tr", { "data-key": key }), row };
    for (const name of ["mouseenter", "focusin"]) entry.element.addEventListener(name, () => onEnter?.(entry.row));
    for (const name of ["mouseleave", "focusout"]) entry.element.addEventListener(name, () => onLeave?.(entry.row));
    return entry;
  }

  /**
   * @param {HTMLTableRowElement} element
   * @param {Row} row
   */
  fill(element, row) {
    this.columns.forEach((column, index) => {
      const content = column.cell ? column.cell(row) : String(column.value(row) ?? "–");
      let cell = element.cells[index];
      if (!cell) {
        cell = el("td", { class: column.isNumber ? "number" : column.isText ? "text" : null });
        element.append(cell);
      }
      if (typeof content === "string") {
        if (cell.textContent !== content || cell.firstElementChild) cell.textContent = content;
      } else if (cell.dataset.shown !== content.dataset.shown || cell.dataset.shown === undefined) {
        cell.replaceChildren(content);
        if (content.dataset.shown !== undefined) cell.dataset.shown = content.dataset.shown;
      }
    });
  }

  /**
   * @param {string} key
   * @param {boolean} isLit
   */
  light(key, isLit) {
    this.elements.get(key)?.element.classList.toggle("lit", isLit);
  }
}

/**
 * Missing values come last, whichever way it is sorted.
 * @param {unknown} one
 * @param {unknown} other
 * @param {boolean} isDescending
 */
function compared(one, other, isDescending) {
  const isMissing = (/** @type {unknown} */ value) => value === null || value === undefined || Number.isNaN(value);
  if (isMissing(one) || isMissing(other)) return Number(isMissing(one)) - Number(isMissing(other));
  const order =
    typeof one === "number" && typeof other === "number"
      ? one - other
      : String(one).localeCompare(String(other), undefined, { numeric: true });
  return isDescending ? -order : order;
}
