// On the audio thread: plays what it is given, in order, and counts each part's samples as they leave.

const REPORT = 2400; // samples between two reports: 100 ms

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = []; // { item_id, content_index, samples, at }
    this.counts = new Map();
    this.current = null; // the part that is being played, or was
    this.sinceReport = 0;
    this.energy = 0;
    this.port.onmessage = ({ data }) => (data.samples ? this.queue.push({ ...data, at: 0 }) : this.stop(data.number));
  }

  stop(number) {
    const wasPlaying = this.queue.length > 0;
    this.queue = [];
    this.tell("stopped", { number, wasPlaying });
    this.port.postMessage({ kind: "level", level: 0 });
  }

  tell(kind, fields) {
    this.port.postMessage({ kind, ...this.current, samples: this.current ? this.counts.get(this.key(this.current)) : 0, ...fields });
  }

  key({ item_id, content_index }) {
    return `${item_id} ${content_index}`;
  }

  process(_, [[channel]]) {
    let filled = 0;
    while (filled < channel.length && this.queue.length) {
      const part = this.queue[0];
      const count = Math.min(channel.length - filled, part.samples.length - part.at);
      for (let index = 0; index < count; index++) {
        const sample = part.samples[part.at + index] / 32768;
        channel[filled + index] = sample;
        this.energy += sample * sample;
      }
      filled += count;
      part.at += count;
      this.current = { item_id: part.item_id, content_index: part.content_index };
      const key = this.key(part);
      this.counts.set(key, (this.counts.get(key) || 0) + count);
      if (part.at === part.samples.length) this.queue.shift();
    }
    this.sinceReport += filled;
    if (filled && (this.sinceReport >= REPORT || !this.queue.length)) {
      this.port.postMessage({ kind: "level", level: Math.sqrt(this.energy / this.sinceReport) });
      this.sinceReport = this.energy = 0;
      this.tell("played", { drained: !this.queue.length });
      if (!this.queue.length) this.port.postMessage({ kind: "level", level: 0 });
    }
    return true;
  }
}

registerProcessor("playback", Playback);
