// The page: what the buttons do, and what is shown. Writing is in ask.js, speech in voice.js.
import { ask } from "./ask.js";
import { Transcript, messages } from "./transcript.js";
import { Voice } from "./voice.js";

const DOUBLE_CLICK = 500; // milliseconds in which a second click is none of its own
const UNFINISHED = { // by the service's reason
  max_output_tokens: "Not finished: this is as long as an answer may be",
  content_filter: "Not finished: the model service's filter stopped it",
};

const find = (id) => document.getElementById(id);
const transcript = new Transcript("conversation");
const box = find("question");
let voice = null; // the conversation by microphone, while there is one
let answering = null; // the AbortController of the answer that is being written, while there is one
let sent = 0; // when
const touch = matchMedia("(pointer: coarse)");

function show(state, words) {
  if (!navigator.onLine && (state === "idle" || state === "listening")) [state, words] = ["offline", "Offline"];
  find("status").dataset.state = state;
  if (find("status").textContent !== words) find("status").textContent = words; // so that it is read out once
  find("interrupt").disabled = state !== "speaking";
  find("send").textContent = answering ? "Stop" : "Send";
  find("talking").hidden = !voice;
  find("talk").dataset.on = String(Boolean(voice));
  find("talk-label").textContent = voice ? "End" : "Talk"; // "Stop" ends an answer in writing
  find("talk-more").textContent = voice ? " talking" : "";
}

// Where a person goes on: in the box. On a telephone its keyboard would hide what there is to read.
function goOn() {
  (touch.matches ? find("scroll") : box).focus();
}

function rest() {
  if (answering) show("answering", "Answering");
  else if (voice) voice.tell();
  else show("idle", "Ready");
}

// One message at a time, with at most one thing to do about it.
function tell(message, label = "", action = null) {
  find("alert-text").textContent = message;
  find("alert-action").textContent = label;
  find("alert-action").hidden = !action;
  find("alert-action").onclick = () => {
    quiet();
    goOn();
    action();
  };
  find("alert").classList.toggle("bad", label !== "Undo");
  find("alert").hidden = false;
}

function quiet() {
  find("alert").hidden = true;
}

find("dismiss").addEventListener("click", () => { quiet(); goOn(); });

// Writing

async function send(text) {
  const question = text.trim();
  if (!question) return box.focus();
  if (answering) return;
  quiet();
  if (transcript.last && transcript.last.failed) forget(transcript.last, question);
  if (box.value.trim() === question) write("");
  const history = transcript.history();
  const asked = transcript.add("you", true).set(question).finish();
  const answer = transcript.add("model", true);
  const mine = (answering = new AbortController());
  sent = performance.now();
  rest();
  const onslow = (slow) => (slow ? show("slow", "Still waiting") : rest());
  try {
    const done = await ask({ question, history }, (words) => answer.append(words), mine.signal, onslow);
    if (done.status === "failed") answer.fail(done.reason || "The model service could not finish the answer.");
    else answer.finish(done.status === "completed" ? "" : UNFINISHED[done.reason] || "Not finished");
  } catch (error) {
    if (error.name === "AbortError") {
      answer.finish("Interrupted");
    } else {
      answer.fail(error.message);
      if (!box.value) write(question);
    }
  } finally {
    if (answering === mine) answering = null;
    if (voice && answer.text && !answer.failed) voice.remember(messages([asked, answer]));
    rest();
  }
}

// A question that failed is in the conversation once, however often it is asked.
function forget(answer, question) {
  const asked = transcript.questionOf(answer);
  if (asked && asked.text === question) transcript.remove(asked, answer);
}

transcript.onretry = (answer) => {
  const asked = transcript.questionOf(answer);
  if (!asked || answering) return;
  goOn();
  transcript.remove(asked, answer);
  send(asked.text);
};

function write(text) {
  box.value = text;
  written();
}

function written() {
  keep("draft", box.value);
  const full = `A question can have ${box.maxLength.toLocaleString("en")} characters. Any more are left out.`;
  if (box.value.length === box.maxLength) tell(full);
  else if (find("alert-text").textContent === full) quiet();
  if (CSS.supports("field-sizing", "content")) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

function keep(name, value) {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // Forbidden: then it is not kept.
  }
}

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!answering) send(box.value);
  else if (performance.now() - sent > DOUBLE_CLICK) answering.abort();
  if (!touch.matches) box.focus();
});
box.addEventListener("input", written);
box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(box.value); }
});
for (const example of document.querySelectorAll(".examples button")) {
  example.addEventListener("click", () => { goOn(); send(example.textContent); });
}

// A new conversation

transcript.onchange = () => { find("new").hidden = !transcript.entries.length; };
transcript.onchange();

find("new").addEventListener("click", () => {
  if (answering) answering.abort();
  if (voice) voice.stop();
  const before = transcript.clear();
  tell("Conversation cleared.", "Undo", () => { transcript.clear(); transcript.restore(before); });
  goOn();
});

// Talking

find("talk").addEventListener("click", () => (voice ? voice.stop() : talk()));

async function talk() {
  quiet();
  const mine = new Voice(transcript);
  voice = mine;
  show("connecting", "Connecting");
  mine.onstate = (state, words) => { if (!answering) show(state, words); };
  mine.onlevel = (who, level) => {
    const bar = find(`level-${who}`);
    bar.setAttribute("aria-valuenow", Math.round(level * 100));
    bar.firstElementChild.style.transform = `scaleX(${level})`;
  };
  mine.onproblem = (message) => tell(message);
  mine.onend = (message) => {
    voice = null;
    mine.onlevel("you", 0);
    mine.onlevel("model", 0);
    if (message) tell(message, "Try again", talk);
    rest();
  };
  await mine.start();
}

function interrupt() {
  if (answering) answering.abort();
  else if (voice) voice.interrupt();
}

find("interrupt").addEventListener("click", interrupt);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") interrupt(); });

// The network

window.addEventListener("online", rest);
window.addEventListener("offline", rest);

try {
  box.value = sessionStorage.getItem("draft") || "";
} catch {
  // Forbidden: then it was not kept.
}
written();
rest();
if (!touch.matches) box.focus();
