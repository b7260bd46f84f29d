// Who said what. It outlives a reload of the page, in the storage of this tab, which ends with the tab.

const NAMES = { you: "You", model: "Answer" };
const MOST_ENTRIES = 200;
const MOST_MESSAGES = 20; // that the application takes
const MOST_CHARACTERS = 4000; // of a message
const NEAR = 40; // pixels above the end that still count as the end

const find = (id) => document.getElementById(id);

export class Transcript {
  // "kept": its name in the storage.
  constructor(kept) {
    this.kept = kept;
    this.list = find("transcript");
    this.scroll = find("scroll");
    this.entries = [];
    this.onretry = this.onchange = () => {};
    this.following = true; // until the person scrolls up to read
    this.size = {}; // when it was last looked at
    this.scroll.addEventListener("scroll", () => this.scrolled());
    find("latest").addEventListener("click", () => {
      this.end();
      this.scroll.focus();
    });
    const resized = new ResizeObserver(() => this.follow());
    resized.observe(this.scroll);
    resized.observe(this.list);
    window.addEventListener("pagehide", () => this.save());
    this.restore(read(kept));
  }

  // "retries": a question in writing, which can be asked again.
  add(who, retries = false) {
    const entry = this.put(new Entry(this, who, retries));
    if (who === "you" && retries) this.end(); // who writes wants to see the answer
    this.changed();
    return entry;
  }

  put(entry) {
    this.entries.push(entry);
    this.list.append(entry.element);
    return entry;
  }

  remove(...gone) {
    this.entries = this.entries.filter((entry) => !gone.includes(entry));
    for (const entry of gone) entry.element.remove();
    this.changed();
  }

  clear() {
    const told = this.told();
    this.remove(...this.entries);
    return told;
  }

  told() {
    return this.entries.slice(-MOST_ENTRIES).map((entry) => entry.told());
  }

  restore(told) {
    for (const { who, text, note, failed } of Array.isArray(told) ? told.filter(Boolean) : []) {
      if (!Object.hasOwn(NAMES, who) || typeof text !== "string") continue;
      const entry = this.put(new Entry(this, who, Boolean(failed)));
      entry.say(text);
      entry.close(typeof note === "string" ? note : "", Boolean(failed));
    }
    this.changed();
    this.end();
  }

  // The question that an answer belongs to.
  questionOf(answer) {
    return this.entries[this.entries.indexOf(answer) - 1];
  }

  get last() {
    return this.entries[this.entries.length - 1];
  }

  // What was said, for whoever answers next. A question that nobody answered will be asked again, or is not to be.
  history() {
    const open = (entry) => entry && entry.who === "model" && (entry.busy ? entry.retries : !entry.text.trim());
    const said = this.entries.filter((entry, index) => entry.text.trim() && !open(entry) && !open(this.entries[index + 1]));
    return messages(said.slice(-MOST_MESSAGES));
  }

  changed() {
    find("empty").hidden = this.entries.length > 0;
    this.follow();
    this.keep();
    this.onchange();
  }

  keep() {
    this.saving = this.saving || setTimeout(() => this.save(), 300);
  }

  save() {
    clearTimeout(this.saving);
    this.saving = null;
    try {
      sessionStorage.setItem(this.kept, JSON.stringify(this.told()));
    } catch {
      // Full, or forbidden: then it is not kept.
    }
  }

  // For who does not see it: an entry is read out once, when it is whole.
  announce(entry) {
    find("said").textContent = `${NAMES[entry.who]}: ${entry.text} ${entry.note}`;
  }

  get left() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight;
  }

  // Only a person leaves the end: by going up while nothing else has changed (a window, for one, or what was said).
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    const { top, height, view } = this.size;
    if (scrollTop < top && scrollHeight === height && clientHeight === view) this.following = false; // however little
    else if (this.left < NEAR) this.following = true;
    this.follow();
  }

  end() {
    this.following = true;
    this.follow();
  }

  follow() {
    if (!this.entries.length) this.scroll.scrollTop = 0;
    else if (this.following) this.scroll.scrollTop = this.scroll.scrollHeight;
    this.size = { top: this.scroll.scrollTop, height: this.scroll.scrollHeight, view: this.scroll.clientHeight };
    find("latest").hidden = this.following || this.left < NEAR;
  }
}

class Entry {
  constructor(transcript, who, retries) {
    this.transcript = transcript;
    this.who = who;
    this.retries = retries;
    this.text = this.note = "";
    this.failed = false;
    this.busy = true;
    this.frame = 0; // in which it will be shown, while it waits for one
    this.element = document.createElement("li");
    this.element.className = who;
    this.element.setAttribute("aria-busy", "true");
    this.said = part("span", "said");
    this.said.dir = "auto";
    this.element.append(part("span", "unseen", `${NAMES[who]}: `), this.said);
  }

  append(text) {
    return this.set(this.text + text);
  }

  // Shown once a frame: a layout for each word of a long answer would take longer than the answer.
  set(text) {
    this.text = text;
    this.transcript.keep();
    this.frame = this.frame || requestAnimationFrame(() => {
      this.say(this.text);
      this.transcript.changed();
    });
    return this;
  }

  say(text) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.text = text;
    this.said.textContent = text; // never as HTML
  }

  finish(note = "") {
    if (!this.busy) return this;
    this.close(note, false);
    if (!(this.who === "you" && this.retries)) this.transcript.announce(this); // who wrote it knows it
    this.transcript.changed();
    return this;
  }

  fail(note) {
    if (!this.busy) return;
    this.close(note, true);
    this.transcript.announce(this);
    this.transcript.changed();
  }

  close(note, failed) {
    this.say(this.text);
    this.busy = false;
    this.note = note;
    this.failed = failed;
    this.element.setAttribute("aria-busy", "false");
    this.element.classList.toggle("failed", failed);
    if (note) this.element.append(part("span", "note", note));
    if (!failed) return;
    const again = part("button", "again", "Try again");
    again.type = "button";
    again.addEventListener("click", () => this.transcript.onretry(this));
    this.element.append(again);
  }

  // As it is kept. Whoever reads it later finds that it was not finished.
  told() {
    const { who, text, note, failed, busy } = this;
    if (!busy) return { who, text, note, failed };
    return { who, text, note: "Not finished", failed: who === "model" && this.retries };
  }
}

// As the application takes them.
export function messages(entries) {
  const cut = (text) => text.slice(0, MOST_CHARACTERS).replace(/[\ud800-\udbff]$/, ""); // no half of a character
  const told = entries.map(({ who, text }) => ({ role: who === "you" ? "user" : "assistant", text: cut(text) }));
  return told.filter(({ text }) => text.trim());
}

function part(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

function read(kept) {
  try {
    return JSON.parse(sessionStorage.getItem(kept));
  } catch {
    return null;
  }
}
