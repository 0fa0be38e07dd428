/** The public API and nothing else: what this page can do, any client can. */

/** What the service refused: `status`, and the problem document (RFC 9457). */
export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail ?? `the service answered ${status}`);
    this.status = status;
    this.errors = document?.errors ?? [];
  }
}

const key = () => sessionStorage.getItem("key");
let asking = null;

async function request(path, options = {}) {
  for (;;) {
    const sent = key();
    const headers = { ...options.headers, ...(sent ? { Authorization: `Bearer ${sent}` } : {}) };
    const response = await fetch(path, { ...options, headers });
    if (response.status !== 401) return response;
    if (sent !== key()) continue; // another request has asked for one meanwhile
    asking ??= askForKey(sent).finally(() => {
      asking = null;
    });
    await asking;
  }
}

async function askForKey(refused) {
  const dialog = document.getElementById("key"),
    input = dialog.querySelector("input");
  dialog.querySelector(".fault").hidden = !refused;
  input.value = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  sessionStorage.setItem("key", input.value.trim());
}

/** Whether somebody is being asked for a key: until then nothing more needs to be tried. */
export const isAsking = () => asking !== null;

/** The JSON of a path; a `body` is sent as JSON. Throws a Problem. */
export async function api(path, { method = "GET", body, signal, headers: further } = {}) {
  const headers = { ...further, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  const response = await request(path, {
    method,
    signal,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  const document = isJson ? await response.json() : null;
  if (!response.ok) throw new Problem(response.status, document);
  return document;
}

/** Saves what a path answers as a file. The key, if there is one, goes along in a header and never in an address. */
export async function download(path, name) {
  const response = await request(path);
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => null));
  const address = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** An experiment's events, again and again until it has ended; goes on where a connection was lost. */
export async function* events(experimentId, signal) {
  let last = 0;
  for (let pause = 500; ; pause = Math.min(2 * pause, 10_000)) {
    try {
      const headers = { "Last-Event-ID": String(last), Accept: "text/event-stream" };
      const response = await request(`/v1/experiments/${experimentId}/events`, { headers, signal });
      if (response.status === 204) return;
      if (!response.ok) throw new Problem(response.status, await response.json());
      for await (const event of eventsOf(response.body)) {
        if (event.event === "end") return;
        if (event.event !== "history") continue;
        last = Number(event.id);
        pause = 500;
        yield JSON.parse(event.data);
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal?.aborted) return;
  }
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text = (text + value).replaceAll("\r\n", "\n");
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const event = { event: "message", data: "" };
      for (const line of text.slice(0, end).split("\n")) {
        const [, name, content] = line.match(/^(event|data|id): ?(.*)$/) ?? [];
        if (name) event[name] = content;
      }
      text = text.slice(end + 2);
      yield event;
    }
  }
}
