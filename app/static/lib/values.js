/** Values of a spec as one types them in a form, and what they are called there. */

/** @typedef {{ isNumber?: boolean, isSearchable?: boolean, isFlag?: boolean }} Kinds what a text may stand for */

/**
 * True if the value has members: a document or a list.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export const isObject = (value) => typeof value === "object" && value !== null;

/**
 * A document in full: a name alone is short for it.
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
export function inFull(value) {
  if (typeof value === "string") return { name: value };
  return isObject(value) ? value : {};
}

/** @param {string | undefined} type */
export const isNumeric = (type) => type === "number" || type === "integer";

/** @param {string[]} path */
export const lastOf = (path) => path.at(-1) ?? "";

/** @param {string[]} path */
export const pointerOf = (path) => `/${path.join("/")}`;

/** @param {string[]} path */
export const titleOf = (path) => lastOf(path).replaceAll("_", " ");

/** @param {string | undefined} text */
export const plain = (text) => (text ?? "").replaceAll("`", "");

/** @param {string} text */
export const wordsOf = (text) =>
  text
    .replace(/^\s*\[(.*)\]\s*$/s, "$1")
    .split(",")
    .map((word) => word.trim())
    .filter(Boolean);

/**
 * A value as one types it: a search space of choices is a list.
 * @param {unknown} value
 */
export function written(value) {
  if (value === undefined || value === null) return "";
  if (!isObject(value)) return String(value);
  const isOfWords = isChoice(value) && !listed(value.choice).some((option) => typeof option === "object");
  return isOfWords ? listed(value.choice).join(", ") : JSON.stringify(value);
}

/**
 * @param {unknown} value
 * @returns {value is { choice: unknown[] }}
 */
export const isChoice = (value) => isObject(value) && Array.isArray(value.choice) && Object.keys(value).length === 1;

/** @param {JsonSchema} schema */
export const isSpace = (schema) => /^(Choice|((Int)?(Log)?Uniform)|SameAs)$/.test(schema.title ?? "");

/**
 * @param {string} text
 * @param {Kinds} kinds
 * @returns {unknown}
 */
export function read(text, { isNumber = false, isSearchable = false, isFlag = false }) {
  const word = text.trim();
  if (word === "") return undefined;
  if (isSearchable && /^[{[]/.test(word)) {
    try {
      const found = JSON.parse(word);
      return Array.isArray(found) ? { choice: found } : found;
    } catch {
      return word;
    }
  }
  if (isSearchable && word.includes(",")) {
    return {
      choice: word
        .split(",")
        .map((part) => read(part, { isNumber, isFlag }))
        .filter((part) => part !== undefined),
    };
  }
  if (isNumber && Number.isFinite(Number(word))) return Number(word);
  return isFlag && ["true", "false"].includes(word) ? word === "true" : word;
}

/**
 * @param {unknown} value
 * @returns {unknown[]}
 */
export const listed = (value) => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);

/**
 * JSON with one layer a line: a network as one reads it.
 * @param {unknown} value
 */
export function compact(value) {
  if (!isObject(value) || !Array.isArray(value.layers)) return JSON.stringify(value, null, 1);
  const { layers, ...rest } = value;
  const lines = layers.map((layer) => `  ${JSON.stringify(layer)}`).join(",\n");
  return `{${Object.entries(rest)
    .map(([key, found]) => `"${key}": ${JSON.stringify(found)}, `)
    .join("")}"layers": [\n${lines}\n]}`;
}

/** @param {JsonSchema} schema */
export function byDefault({ default: given }) {
  const name = isObject(given) ? given.name : given;
  return name ? `by default: ${name}` : "by default";
}

/** @param {JsonSchema[]} spaces that may stand in a field */
export function searchHint(spaces) {
  const titles = spaces.map(({ title }) => title);
  const ranges = /** @type {const} */ ([
    ["LogUniform", '{"log_uniform": [0.001, 0.1]}'],
    ["Uniform", '{"uniform": [0, 0.5]}'],
    ["IntUniform", '{"int_uniform": [1, 100]}'],
  ]);
  const range = ranges.find(([title]) => titles.includes(title))?.[1];
  return `Several, with commas between, are all tried.${range ? ` A range, for samplers that draw: ${range}.` : ""}`;
}
