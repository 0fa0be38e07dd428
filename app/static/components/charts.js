/** Curves and sweeps, drawn by plotly.js. Colours are those of Okabe and Ito, told apart by the colour-blind. */

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const DASHES = ["solid", "dash", "dashdot", "dot"];
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
const COLOURS_AT_MOST = 12;

/**
 * @typedef {object} Curve
 * @property {string} key
 * @property {string} name
 * @property {string} group what it shares with its other seeds
 * @property {number[]} x
 * @property {(number | null | undefined)[]} y
 * @property {number} best index of the best epoch
 * @property {"training" | "validation" | null} part of the rows, where curves of both are drawn: dashes tell them apart
 */

/**
 * What a trial has reached over a hyperparameter.
 * @typedef {{ key: string, label: string, x: unknown, y: number | null, series: string }} Dot
 */

/** @typedef {{ title: string, x: string, y: string, scale: string, leader?: string | null | undefined }} Look */

/** @param {string} name */
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  // Nothing is sent elsewhere: by itself the toolbar offers to upload a chart with its data.
  showSendToCloud: false,
  plotlyServerURL: "",
};

/**
 * @param {string} title
 * @param {string} x
 * @param {string} y
 * @param {{ isLog: boolean, isLogX?: boolean, isFew?: boolean, hasLegend: boolean }} look
 */
function layout(title, x, y, { isLog, isLogX = false, isFew = false, hasLegend }) {
  const axis = { gridcolor: css("--grid"), zerolinecolor: css("--line"), linecolor: css("--line"), automargin: true };
  return {
    paper_bgcolor: css("--ground"),
    plot_bgcolor: css("--ground"),
    font: { color: css("--ink"), size: 13 },
    margin: { l: 60, r: 15, t: 15, b: 55 },
    showlegend: hasLegend,
    hovermode: "closest",
    uirevision: title,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: {
      ...axis,
      title: { text: x, font: { size: 13 } },
      type: isLogX ? "log" : undefined,
      dtick: isFew ? 1 : undefined,
    },
    yaxis: { ...axis, title: { text: y, font: { size: 13 } }, type: isLog ? "log" : "linear" },
  };
}

/**
 * @param {Curve["part"]} part
 * @param {number} place
 */
const dashOf = (part, place) => (part ? (part === "validation" ? "dash" : "solid") : DASHES[place % DASHES.length]);

/**
 * Whether a linear axis would hide all but the largest.
 * @param {unknown[]} values
 */
export const spansMuch = (values) => {
  let low = Infinity;
  let high = 0; // a spread would take no more than some hundred thousand arguments
  for (const value of values) {
    if (typeof value !== "number" || !Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low > 0 && low < Infinity && high / low >= 100;
};

export class Chart {
  /**
   * @param {HTMLElement} element
   * @param {(key: string | null) => void} [onHover] told which curve the pointer is at
   */
  constructor(element, onHover) {
    this.element = element;
    /** @type {string[]} */
    this.keys = [];
    /** @type {number[]} */
    this.widths = [];
    /** @type {(() => Promise<void>) | undefined} draws again what was last drawn */
    this.last = undefined;
    this.onHover = onHover;
    this.isListening = false;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.last?.();
    this.dark.addEventListener("change", this.redraw);
  }

  /**
   * @param {Curve[]} curves
   * @param {Look} look
   */
  async draw(curves, look) {
    this.last = () => this.draw(curves, look);
    const groups = [...new Set(curves.map((curve) => curve.group))];
    const isCrowded = groups.length > COLOURS_AT_MOST;
    const named = new Set();
    const values = curves.flatMap((curve) => curve.y);
    const isLog = look.scale === "log" || (look.scale === "auto" && spansMuch(values));
    const isFew = curves.every((curve) => curve.x.length <= 12); // epochs are whole
    this.widths = curves.map((curve) => (isCrowded && curve.key !== look.leader ? 1 : 2));
    const traces = curves.map((curve, index) => {
      const place = groups.indexOf(curve.group);
      const legend = curve.part ? `${curve.group}: ${curve.part}` : curve.group;
      const isFirst = !named.has(legend);
      named.add(legend);
      const colour = isCrowded
        ? curve.key === look.leader
          ? css("--accent")
          : css("--rest")
        : COLOURS[place % COLOURS.length];
      return {
        type: "scatter",
        // One that was pruned after its first epoch has no line to be seen by.
        mode: curve.x.length > 60 || (isCrowded && curve.x.length > 1) ? "lines" : "lines+markers",
        name: escaped(legend),
        showlegend: isFirst,
        legendgroup: legend,
        x: curve.x,
        y: curve.y,
        opacity: isCrowded && curve.key !== look.leader ? 0.55 : 1,
        line: {
          color: colour,
          width: this.widths[index],
          dash: dashOf(curve.part, isCrowded ? 0 : place),
        },
        marker: {
          color: colour,
          symbol: SYMBOLS[place % SYMBOLS.length],
          size: curve.x.map((_, at) => (at === curve.best && !isCrowded ? 13 : 5)),
        },
        hovertemplate: `${escaped(curve.name)}<br>${escaped(look.x)} %{x}: %{y:.5g}<extra></extra>`,
      };
    });
    await this.plot(
      curves,
      traces,
      layout(look.title, look.x, look.y, { isLog, isFew, hasLegend: !isCrowded && traces.length > 1 }),
    );
  }

  /**
   * @param {Dot[]} dots
   * @param {Look} look
   */
  async drawSweep(dots, look) {
    this.last = () => this.drawSweep(dots, look);
    const series = [...new Set(dots.map((dot) => dot.series))];
    const isNumeric = dots.every((dot) => typeof dot.x === "number");
    const traces = dots.map((dot) => ({
      type: "scatter",
      mode: "markers",
      name: escaped(dot.label),
      x: [isNumeric ? dot.x : String(dot.x)],
      y: [dot.y],
      marker: {
        color: COLOURS[series.indexOf(dot.series) % COLOURS.length],
        symbol: SYMBOLS[series.indexOf(dot.series) % SYMBOLS.length],
        size: 10,
      },
      hovertemplate: `${escaped(dot.label)}: %{y:.5g}<extra></extra>`,
    }));
    this.widths = dots.map(() => 0);
    const isLogX = isNumeric && spansMuch(dots.map((dot) => dot.x));
    const isLog = look.scale === "log" || (look.scale === "auto" && spansMuch(dots.map((dot) => dot.y)));
    await this.plot(dots, traces, layout(look.title, look.x, look.y, { isLog, isLogX, hasLegend: false }));
  }

  /**
   * The best value so far: a dot a trial, and a line in steps.
   * @param {{ key: string, label: string, x: number, y: number }[]} dots in the order of x
   * @param {Look & { isLess: boolean }} look isLess: the least value is the best
   */
  async drawProgress(dots, look) {
    this.last = () => this.drawProgress(dots, look);
    /** @type {number[]} */
    const best = [];
    for (const { y } of dots)
      best.push(best.length ? Math[look.isLess ? "min" : "max"](best[best.length - 1] ?? y, y) : y);
    const traces = dots.map((dot) => ({
      type: "scatter",
      mode: "markers",
      name: escaped(dot.label),
      showlegend: false,
      x: [dot.x],
      y: [dot.y],
      marker: { color: css("--rest"), size: 8 },
      hovertemplate: `${escaped(dot.label)}: %{y:.5g}<extra></extra>`,
    }));
    const line = {
      type: "scatter",
      mode: "lines",
      name: "best so far",
      showlegend: true,
      x: dots.map((dot) => dot.x),
      y: best,
      line: { color: css("--accent"), width: 2, shape: "hv" },
      hovertemplate: "best so far: %{y:.5g}<extra></extra>",
    };
    this.widths = [];
    const isLog = look.scale === "log" || (look.scale === "auto" && spansMuch(dots.map((dot) => dot.y)));
    await this.plot(
      [...dots, { key: "" }],
      [...traces, line],
      layout(look.title, look.x, look.y, { isLog, hasLegend: true }),
    );
  }

  /**
   * @param {{ key: string }[]} drawn
   * @param {{ x: unknown[] }[]} traces
   * @param {object} shape
   */
  async plot(drawn, traces, shape) {
    this.keys = drawn.map(({ key }) => key);
    await window.Plotly.react(this.element, traces, shape, CONFIG);
    this.element.dataset.curves = String(traces.length);
    this.element.dataset.points = String(traces.reduce((sum, trace) => sum + trace.x.length, 0));
    if (!this.isListening) {
      this.isListening = true;
      const element = /** @type {PlotlyElement} */ (this.element);
      element.on("plotly_hover", ({ points: [point] }) => this.onHover?.(this.keys[point.curveNumber] ?? null));
      element.on("plotly_unhover", () => this.onHover?.(null));
    }
  }

  /**
   * Makes the curves of one key thick, or all as they were.
   * @param {string | null} key
   */
  light(key) {
    if (!this.keys.length || !this.widths.length) return;
    const lit = this.keys.map((mine, index) => (mine === key ? 5 : this.widths[index]));
    const now = this.keys.map((_, index) => index);
    window.Plotly.restyle(
      this.element,
      this.widths[0] === 0 ? { "marker.size": lit.map((width) => (width ? 18 : 10)) } : { "line.width": lit },
      now,
    );
  }

  close() {
    this.dark.removeEventListener("change", this.redraw);
    window.Plotly.purge(this.element);
  }
}

/**
 * plotly reads a few tags in texts.
 * @param {string} text
 */
const escaped = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("%{", "% {");
