// A question in writing, its answer as server-sent events. fetch, because an EventSource can only GET.
import { Watch } from "./watch.js";

// Until the model service is reached, nothing comes; from then on something comes every few seconds.
const BEGIN_SECONDS = 60;
const SILENT_SECONDS = 20;

// Django's protection against other sites' forms; an application without it sets no such cookie.
export function csrf() {
  const found = document.cookie.match(/(?:^|; )csrftoken=([^;]*)/);
  return found ? { "X-CSRFToken": decodeURIComponent(found[1]) } : {};
}

export async function refusal(response) {
  try {
    const { error } = await response.json();
    return error.message;
  } catch {
    return `The application answered with ${response.status} ${response.statusText}.`;
  }
}

// Returns what "done" tells. Throws an Error with words for the person, or an AbortError.
// "onslow" is told true when nothing has come for some seconds, and false when something comes again.
export async function ask(question, ontext, signal, onslow = () => {}) {
  const silent = new AbortController();
  const watch = new Watch(BEGIN_SECONDS, onslow, (seconds) => {
    silent.abort(new Error(`Nothing has come from the application for ${seconds} seconds. It may be stuck.`));
  });
  try {
    return await answer(question, ontext, AbortSignal.any([signal, silent.signal]), watch);
  } catch (error) {
    // What reads a body may be told of an abort without its reason.
    throw silent.signal.aborted && !signal.aborted ? silent.signal.reason : error;
  } finally {
    watch.stop();
  }
}

async function answer(question, ontext, signal, watch) {
  let response;
  try {
    response = await fetch("/ask", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...csrf() },
      body: JSON.stringify(question),
      signal,
    });
  } catch (error) {
    throw error instanceof TypeError ? new Error(unreachable("The question stays here until you are online again.")) : error;
  }
  if (!response.ok) throw new Error(await refusal(response));
  watch.gone = SILENT_SECONDS;
  try {
    for await (const { name, data } of events(response.body, watch)) {
      if (name === "text" || name === "transcript") ontext(data.text);
      else if (name === "failed") throw new Error(data.message);
      else if (name === "done") return data;
    }
  } catch (error) {
    throw error instanceof TypeError ? new Error("The connection was lost before the answer was finished.") : error;
  }
  throw new Error("The answer ended before it was finished.");
}

export function unreachable(then = "Try again when you are online.") {
  if (!navigator.onLine) return `There is no network. ${then}`;
  return "The application cannot be reached. Is it running?";
}

async function* events(body, watch) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    watch.heard();
    held += value;
    for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
      const event = { name: "message", data: "" };
      for (const line of held.slice(0, end).split("\n")) {
        if (line.startsWith("event: ")) event.name = line.slice(7);
        else if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      held = held.slice(end + 2);
      if (event.data) yield { name: event.name, data: JSON.parse(event.data) };
    }
  }
}
