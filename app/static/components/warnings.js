/** What a spec and its dataset allow, and is hardly meant. */

import { el } from "../lib/dom.js";

/** @param {Schemas["Fault"][]} warnings */
export const warningsList = (warnings) =>
  el(
    "section",
    { class: "warnings", "aria-label": "Warnings", hidden: !warnings.length },
    el("strong", {}, warnings.length === 1 ? "A warning" : "Warnings"),
    el("ul", {}, ...warnings.map(({ pointer, detail }) => el("li", {}, el("code", {}, pointer), ` ${detail}`))),
  );
