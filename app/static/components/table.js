/** A table that sorts by each of its columns and can be filtered; rows keep their elements, so that focus stays. */
import { el } from "../lib/dom.js";

/**
 * columns: [{ title, value(row) → what is sorted by, cell?(row) → what is shown, isNumber?, isText? }]
 * options: caption, keyOf(row), textOf(row) → what else it is found by, onEnter(row), onLeave(row), classOf(row), sortBy (index), isDescending
 */
export class Table {
  constructor(columns, options) {
    Object.assign(this, { columns, options, rows: [], filter: "", elements: new Map() });
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

  sort(index) {
    this.isDescending = this.sortBy === index ? !this.isDescending : false;
    this.sortBy = index;
    this.render();
  }

  set(rows) {
    this.rows = rows;
    this.render();
  }

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
      const texts = (row) => [this.options.textOf?.(row), ...this.columns.map(({ value }) => value(row))];
      rows = rows.filter((row) =>
        texts(row).some((text) =>
          String(text ?? "")
            .toLowerCase()
            .includes(this.filter),
        ),
      );
    }
    if (this.sortBy !== null) {
      const { value } = this.columns[this.sortBy];
      rows = [...rows].sort((one, other) => compared(value(one), value(other), this.isDescending));
    }
    const kept = new Map();
    const elements = rows.map((row) => {
      const key = this.options.keyOf(row);
      const element = this.elements.get(key) ?? this.make(key);
      element.row = row;
      element.className = [this.options.classOf?.(row) ?? "", element.classList.contains("lit") ? "lit" : ""].join(" ");
      this.fill(element, row);
      kept.set(key, element);
      return element;
    });
    this.elements = kept;
    const isInPlace =
      elements.length === this.body.children.length &&
      elements.every((element, at) => element === this.body.children[at]);
    if (isInPlace) return;
    const focused = document.activeElement;
    this.body.replaceChildren(...elements);
    if (this.body.contains(focused)) focused.focus({ preventScroll: true });
  }

  make(key) {
    const { onEnter, onLeave } = this.options;
    const element = el("tr", { "data-key": key });
    if (onEnter) {
      for (const name of ["mouseenter", "focusin"]) element.addEventListener(name, () => onEnter(element.row));
      for (const name of ["mouseleave", "focusout"]) element.addEventListener(name, () => onLeave(element.row));
    }
    return element;
  }

  fill(element, row) {
    this.columns.forEach((column, index) => {
      const content = column.cell ? column.cell(row) : String(column.value(row) ?? "–");
      let cell = element.children[index];
      if (!cell)
        element.append((cell = el("td", { class: column.isNumber ? "number" : column.isText ? "text" : null })));
      if (typeof content === "string") {
        if (cell.textContent !== content || cell.firstElementChild) cell.textContent = content;
      } else if (cell.dataset.shown !== content.dataset.shown || cell.dataset.shown === undefined) {
        cell.replaceChildren(content);
        if (content.dataset.shown !== undefined) cell.dataset.shown = content.dataset.shown;
      }
    });
  }

  light(key, isLit) {
    this.elements.get(key)?.classList.toggle("lit", isLit);
  }
}

/** Missing values come last, whichever way it is sorted. */
function compared(one, other, isDescending) {
  const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);
  if (isMissing(one) || isMissing(other)) return Number(isMissing(one)) - Number(isMissing(other));
  const order =
    typeof one === "number" && typeof other === "number"
      ? one - other
      : String(one).localeCompare(String(other), undefined, { numeric: true });
  return isDescending ? -order : order;
}
