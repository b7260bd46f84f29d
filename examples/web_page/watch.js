// Notices that nothing comes any more from an application whose worker stands still, though the connection does not end.

const SLOW = 8; // seconds

// It counts its own beats, not the clock's time: a computer that has slept has missed nothing.
export class Watch {
  constructor(gone, onslow, ongone) {
    this.gone = gone; // seconds
    this.onslow = onslow;
    this.quiet = 0;
    this.beat = setInterval(() => {
      this.quiet += 1;
      if (this.quiet === SLOW) onslow(true);
      if (this.quiet < this.gone) return;
      this.stop();
      ongone(this.gone);
    }, 1000);
  }

  heard() {
    if (this.quiet >= SLOW) this.onslow(false);
    this.quiet = 0;
  }

  stop() {
    clearInterval(this.beat);
  }
}
