// Who said what. An entry is busy while it fills, so that a screen reader reads it once, when it is whole.

const NAMES = { you: "You", model: "Model" };

export class Transcript {
  constructor(list, scroll, empty) {
    this.list = list;
    this.scroll = scroll;
    this.empty = empty;
    this.entries = [];
  }

  add(who) {
    const entry = new Entry(who, () => this.follow());
    this.entries.push(entry);
    this.empty.hidden = true;
    const atEnd = this.atEnd();
    this.list.append(entry.element);
    if (atEnd || who === "you") this.scroll.scrollTop = this.scroll.scrollHeight;
    return entry;
  }

  remove(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    entry.element.remove();
    this.empty.hidden = this.entries.length > 0;
  }

  // What was said, for the next question in writing.
  history() {
    const said = this.entries.filter((entry) => entry.text.trim());
    return said.slice(-20).map(({ who, text }) => ({ role: who === "you" ? "user" : "assistant", text: text.slice(0, 4000) }));
  }

  atEnd() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 80;
  }

  // Follow what is being said, unless the person has scrolled up to read.
  follow() {
    if (this.atEnd()) this.scroll.scrollTop = this.scroll.scrollHeight;
  }
}

class Entry {
  constructor(who, changed) {
    this.who = who;
    this.changed = changed;
    this.text = "";
    this.element = document.createElement("li");
    this.element.className = who;
    this.element.setAttribute("aria-busy", "true");
    const name = document.createElement("span");
    name.className = "who";
    name.textContent = NAMES[who];
    this.said = document.createElement("span");
    this.said.className = "said";
    this.element.append(name, this.said);
  }

  append(text) {
    return this.set(this.text + text);
  }

  set(text) {
    this.text = text;
    this.said.textContent = text;
    this.changed();
    return this;
  }

  finish(note = "") {
    if (note) {
      const small = document.createElement("span");
      small.className = "note";
      small.textContent = note;
      this.element.append(small);
    }
    this.element.setAttribute("aria-busy", "false");
    this.changed();
    return this;
  }
}
