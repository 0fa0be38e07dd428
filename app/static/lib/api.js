/** The public API and nothing else: what this page can do, any client can. */
import { byId } from "./dom.js";

/** What the service refused: `status`, and the problem document (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {Partial<Schemas["Problem"]> | null} document null where something else than the service answered
   */
  constructor(status, document) {
    super(document?.detail ?? `the service answered ${status}`);
    this.status = status;
    this.errors = document?.errors ?? [];
  }
}

/**
 * @template Method
 * @typedef {{ method?: Method, body?: unknown, signal?: AbortSignal, headers?: Record<string, string> }} ApiOptions
 */
/** @typedef {{ method?: string, body?: string, signal?: AbortSignal, headers?: Record<string, string> }} Options */

const key = () => sessionStorage.getItem("key");
/** @type {Promise<void> | null} */
let asking = null;

/**
 * @param {string} path
 * @param {Options} options
 */
async function request(path, options = {}) {
  for (;;) {
    const sent = key();
    const headers = { ...options.headers, ...(sent ? { Authorization: `Bearer ${sent}` } : {}) };
    const response = await fetch(path, { ...options, headers });
    if (response.status !== 401) return response;
    if (sent !== key()) continue; // another request has asked for one meanwhile
    asking ??= askForKey(sent !== null && sent !== "").finally(() => {
      asking = null;
    });
    await asking;
  }
}

/** @param {boolean} isRefused */
async function askForKey(isRefused) {
  const dialog = byId("key", HTMLDialogElement);
  const input = byId("key-input", HTMLInputElement);
  byId("key-fault", HTMLElement).hidden = !isRefused;
  input.value = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  sessionStorage.setItem("key", input.value.trim());
}

/** Whether somebody is being asked for a key: until then nothing more needs to be tried. */
export const isAsking = () => asking !== null;

/**
 * The JSON of a path; a `body` is sent as JSON. Throws a Problem. Types refuse a path that the API does not have.
 * @template {string} Path
 * @template {"GET" | "POST"} [Method="GET"]
 * @param {Path} path
 * @param {ApiOptions<Method> & Known<Path, Method>} [options]
 * @returns {Promise<Answer<Path, Method>>}
 */
export async function api(path, options) {
  const { method, body, signal, headers: further } = /** @type {ApiOptions<Method>} */ (options ?? {});
  const headers = { ...further, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  const response = await request(path, {
    method: method ?? "GET",
    signal,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

/**
 * The Problem of a refusal. A proxy's is no JSON: then only the status is known.
 * @param {Response} response
 */
async function problemOf(response) {
  return new Problem(response.status, await response.json().catch(() => null));
}

/**
 * Saves what a path answers as a file. The key, if there is one, goes along in a header and never in an address.
 * @param {string} path
 * @param {string} name
 */
export async function download(path, name) {
  const response = await request(path);
  if (!response.ok) throw await problemOf(response);
  const address = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/**
 * A picture that the service draws, as an element.
 * @param {string} path of an SVG file
 */
export async function picture(path) {
  const response = await request(path);
  if (!response.ok) throw await problemOf(response);
  return new DOMParser().parseFromString(await response.text(), "image/svg+xml").documentElement;
}

/**
 * An experiment's history so far, then its events until it has ended; goes on where a connection was lost.
 * @param {string} experimentId
 * @param {`?points=${number}`} thinned the query for the history so far
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Schemas["ExperimentHistoryView"], void, void>}
 */
export async function* events(experimentId, thinned, signal) {
  let last = 0;
  for (let pause = 500; ; pause = Math.min(2 * pause, 10_000)) {
    try {
      if (last === 0) {
        const soFar = await api(`/v1/experiments/${experimentId}/history${thinned}`, { signal });
        last = soFar.version;
        yield soFar;
      }
      const headers = { "Last-Event-ID": String(last), Accept: "text/event-stream" };
      const response = await request(`/v1/experiments/${experimentId}/events`, { headers, signal });
      if (response.status === 204) return;
      if (!response.ok) throw await problemOf(response);
      for await (const event of eventsOf(response.body)) {
        if (event.event === "end") return;
        if (event.event !== "history") continue;
        if (event.id) last = Number(event.id);
        pause = 500;
        yield JSON.parse(event.data);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal.aborted) return;
  }
}

/** @param {ReadableStream<Uint8Array<ArrayBuffer>> | null} body */
async function* eventsOf(body) {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text = (text + value).replaceAll("\r\n", "\n");
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = { event: "message", data: "", id: "" };
      for (const line of text.slice(0, end).split("\n")) {
        const [, name, content] = line.match(/^(event|data|id): ?(.*)$/) ?? [];
        if (name) Object.assign(event, { [name]: content });
      }
      text = text.slice(end + 2);
      yield event;
    }
  }
}
