// The page: what the buttons do, and what is shown. Writing is in ask.js, speech in voice.js.
import { ask } from "./ask.js";
import { Transcript } from "./transcript.js";
import { Voice } from "./voice.js";

const find = (id) => document.getElementById(id);
const transcript = new Transcript(find("transcript"), find("scroll"), find("empty"));
let voice = null; // the conversation by microphone, while there is one
let answering = null; // the AbortController of the answer that is being written, while there is one

// The application says whether it has a microphone's end of the line.
if (document.documentElement.dataset.voice === "none") document.body.classList.add("written");

function show(state, words) {
  find("status").dataset.state = state;
  if (find("status").textContent !== words) find("status").textContent = words; // so that it is read out once
  find("interrupt").disabled = !answering && state !== "speaking";
}

function rest() {
  if (voice) show("listening", "Listening");
  else show("idle", "Ready");
}

function fail(message) {
  find("alert-text").textContent = message;
  find("alert").hidden = false;
}

find("dismiss").addEventListener("click", () => { find("alert").hidden = true; find("question").focus(); });

// Writing

async function send() {
  const question = find("question").value.trim();
  if (!question || answering) return;
  find("alert").hidden = true;
  find("question").value = "";
  const history = transcript.history();
  transcript.add("you").set(question).finish();
  const answer = transcript.add("model");
  answering = new AbortController();
  find("send").disabled = true;
  show("answering", "Answering");
  try {
    const done = await ask({ question, history }, (text) => answer.append(text), answering.signal);
    answer.finish(done.status === "completed" ? "" : `Not finished: ${done.reason || done.status}`);
  } catch (error) {
    if (error.name === "AbortError") {
      answer.finish("Interrupted");
    } else {
      answer.finish("Not finished");
      fail(error.message);
    }
  } finally {
    answering = null;
    find("send").disabled = false;
    rest();
  }
}

find("ask").addEventListener("submit", (event) => { event.preventDefault(); send(); });
find("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
});

// Talking

find("talk").addEventListener("click", () => (voice ? voice.stop() : start()));

async function start() {
  find("alert").hidden = true;
  const mine = new Voice(transcript);
  voice = mine;
  find("talk").textContent = "Stop talking";
  find("talk").setAttribute("aria-pressed", "true");
  show("connecting", "Connecting");
  mine.onstate = show;
  mine.onlevel = (who, level) => {
    const bar = find(`level-${who}`);
    bar.setAttribute("aria-valuenow", Math.round(level * 100));
    bar.firstElementChild.style.transform = `scaleX(${level})`;
  };
  mine.onproblem = fail;
  mine.onend = (message) => {
    voice = null;
    find("talk").textContent = "Start talking";
    find("talk").setAttribute("aria-pressed", "false");
    mine.onlevel("you", 0);
    mine.onlevel("model", 0);
    if (message) fail(message);
    rest();
  };
  await mine.start();
}

function interrupt() {
  if (answering) answering.abort();
  if (voice) voice.interrupt();
}

find("interrupt").addEventListener("click", interrupt);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") interrupt(); });
rest();
find("question").focus();
