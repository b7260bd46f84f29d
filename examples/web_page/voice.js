// A conversation by microphone, over a WebSocket: see voice.py for what is said on it.
import { unreachable } from "./ask.js";
import { Watch } from "./watch.js";

const RATE = 24000;
const MOST_BEHIND = 480000; // bytes of sound that may wait for a slow network: 10 s
const OPEN_SECONDS = 75; // in which the application has told whether it reaches the model service
const SILENT_SECONDS = 20;
const TICK = 4000; // milliseconds between two questions whether the application is there

export class Voice {
  constructor(transcript) {
    this.transcript = transcript;
    this.entries = new Map(); // by item
    this.received = new Map(); // samples of each item that have come
    this.played = new Map();
    this.cut = new Set(); // items that are not to be heard any more
    this.part = null; // whose samples the next binary message holds
    this.hearing = this.thinking = this.speaking = false;
    this.slow = this.ended = false;
    this.onstate = this.onlevel = this.onproblem = this.onend = () => {};
  }

  async start() {
    try {
      if (!navigator.mediaDevices) throw new Error("A browser gives its microphone to pages on localhost and over https only.");
      await this.open();
    } catch (error) {
      if (this.ended) this.release(); // what came about after it was stopped
      else this.end(words(error));
    }
  }

  async open() {
    const wanted = { audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true } };
    this.stream = await navigator.mediaDevices.getUserMedia(wanted);
    this.speaker = new AudioContext({ sampleRate: RATE });
    await this.speaker.audioWorklet.addModule(new URL("./playback.js", import.meta.url));
    this.playback = new AudioWorkletNode(this.speaker, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.playback.connect(this.speaker.destination);
    this.playback.port.onmessage = ({ data }) => this.onplayback(data);
    await this.listen();
    await this.speaker.resume();
    if (this.ended) return this.release(); // stopped meanwhile
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/talk`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.remember(this.transcript.history()); // before any sound
    this.socket.onmessage = ({ data }) => {
      this.watch.heard();
      if (typeof data === "string") this.hear(JSON.parse(data));
      else this.play(data);
    };
    this.watch = new Watch(OPEN_SECONDS, (slow) => {
      this.slow = slow;
      this.tell();
    }, (seconds) => this.end(`Nothing has come from the application for ${seconds} seconds. It may be stuck.`));
    this.ticking = setInterval(() => this.say({ type: "tick" }), TICK);
    this.socket.onclose = () => this.end(this.ready ? "The connection to the application was lost." : unreachable());
    const [track] = this.stream.getAudioTracks();
    track.onended = () => this.end("The microphone went away.");
  }

  // Firefox joins no microphone to a context of another rate; then the worklet converts.
  async listen() {
    const connect = async (context) => {
      await context.audioWorklet.addModule(new URL("./capture.js", import.meta.url));
      const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
      context.createMediaStreamSource(this.stream).connect(node);
      node.port.onmessage = ({ data }) => this.captured(data);
    };
    try {
      await connect(this.speaker);
    } catch {
      this.microphone = new AudioContext();
      await connect(this.microphone);
    }
  }

  captured({ samples, level }) {
    this.onlevel("you", shown(level));
    if (!this.ready) return;
    if (this.socket.bufferedAmount > MOST_BEHIND) this.end("The network is too slow for a conversation.");
    else this.socket.send(samples);
  }

  say(message) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // What was said without this conversation: before it, or in writing beside it.
  remember(messages) {
    if (messages.length) this.say({ type: "remember", messages });
  }

  hear(message) {
    const { type, item_id: item, text } = message;
    if (type === "ready") {
      this.ready = true;
      this.watch.gone = SILENT_SECONDS;
    } else if (type === "audio") this.part = message;
    else if (type === "stop") this.playback.port.postMessage({ number: message.number });
    else if (type === "user_began") {
      this.entry(item, "you");
      this.hearing = true;
    } else if (type === "user_ended") {
      this.hearing = false;
      this.thinking = true;
    } else if (type === "user_text") this.entry(item, "you").append(text);
    else if (type === "user_done") this.entry(item, "you").set(text).finish(text.trim() ? "" : "Not understood");
    else if (type === "answer_text") this.write(item, text);
    else if (type === "answer_done") this.whole(item);
    else if (type === "interrupted") {
      this.shorten(item, message.heard_ms);
      for (const other of this.cut) this.shorten(other, null); // what was to be said behind it
    } else if (type === "over") this.thinking = false;
    else if (type === "problem") this.onproblem(message.message);
    else if (type === "failed") this.end(message.message);
    this.tell();
  }

  tell() {
    if (this.ended) return;
    if (this.slow) this.onstate("slow", this.ready ? "No answer" : "Still waiting");
    else if (!this.ready) this.onstate("connecting", "Connecting");
    else if (this.hearing) this.onstate("hearing", "Hearing you");
    else if (this.speaking) this.onstate("speaking", "Speaking");
    else if (this.thinking) this.onstate("answering", "Thinking");
    else this.onstate("listening", "Listening");
  }

  entry(item, who) {
    if (!this.entries.has(item)) this.entries.set(item, this.transcript.add(who));
    return this.entries.get(item);
  }

  // What the model says comes faster than it is heard; a word is shown once its sound is reached.
  write(item, text) {
    if (this.cut.has(item)) return;
    const entry = this.entry(item, "model");
    entry.pieces = entry.pieces || [];
    entry.pieces.push({ text, at: this.received.get(item) || 0 });
    this.reveal(item);
  }

  reveal(item) {
    const entry = this.entries.get(item);
    if (!entry || !entry.pieces || this.cut.has(item)) return;
    const played = this.played.get(item) || 0;
    const over = entry.whole && played >= (this.received.get(item) || 0);
    while (entry.pieces.length && (over || entry.pieces[0].at <= played)) entry.append(entry.pieces.shift().text);
    if (over) {
      entry.pieces = null;
      entry.finish();
    }
  }

  whole(item) {
    const entry = this.entries.get(item);
    if (!entry) return;
    entry.whole = true;
    this.reveal(item);
  }

  shorten(item, ms) {
    this.cut.add(item);
    const entry = this.entries.get(item);
    if (entry && entry.pieces) {
      entry.pieces = null;
      entry.finish(ms === null ? "Interrupted" : `Interrupted after ${(ms / 1000).toFixed(1)} s`);
    }
  }

  play(buffer) {
    const { item_id: item, content_index } = this.part;
    if (this.cut.has(item)) return;
    const samples = new Int16Array(buffer);
    this.received.set(item, (this.received.get(item) || 0) + samples.length);
    this.playback.port.postMessage({ item_id: item, content_index, samples }, [buffer]);
    this.speaking = true;
    this.thinking = false;
    this.tell();
  }

  onplayback(told) {
    const { kind, item_id, content_index, samples } = told;
    if (kind === "level") return this.onlevel("model", shown(told.level));
    if (kind === "played") {
      this.played.set(item_id, samples);
      this.say({ type: "played", item_id, content_index, samples });
      this.reveal(item_id);
    } else {
      // What has left here and not yet reached the ear was not heard.
      const late = told.wasPlaying ? Math.round((this.speaker.outputLatency || 0) * RATE) : 0;
      for (const item of this.received.keys()) this.cut.add(item);
      const type = told.number === undefined ? "interrupt" : "stopped";
      this.say({ type, item_id, content_index, samples: Math.max(0, samples - late), number: told.number });
    }
    if (kind === "stopped" || told.drained) this.speaking = false;
    this.tell();
  }

  interrupt() {
    if (this.ready && this.speaking) this.playback.port.postMessage({ number: undefined });
  }

  stop() {
    this.end("");
  }

  end(message) {
    if (this.ended) return;
    this.ended = true;
    this.release();
    for (const entry of this.entries.values()) entry.finish(message ? "Not finished" : "Stopped");
    this.onend(message);
  }

  release() {
    if (this.socket) {
      this.socket.onclose = this.socket.onmessage = null;
      this.socket.close();
    }
    this.ready = false;
    if (this.watch) this.watch.stop();
    clearInterval(this.ticking);
    for (const track of this.stream ? this.stream.getTracks() : []) {
      track.onended = null;
      track.stop();
    }
    for (const context of [this.speaker, this.microphone]) if (context && context.state !== "closed") context.close();
  }
}

// Loudness as a length: -60 dB is nothing, full scale is all.
function shown(level) {
  return level > 0 ? Math.max(0, Math.min(1, 1 + (20 * Math.log10(level)) / 60)) : 0;
}

export function words(error) {
  if (error.name === "NotAllowedError") return "The browser did not let this page use the microphone. Allow it in the address bar, then start again.";
  if (error.name === "NotFoundError") return "No microphone was found. Plug one in, then start again.";
  if (error.name === "NotReadableError") return "The microphone is used by another program.";
  if (error.name === "AbortError") return unreachable(); // a worklet was not loaded
  return error.message;
}
