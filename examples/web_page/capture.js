// On the audio thread: what the microphone hears, as 16-bit samples at 24,000 Hz in pieces of 40 ms.

const RATE = 24000;
const PIECE = 960;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ratio = sampleRate / RATE; // samples of the device for one of ours; 1 where the browser converts by itself
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
    this.sum = 0; // of the samples of the device that make the next of ours
    this.weight = 0;
    this.energy = 0;
  }

  process([channels]) {
    const input = channels && channels[0];
    if (!input) return true;
    for (const sample of input) {
      // Each of ours is the average of the time that it stands for, which also keeps out most of what it cannot hold.
      let left = 1;
      while (this.weight + left >= this.ratio) {
        const part = this.ratio - this.weight;
        this.put((this.sum + sample * part) / this.ratio);
        left -= part;
        this.sum = this.weight = 0;
      }
      this.sum += sample * left;
      this.weight += left;
    }
    return true;
  }

  put(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.energy += clipped * clipped;
    this.piece[this.filled++] = Math.round(clipped * 32767);
    if (this.filled < PIECE) return;
    const level = Math.sqrt(this.energy / PIECE);
    this.port.postMessage({ samples: this.piece.buffer, level }, [this.piece.buffer]);
    this.piece = new Int16Array(PIECE);
    this.filled = this.energy = 0;
  }
}

registerProcessor("capture", Capture);
