// A question in writing, its answer as server-sent events. fetch, because an EventSource can only GET.

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
export async function ask(question, ontext, signal) {
  let response;
  try {
    response = await fetch("/ask", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...csrf() },
      body: JSON.stringify(question),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The application cannot be reached. Is it running?");
  }
  if (!response.ok) throw new Error(await refusal(response));
  try {
    for await (const { name, data } of events(response.body)) {
      if (name === "text" || name === "transcript") ontext(data.text);
      else if (name === "failed") throw new Error(data.message);
      else if (name === "done") return data;
    }
  } catch (error) {
    if (error instanceof TypeError) throw new Error("The connection was lost before the answer was finished.");
    throw error;
  }
  throw new Error("The answer ended before it was finished.");
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
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
