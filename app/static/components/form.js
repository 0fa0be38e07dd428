/** A form made from the schema of ExperimentSpec: what a field is called, means and takes is what the API says. */
import { el } from "../lib/dom.js";

const ORDER = [
  "name",
  "dataset",
  "model",
  "models",
  "optimizer",
  "loss",
  "metrics",
  "fit",
  "early_stopping",
  "seeds",
  "objective",
  "reduce_lr_on_plateau",
  "sampler",
  "tags",
  "device",
  "backend",
  "precision",
];
const SELDOM = ["reduce_lr_on_plateau", "sampler", "tags", "device", "backend", "precision"];
const LEFT_OUT = ["webhook", "sha256"];

export class SpecForm {
  /** schemas: `components.schemas`; datasets: names; onChange(spec): called with the whole document. */
  constructor(schemas, datasets, onChange) {
    Object.assign(this, { schemas, datasets, onChange, spec: {} });
    this.element = el("div");
    this.fields = new Map();
    this.invalid = new Set();
  }

  fill(spec) {
    const focused = document.activeElement?.dataset?.pointer;
    this.spec = spec;
    this.fields.clear();
    this.invalid.clear();
    const { properties, required } = this.schemas.ExperimentSpec;
    const names = [...ORDER, ...Object.keys(properties).filter((name) => !ORDER.includes(name))];
    const shownNames = names.filter(
      (name) => !LEFT_OUT.includes(name) && !(name === "models" && !spec.models) && !(name === "model" && spec.models),
    );
    const field = (name) => this.field(properties[name], [name], required.includes(name));
    this.element.replaceChildren(
      ...shownNames.filter((name) => !SELDOM.includes(name)).map(field),
      el(
        "details",
        { open: SELDOM.some((name) => name !== "tags" && spec[name] !== undefined) },
        el("summary", {}, "Seldom needed"),
        ...shownNames.filter((name) => SELDOM.includes(name)).map(field),
      ),
    );
    if (focused !== undefined) this.fields.get(focused)?.input.focus({ preventScroll: true });
  }

  resolve(schema) {
    return schema.$ref ? { ...this.schemas[schema.$ref.split("/").pop()], ...schema, $ref: undefined } : schema;
  }

  get(path) {
    return path.reduce((node, key) => node?.[key], this.spec);
  }

  set(path, value, isRebuilding = false) {
    if (isRebuilding && this.invalid.size) {
      this.focusInvalid();
      return false;
    } // what was typed there would be lost
    const spec = structuredClone(this.spec);
    let node = spec;
    for (const key of path.slice(0, -1))
      node = typeof node[key] === "object" && node[key] !== null ? node[key] : (node[key] = {});
    if (value === undefined) delete node[path.at(-1)];
    else node[path.at(-1)] = value;
    this.spec = spec;
    if (isRebuilding) this.fill(spec);
    this.onChange(spec);
    return true;
  }

  /** The field of one property: by what its schema says it can be. */
  field(given, path, isRequired = false) {
    const schema = this.resolve(given);
    const members = (schema.anyOf ?? schema.oneOf ?? [schema]).map((member) => this.resolve(member));
    const some = members.filter((member) => member.type !== "null");
    const [first] = some;
    const isOptional = members.length > some.length;
    const spaces = some.filter((member) => /^(Choice|Uniform|LogUniform|IntUniform)Of/.test(member.title ?? ""));
    if (path.at(-1) === "name" && path[0] === "dataset") return this.choice(schema, path, this.datasets, true);
    if (["model", "models", "class_weight", "sampler"].includes(path[0]) || path.at(-1) === "class_weight")
      return this.json(schema, path);
    if (some.some((member) => member.discriminator?.propertyName === "name")) return this.named(schema, path, some);
    if (schema.type === "array")
      return schema.items.anyOf || schema.items.oneOf ? this.several(schema, path) : this.list(schema, path);
    if (some.length === 1 && first.properties) return this.group(schema, first, path, isOptional);
    if (some.length === 1 && first.enum) return this.choice(schema, path, first.enum, isRequired && !isOptional);
    if (some.length === 1 && first.oneOf)
      return this.field({ ...first, description: schema.description }, path, isRequired);
    if (first.type === "boolean" && !spaces.length) return this.flag(schema, path);
    return this.value(schema, path, first, spaces.length > 0);
  }

  wrap(path, schema, input, extra = null, isCheck = false) {
    const pointer = `/${path.join("/")}`,
      id = `field${pointer.replaceAll("/", "-")}`;
    input.id = id;
    input.dataset.pointer = pointer;
    input.setAttribute("aria-describedby", `${id}-fault ${id}-hint`);
    const fault = el("p", { class: "fault", id: `${id}-fault`, hidden: true });
    this.fields.set(pointer, { input, fault });
    const title = path.at(-1).replaceAll("_", " ");
    const label = isCheck ? el("label", { class: "check", for: id }, input, title) : el("label", { for: id }, title);
    const hint = el(
      "p",
      { class: "hint", id: `${id}-hint` },
      [plain(schema.description), extra].filter(Boolean).join(" "),
    );
    return el("div", { class: "field" }, label, isCheck ? null : input, fault, hint);
  }

  value(schema, path, kind, isSearchable) {
    const isNumber = ["number", "integer"].includes(kind.type);
    const now = this.get(path);
    const input = el("input", {
      type: "text",
      inputmode: isNumber ? "decimal" : null,
      value: written(now),
      placeholder: written(schema.default ?? kind.default),
    });
    const kinds = { isNumber, isSearchable, isFlag: kind.type === "boolean" };
    input.addEventListener("change", () => this.set(path, read(input.value, kinds)));
    return this.wrap(path, schema, input, isSearchable ? "Several, with commas between, are all tried." : null);
  }

  flag(schema, path) {
    const input = el("input", { type: "checkbox", checked: this.get(path) ?? schema.default ?? false });
    input.addEventListener("change", () => this.set(path, input.checked));
    return this.wrap(path, schema, input, null, true);
  }

  choice(schema, path, values, isRequired) {
    const now = this.get(path);
    const known = values.includes(now) || now === undefined || now === null ? values : [now, ...values];
    const input = el(
      "select",
      {},
      isRequired ? null : el("option", { value: "" }, `by default${schema.default ? `: ${schema.default}` : ""}`),
      ...known.map((name) => el("option", { value: String(name), selected: name === now }, String(name))),
    );
    input.addEventListener("change", () => this.set(path, input.value === "" ? undefined : input.value));
    return this.wrap(path, schema, input);
  }

  list(schema, path) {
    const isNumber = ["number", "integer"].includes(schema.items.type);
    const now = this.get(path);
    const input = el("input", {
      type: "text",
      value: listed(now).join(", "),
      placeholder: (schema.default ?? []).join(", "),
    });
    input.addEventListener("change", () => {
      const words = input.value
        .split(",")
        .map((word) => word.trim())
        .filter(Boolean);
      this.set(path, words.length ? words.map((word) => (isNumber ? read(word, { isNumber }) : word)) : undefined);
    });
    return this.wrap(path, schema, input, "With commas between.");
  }

  /** Names of which several may be taken, such as metrics. */
  several(schema, path) {
    const names = (schema.items.anyOf ?? schema.items.oneOf).flatMap((member) => this.resolve(member).enum ?? []);
    const input = el("input", {
      type: "text",
      value: listed(this.get(path))
        .map((item) => item?.name ?? item)
        .join(", "),
    });
    input.addEventListener("change", () => {
      const before = listed(this.get(path));
      const words = input.value
        .split(",")
        .map((word) => word.trim())
        .filter(Boolean);
      this.set(
        path,
        words.map((word) => before.find((item) => item?.name === word) ?? word),
      );
    });
    return this.wrap(path, schema, input, `Of: ${names.join(", ")}.`);
  }

  /** A name alone, or a name and its options: a select, and the fields of what is chosen. */
  named(schema, path, members) {
    const union = members.find((member) => member.discriminator);
    const key = union.discriminator.propertyName,
      mapping = union.discriminator.mapping;
    const now = this.get(path),
      name = typeof now === "string" ? now : now?.[key];
    const input = el(
      "select",
      {},
      ...(name in mapping ? [] : [el("option", { value: "" }, "choose …")]),
      ...Object.keys(mapping).map((word) => el("option", { value: word, selected: word === name }, word)),
    );
    input.addEventListener("change", () => {
      if (!this.set(path, input.value, true)) input.value = name ?? "";
    });
    const chosen = name in mapping ? this.resolve({ $ref: mapping[name] }) : null;
    const options = Object.entries(chosen?.properties ?? {}).filter(([option]) => option !== key);
    const rest = options.length
      ? el(
          "details",
          { open: typeof now === "object" },
          el("summary", {}, `Options of ${name}`),
          el(
            "div",
            { class: "fields" },
            ...options.map(([option, found]) => this.option(found, path, option, key, name)),
          ),
        )
      : null;
    return el("div", {}, this.wrap(path, schema, input), rest);
  }

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
      if (typeof now === "object" && !(key in now)) this.set([...path, key], name);
    });
    return element;
  }

  /** A document within the document; one that may be missing has a box to take it. */
  group(schema, document_, path, isOptional) {
    const isThere = this.get(path) !== undefined && this.get(path) !== null;
    const legend = path.at(-1).replaceAll("_", " ");
    const box = el("input", {
      type: "checkbox",
      checked: isThere,
      "data-pointer": `/${path.join("/")}`,
      onchange: () => {
        if (!this.set(path, box.checked ? {} : undefined, true)) box.checked = isThere;
      },
    });
    this.fields.set(box.dataset.pointer, { input: box, fault: el("p") });
    const fields =
      isOptional && !isThere
        ? []
        : Object.entries(document_.properties)
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

  json(schema, path) {
    const now = this.get(path);
    const text = now === undefined ? "" : compact(now);
    const input = el("textarea", { rows: Math.min(14, text.split("\n").length + 1), spellcheck: "false" });
    input.value = text;
    input.addEventListener("change", () => {
      try {
        this.set(path, input.value.trim() ? JSON.parse(input.value) : undefined);
        this.mark(input.dataset.pointer, null);
      } catch (error) {
        this.mark(input.dataset.pointer, `This is not JSON: ${error.message}`);
        this.invalid.add(input.dataset.pointer);
      }
    });
    return this.wrap(path, schema, input, "As JSON.");
  }

  mark(pointer, message) {
    const found = this.fields.get(pointer);
    if (!found) return false;
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

  /** Each fault at its field, or at the nearest one above it. */
  showFaults(faults) {
    for (const { pointer, detail } of faults) {
      let place = pointer;
      while (place && !this.mark(place, detail)) place = place.slice(0, place.lastIndexOf("/"));
    }
    this.focusInvalid();
  }

  focusInvalid() {
    this.element.querySelector("[aria-invalid]")?.focus();
  }
}

const plain = (text) => (text ?? "").replaceAll("`", "");

/** A value as one types it: a search space of choices is a list. */
function written(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "object")
    return Array.isArray(value.choice) && Object.keys(value).length === 1
      ? value.choice.join(", ")
      : JSON.stringify(value);
  return String(value);
}

function read(text, { isNumber = false, isSearchable = false, isFlag = false }) {
  const word = text.trim();
  if (word === "") return undefined;
  if (isSearchable && word.startsWith("{")) {
    try {
      return JSON.parse(word);
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

const listed = (value) => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);

/** JSON with one layer a line: a network as one reads it. */
function compact(value) {
  if (!Array.isArray(value?.layers)) return JSON.stringify(value, null, 1);
  const { layers, ...rest } = value;
  const lines = layers.map((layer) => `  ${JSON.stringify(layer)}`).join(",\n");
  return `{${Object.entries(rest)
    .map(([key, found]) => `"${key}": ${JSON.stringify(found)}, `)
    .join("")}"layers": [\n${lines}\n]}`;
}
