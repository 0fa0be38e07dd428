/** A form made from the schema of ExperimentSpec: what a field is called, means and takes is what the API says. */
import { el, messageOf } from "../lib/dom.js";
import {
  byDefault,
  compact,
  inFull,
  isNumeric,
  isObject,
  isSpace,
  lastOf,
  listed,
  plain,
  pointerOf,
  read,
  searchHint,
  titleOf,
  wordsOf,
  written,
} from "../lib/values.js";

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */

const ORDER = [
  "name",
  "dataset",
  "model",
  "models",
  "optimizer",
  "loss",
  "loss_weights",
  "metrics",
  "fit",
  "early_stopping",
  "seeds",
  "objective",
  "reduce_lr_on_plateau",
  "sampler",
  "pruner",
  "confirm",
  "tags",
  "device",
  "backend",
  "precision",
];
const SELDOM = ["reduce_lr_on_plateau", "sampler", "pruner", "confirm", "tags", "device", "backend", "precision"];
const LEFT_OUT = ["webhook", "sha256"];

export class SpecForm {
  /**
   * @param {Record<string, JsonSchema>} schemas `components.schemas`
   * @param {string[]} datasets names
   * @param {(spec: Spec) => void} onChange called with the whole document
   */
  constructor(schemas, datasets, onChange) {
    this.schemas = schemas;
    this.datasets = datasets;
    this.onChange = onChange;
    /** @type {Spec} */
    this.spec = {};
    this.element = el("div");
    /** @type {Map<string, { input: Control, fault: HTMLElement }>} by JSON pointer */
    this.fields = new Map();
    /** @type {Set<string>} pointers of fields whose text is no JSON */
    this.invalid = new Set();
    /** @type {Map<string, string>} messages by pointer */
    this.faults = new Map();
    /** @type {Map<string, unknown>} what was left for another choice, by pointer and name */
    this.left = new Map();
  }

  /** @param {Spec} spec another one */
  fill(spec) {
    this.faults.clear();
    this.left.clear();
    this.render(spec);
  }

  /** @param {Spec} spec */
  render(spec) {
    const { activeElement } = document;
    const focused = activeElement instanceof HTMLElement ? activeElement.dataset.pointer : undefined;
    this.spec = spec;
    this.fields.clear();
    this.invalid.clear();
    const { properties = {}, required = [] } = this.schemas.ExperimentSpec ?? {};
    const names = [...ORDER, ...Object.keys(properties).filter((name) => !ORDER.includes(name))];
    const shownNames = names.filter(
      (name) =>
        !LEFT_OUT.includes(name) &&
        !(["models", "loss_weights"].includes(name) && !spec[name]) &&
        !(name === "model" && spec.models),
    );
    const field = (/** @type {string} */ name) => this.field(properties[name] ?? {}, [name], required.includes(name));
    const open = new Set([...this.element.querySelectorAll("details")].filter((one) => one.open).map((one) => one.id));
    this.element.replaceChildren(
      ...shownNames.filter((name) => !SELDOM.includes(name)).map(field),
      el(
        "details",
        { id: "advanced", open: SELDOM.some((name) => name !== "tags" && spec[name] !== undefined) },
        el("summary", {}, "Advanced"),
        ...shownNames.filter((name) => SELDOM.includes(name)).map(field),
      ),
    );
    for (const one of this.element.querySelectorAll("details")) one.open ||= open.has(one.id);
    for (const [pointer, message] of this.faults) this.mark(pointer, message);
    if (focused !== undefined) this.fields.get(focused)?.input.focus({ preventScroll: true });
  }

  /**
   * @param {JsonSchema} schema
   * @returns {JsonSchema}
   */
  resolve(schema) {
    return schema.$ref ? { ...this.schemas[lastOf(schema.$ref.split("/"))], ...schema, $ref: undefined } : schema;
  }

  /** @param {string[]} path */
  get(path) {
    /** @type {unknown} */
    let node = this.spec;
    for (const key of path) node = inFull(node)[key];
    return node;
  }

  /**
   * @param {string[]} path
   * @param {unknown} value undefined removes it
   */
  set(path, value, isRebuilding = false) {
    // What was typed in an invalid field would be lost.
    if (isRebuilding && this.invalid.size) {
      this.focusInvalid();
      return false;
    }
    const spec = structuredClone(this.spec);
    let node = spec;
    for (const key of path.slice(0, -1)) {
      const inner = inFull(node[key]);
      node[key] = inner;
      node = inner;
    }
    if (value === undefined) delete node[lastOf(path)];
    else node[lastOf(path)] = value;
    this.spec = spec;
    this.mark(pointerOf(path), null);
    if (isRebuilding) this.render(spec);
    this.onChange(spec);
    return true;
  }

  /**
   * The field of one property: by what its schema says it can be.
   * @param {JsonSchema} given
   * @param {string[]} path
   * @returns {HTMLElement}
   */
  field(given, path, isRequired = false) {
    const schema = this.resolve(given);
    const members = this.alternatives(schema);
    if (members.some((member) => member.patternProperties))
      return this.oneOrByOutput(schema, members, path, isRequired);
    const some = members.filter((member) => member.type !== "null");
    const [first = {}] = some;
    const isOptional = members.length > some.length;
    const spaces = some.filter(isSpace);
    if (path.at(-1) === "name" && path[0] === "dataset") return this.choice(schema, path, this.datasets, true);
    if (["model", "models"].includes(path[0] ?? "") || path.at(-1) === "class_weight") return this.json(schema, path);
    const union = some.find((member) => member.discriminator?.propertyName === "name")?.discriminator;
    if (union) {
      const kind = { isShort: some.some((member) => member.enum), isRequired };
      return this.isNamed(path, union, kind.isShort) ? this.named(schema, path, union, kind) : this.json(schema, path);
    }
    if (schema.type === "array") {
      const { anyOf, oneOf, type } = schema.items ?? {};
      const members = anyOf ?? oneOf;
      return members ? this.several(schema, path, members) : this.list(schema, path, isNumeric(type));
    }
    if (some.length === 1 && first.properties) return this.group(schema, first, path, isOptional);
    // A name alone is short for a document with that name.
    if (path[0] === "dataset" && path.length === 1) return this.group(schema, some.at(-1) ?? {}, path, isOptional);
    if (some.length === 1 && first.enum) return this.choice(schema, path, first.enum, isRequired && !isOptional);
    if (some.length === 1 && first.oneOf)
      return this.field({ ...first, description: schema.description }, path, isRequired);
    if (first.type === "boolean" && !spaces.length) return this.flag(schema, path);
    return this.value(schema, path, first, spaces);
  }

  /**
   * The schemas one of which a value has, those within others included.
   * @param {JsonSchema} given
   * @returns {JsonSchema[]}
   */
  alternatives(given) {
    const schema = this.resolve(given);
    const nested = schema.discriminator ? undefined : (schema.anyOf ?? schema.oneOf);
    return nested ? nested.flatMap((member) => this.alternatives(member)) : [schema];
  }

  /**
   * What stands once, or by the names of a network's outputs, which are written as JSON.
   * @param {JsonSchema} schema
   * @param {JsonSchema[]} members
   * @param {string[]} path
   * @param {boolean} isRequired
   */
  oneOrByOutput(schema, members, path, isRequired) {
    const now = this.get(path);
    const once = members.filter((member) => !member.patternProperties && member.type !== "null" && !isSpace(member));
    const [first = {}] = once;
    if (!once.length || (isObject(now) && !Array.isArray(now) && !("name" in now))) return this.json(schema, path);
    const { description } = schema;
    return this.field(once.length === 1 ? { ...first, description } : { ...schema, anyOf: once }, path, isRequired);
  }

  /**
   * A control with its label, its hint and the place of its fault.
   * @param {string[]} path
   * @param {JsonSchema} schema
   * @param {Control} input
   * @param {string | null} extra
   */
  wrap(path, schema, input, extra = null, isCheck = false) {
    const pointer = pointerOf(path);
    const id = `field${pointer.replaceAll("/", "-")}`;
    input.id = id;
    input.dataset.pointer = pointer;
    input.setAttribute("aria-describedby", `${id}-fault ${id}-hint`);
    const fault = el("p", { class: "fault", id: `${id}-fault`, hidden: true });
    this.fields.set(pointer, { input, fault });
    const title = titleOf(path);
    const label = isCheck ? el("label", { class: "check", for: id }, input, title) : el("label", { for: id }, title);
    const hint = el(
      "p",
      { class: "hint", id: `${id}-hint` },
      [plain(schema.description), extra].filter(Boolean).join(" "),
    );
    return el("div", { class: "field" }, label, isCheck ? null : input, fault, hint);
  }

  /**
   * @param {JsonSchema} schema
   * @param {string[]} path
   * @param {JsonSchema} kind
   * @param {JsonSchema[]} spaces search spaces that may stand in its place
   */
  value(schema, path, kind, spaces) {
    const isNumber = isNumeric(kind.type);
    const now = this.get(path);
    const input = el("input", {
      type: "text",
      inputmode: isNumber ? "decimal" : null,
      value: written(now),
      placeholder: written(schema.default ?? kind.default),
    });
    const kinds = { isNumber, isSearchable: spaces.length > 0, isFlag: kind.type === "boolean" };
    input.addEventListener("change", () => this.set(path, read(input.value, kinds)));
    return this.wrap(path, schema, input, spaces.length ? searchHint(spaces) : null);
  }

  /**
   * @param {JsonSchema} schema
   * @param {string[]} path
   */
  flag(schema, path) {
    const input = el("input", { type: "checkbox", checked: Boolean(this.get(path) ?? schema.default) });
    input.addEventListener("change", () => this.set(path, input.checked));
    return this.wrap(path, schema, input, null, true);
  }

  /**
   * @param {JsonSchema} schema
   * @param {string[]} path
   * @param {unknown[]} values
   * @param {boolean} isRequired
   */
  choice(schema, path, values, isRequired) {
    const now = this.get(path);
    const known = values.includes(now) || now === undefined || now === null ? values : [now, ...values];
    const input = el(
      "select",
      {},
      isRequired ? null : el("option", { value: "" }, byDefault(schema)),
      ...known.map((name) => el("option", { value: String(name), selected: name === now }, String(name))),
    );
    input.addEventListener("change", () => this.set(path, input.value === "" ? undefined : input.value));
    return this.wrap(path, schema, input);
  }

  /**
   * @param {JsonSchema} schema
   * @param {string[]} path
   * @param {boolean} isNumber
   */
  list(schema, path, isNumber) {
    const input = el("input", {
      type: "text",
      value: listed(this.get(path)).join(", "),
      placeholder: listed(schema.default).join(", "),
    });
    input.addEventListener("change", () => {
      const words = wordsOf(input.value);
      this.set(path, words.length ? words.map((word) => (isNumber ? read(word, { isNumber }) : word)) : undefined);
    });
    return this.wrap(path, schema, input, "With commas between.");
  }

  /**
   * Names of which several may be taken, such as metrics.
   * @param {JsonSchema} schema
   * @param {string[]} path
   * @param {JsonSchema[]} members
   */
  several(schema, path, members) {
    const names = members.flatMap((member) => this.resolve(member).enum ?? []);
    const nameOf = (/** @type {unknown} */ item) => (isObject(item) ? item.name : undefined);
    const now = listed(this.get(path)).map((item) => nameOf(item) ?? item);
    const input = el("input", { type: "text", value: now.join(", ") });
    input.addEventListener("change", () => {
      const before = listed(this.get(path));
      const words = wordsOf(input.value);
      this.set(
        path,
        words.map((word) => before.find((item) => nameOf(item) === word) ?? word),
      );
    });
    return this.wrap(path, schema, input, `Of: ${names.join(", ")}.`);
  }

  /**
   * True unless a value has no known name, and is shown as JSON.
   * @param {string[]} path
   * @param {{ propertyName: string, mapping: Record<string, string> }} union
   * @param {boolean} isShort
   */
  isNamed(path, { propertyName: key, mapping }, isShort) {
    const now = this.get(path);
    if (now === undefined || now === null || (isShort && typeof now === "string")) return true;
    return isObject(now) && typeof now[key] === "string" && Object.hasOwn(mapping, now[key]);
  }

  /**
   * The document of another choice: as it was left, or with the options that both have.
   * @param {string[]} path
   * @param {{ propertyName: string, mapping: Record<string, string> }} union
   * @param {string} name
   * @param {boolean} isShort
   */
  chosen(path, { propertyName: key, mapping }, name, isShort) {
    const now = this.get(path);
    const before = isObject(now) ? String(now[key]) : now;
    if (before) this.left.set(`${pointerOf(path)} ${before}`, now);
    const left = this.left.get(`${pointerOf(path)} ${name}`);
    if (!name || left !== undefined) return name ? left : undefined;
    const { properties = {} } = this.resolve({ $ref: mapping[name] });
    const shared = Object.entries(isObject(now) ? now : {}).filter(
      ([option]) => option !== key && Object.hasOwn(properties, option),
    );
    return isShort && !shared.length ? name : { [key]: name, ...Object.fromEntries(shared) };
  }

  /**
   * A name alone where that is enough, or a name and its options: a select, and the fields of what is chosen.
   * @param {JsonSchema} schema
   * @param {string[]} path
   * @param {{ propertyName: string, mapping: Record<string, string> }} union
   * @param {{ isShort: boolean, isRequired: boolean }} kind
   */
  named(schema, path, union, { isShort, isRequired }) {
    const { propertyName: key, mapping } = union;
    const now = this.get(path);
    const given = isObject(now) ? now[key] : now;
    const name = typeof given === "string" ? given : "";
    // Not `in`: a name that somebody types may be one that every object has, such as "constructor".
    const $ref = Object.hasOwn(mapping, name) ? mapping[name] : undefined;
    const input = el(
      "select",
      {},
      ...(isRequired && $ref ? [] : [el("option", { value: "" }, isRequired ? "choose …" : byDefault(schema))]),
      ...Object.keys(mapping).map((word) => el("option", { value: word, selected: word === name }, word)),
    );
    input.addEventListener("change", () => {
      if (!this.set(path, this.chosen(path, union, input.value, isShort), true)) input.value = name;
    });
    const chosen = $ref ? this.resolve({ $ref }) : null;
    const options = Object.entries(chosen?.properties ?? {}).filter(([option]) => option !== key);
    const rest = options.length
      ? el(
          "details",
          { id: `options${pointerOf(path).replaceAll("/", "-")}`, open: typeof now === "object" },
          el("summary", {}, `Options of ${name}`),
          el("p", { class: "hint" }, plain(chosen?.description)),
          el(
            "div",
            { class: "fields" },
            ...options.map(([option, found]) => this.option(found, path, option, key, name)),
          ),
        )
      : null;
    return el("div", {}, this.wrap(path, schema, input), rest);
  }

  /**
   * @param {JsonSchema} schema
   * @param {string[]} path
   * @param {string} option
   * @param {string} key
   * @param {string} name
   */
  option(schema, path, option, key, name) {
    const element = this.field(schema, [...path, option]);
    // A name alone becomes a document as soon as it has an option.
    element.addEventListener(
      "change",
      () => {
        if (typeof this.get(path) === "string") this.set(path, { [key]: name });
      },
      { capture: true },
    );
    element.addEventListener("change", () => {
      const now = this.get(path);
      if (isObject(now) && !(key in now)) this.set([...path, key], name);
    });
    return element;
  }

  /**
   * A document within the document; one that may be missing has a box to take it.
   * @param {JsonSchema} schema
   * @param {JsonSchema} document_
   * @param {string[]} path
   * @param {boolean} isOptional
   */
  group(schema, document_, path, isOptional) {
    const isThere = this.get(path) !== undefined && this.get(path) !== null;
    const legend = titleOf(path);
    const pointer = pointerOf(path);
    const box = el("input", {
      type: "checkbox",
      checked: isThere,
      "data-pointer": pointer,
      onchange: () => {
        if (!box.checked) this.left.set(pointer, this.get(path));
        if (!this.set(path, box.checked ? (this.left.get(pointer) ?? {}) : undefined, true)) box.checked = isThere;
      },
    });
    this.fields.set(pointer, { input: box, fault: el("p") });
    const fields =
      isOptional && !isThere
        ? []
        : Object.entries(document_.properties ?? {})
            .filter(([name]) => !LEFT_OUT.includes(name))
            .map(([name, found]) => this.field(found, [...path, name], document_.required?.includes(name)));
    return el(
      "fieldset",
      {},
      el("legend", {}, isOptional ? el("label", { class: "check" }, box, legend) : legend),
      el("p", { class: "hint" }, plain(schema.description ?? "")),
      el("div", { class: "fields" }, ...fields),
    );
  }

  /**
   * @param {JsonSchema} schema
   * @param {string[]} path
   */
  json(schema, path) {
    const pointer = pointerOf(path);
    const now = this.get(path);
    const text = now === undefined ? "" : compact(now);
    const input = el("textarea", { rows: Math.min(14, text.split("\n").length + 1), spellcheck: "false" });
    input.value = text;
    input.addEventListener("change", () => {
      try {
        const value = input.value.trim() ? JSON.parse(input.value) : undefined;
        this.invalid.delete(pointer);
        this.set(path, value, value === undefined);
      } catch (error) {
        this.mark(pointer, `This is not JSON: ${messageOf(error)}`);
        this.invalid.add(pointer);
      }
    });
    return this.wrap(path, schema, input, "As JSON.");
  }

  /**
   * @param {string} pointer
   * @param {string | null} message
   */
  mark(pointer, message) {
    if (message === null) this.faults.delete(pointer);
    const found = this.fields.get(pointer);
    if (!found) return false;
    if (message !== null) this.faults.set(pointer, message);
    this.invalid.delete(pointer);
    found.fault.hidden = message === null;
    found.fault.textContent = message ?? "";
    if (message === null) found.input.removeAttribute("aria-invalid");
    else found.input.setAttribute("aria-invalid", "true");
    return true;
  }

  clearFaults() {
    for (const pointer of this.fields.keys()) this.mark(pointer, null);
  }

  /**
   * Each fault at its field, or at the nearest one above it.
   * @param {Schemas["Fault"][]} faults
   */
  showFaults(faults) {
    for (const { pointer, detail } of faults) {
      let place = pointer;
      while (place && !this.mark(place, detail)) place = place.slice(0, place.lastIndexOf("/"));
    }
    this.focusInvalid();
  }

  focusInvalid() {
    const found = this.element.querySelector("[aria-invalid]");
    if (!(found instanceof HTMLElement)) return;
    for (let outer = found.closest("details"); outer; outer = outer.parentElement?.closest("details") ?? null)
      outer.open = true;
    found.focus();
  }
}
