/** Elements, numbers and times as people read them. Text is always set as text: nothing a client sent is ever HTML. */

/** An element with properties (`class`, `on…`, attributes) and children (elements or texts). */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !["list", "form"].includes(name) && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A number of the wire: "NaN" and "Infinity" are numbers there. */
export const number = (value) => (value === null || value === undefined ? null : Number(value));

/** Four digits are what a comparison by eye can use. */
export function shown(value) {
  if (value === null || value === undefined) return "–";
  const found = Number(value);
  if (!Number.isFinite(found)) return String(value);
  if (Number.isInteger(found)) return found.toLocaleString("en");
  return Math.abs(found) >= 1e5 || Math.abs(found) < 1e-3 ? found.toExponential(3) : found.toPrecision(4);
}

/** When something happened, in the reader's own time. */
export const time = (text) =>
  text ? new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–";

/** A state as a word with a colour. */
export const stateOf = (state) => el("span", { class: `state ${state}` }, state);

/** Calls `work` at most once in so many milliseconds, and once more after the last call. */
export function throttled(milliseconds, work) {
  let timer = null,
    last = 0;
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
