/** Elements, numbers and times as people read them. Text is always set as text: nothing a client sent is ever HTML. */

/** @typedef {string | number | boolean | null | undefined | ((event: Event) => unknown)} Property */

/**
 * An element with properties (`class`, `on…`, attributes) and children (elements or texts).
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, Property>} properties
 * @param {...(Node | string | null | undefined)} children
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name in element && !["list", "form"].includes(name) && typeof value !== "string") {
      Object.assign(element, { [name]: value });
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * The element of index.html with this id.
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} with the id ${id}`);
  return found;
}

/**
 * The message of whatever was thrown.
 * @param {unknown} error
 */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/**
 * A number of the wire: "NaN" and "Infinity" are numbers there.
 * @param {WireNumber} value
 */
export const number = (value) => (value === null || value === undefined ? null : Number(value));

/**
 * Four digits are what a comparison by eye can use.
 * @param {WireNumber} value
 */
export function shown(value) {
  if (value === null || value === undefined) return "–";
  const found = Number(value);
  if (!Number.isFinite(found)) return String(value);
  if (Number.isInteger(found)) return found.toLocaleString("en");
  return Math.abs(found) >= 1e5 || Math.abs(found) < 1e-3 ? found.toExponential(3) : found.toPrecision(4);
}

/**
 * When something happened, in the reader's own time.
 * @param {string | null} text
 */
export const time = (text) =>
  text ? new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–";

/**
 * A state as a word with a colour.
 * @param {string} state
 */
export const stateOf = (state) => el("span", { class: `state ${state}` }, state);

/**
 * Calls `work` at most once in so many milliseconds, and once more after the last call.
 * @param {number} milliseconds
 * @param {() => unknown} work
 */
export function throttled(milliseconds, work) {
  /** @type {number | null} */
  let timer = null;
  let last = 0;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(
      () => {
        timer = null;
        last = performance.now();
        work();
      },
      Math.max(0, last + milliseconds - performance.now()),
    );
  };
}
