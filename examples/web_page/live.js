// A button for a spoken conversation, for pages that a framework makes (Streamlit, Gradio): see asgi_voice.py.
import { Voice } from "./voice.js";

// "root": where the button stands. "said": is called with all that was said so far, [{role, text}, ...], whenever there is
// more of it. "history": returns what was said or written before, in the same form.
export class Live {
  constructor(root, said, history = () => []) {
    this.said = said;
    this.history = history;
    this.entries = [];
    this.told = 0;
    this.root = root;
    root.innerHTML = `
      <button type="button" class="talk">Talk</button>
      <button type="button" class="interrupt" hidden>Interrupt</button>
      <span class="status" role="status"></span>
      <p class="problem" role="alert" hidden></p>
      <p class="now" aria-live="polite"></p>`;
    this.find("talk").onclick = () => (this.voice ? this.voice.stop() : this.start());
    this.find("interrupt").onclick = () => this.voice && this.voice.interrupt();
  }

  find(name) {
    return this.root.querySelector(`.${name}`);
  }

  start() {
    const voice = (this.voice = new Voice(this));
    this.problem("");
    this.find("talk").textContent = "Stop";
    this.status("Connecting");
    voice.onstate = (state, words) => {
      this.find("interrupt").hidden = state !== "speaking";
      this.status(words);
    };
    voice.onproblem = (message) => this.problem(message);
    voice.onend = (message) => {
      this.voice = null;
      this.find("talk").textContent = "Talk";
      this.find("interrupt").hidden = true;
      this.status("");
      this.problem(message);
    };
    voice.start();
  }

  stop() {
    if (this.voice) this.voice.stop();
  }

  status(words) {
    this.find("status").textContent = words;
  }

  problem(message) {
    this.find("problem").textContent = message;
    this.find("problem").hidden = !message;
  }

  // What Voice asks of a transcript: the framework shows what is finished, and this what is being said.
  add(who) {
    const entry = new Entry(this, who);
    this.entries.push(entry);
    return entry;
  }

  changed() {
    const open = this.entries.filter((entry) => entry.busy && entry.text);
    this.find("now").textContent = open.map(({ who, text }) => `${who === "you" ? "You" : "Answer"}: ${text}`).join("\n");
    const first = this.entries.findIndex((entry) => entry.busy);
    const finished = this.entries.slice(0, first < 0 ? undefined : first);
    if (finished.length === this.told) return;
    this.told = finished.length;
    const told = finished.map(({ who, text }) => ({ role: who === "you" ? "user" : "assistant", text: text.trim() }));
    this.said(told.filter(({ text }) => text));
  }
}

class Entry {
  constructor(live, who) {
    this.live = live;
    this.who = who;
    this.text = "";
    this.busy = true;
  }

  append(text) {
    return this.set(this.text + text);
  }

  set(text) {
    this.text = text;
    this.live.changed();
    return this;
  }

  finish() {
    this.busy = false;
    this.live.changed();
    return this;
  }
}
