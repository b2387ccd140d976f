"use strict";

// The surprise of every character of a text, read a few milliseconds at a time, so that the page goes on answering.
class Reader {
  static SLICE = 8; // milliseconds: half the time between two pictures

  // told  is called after the first slice of a text, now and then, and after the last one
  constructor(pass, told) {
    Object.assign(this, { pass, told, ids: [], bits: [], done: 0, timer: null, toldAt: 0 });
  }

  // bits[i] is the surprise of character i, for 0 < i <= done: nothing stands before the first.
  read(ids) {
    const most = Math.min(this.done + 1, ids.length);
    let same = 0;
    while (same < most && ids[same] === this.ids[same]) same++;
    this.done = Math.max(0, same - 1);
    this.ids = ids;
    this.bits.length = this.done + 1;
    if (this.pass.n !== this.done) this.pass.rewind(this.done);
    this.toldAt = -Infinity; // at once
    this.slice();
  }

  get isDone() {
    return this.done >= this.ids.length - 1;
  }

  // Bits per character of those that are read, or NaN.
  get mean() {
    return this.meanOf(this.done);
  }

  // likewise of the first n
  meanOf(n) {
    let sum = 0;
    for (let i = 1; i <= n; i++) sum += this.bits[i];
    return sum / n;
  }

  slice() {
    clearTimeout(this.timer);
    const until = performance.now() + Reader.SLICE;
    while (!this.isDone && performance.now() < until) {
      const logits = this.pass.push(this.ids[this.done]);
      this.bits[++this.done] = Microgpt.bits(logits, this.ids[this.done]);
    }
    if (!this.isDone) this.timer = setTimeout(() => this.slice());
    // to show a text takes the longer the longer it is: a tenth of a second apart, or of 20,000 characters a whole one
    const pause = Math.max(100, this.ids.length / 20);
    if (!this.isDone && performance.now() < this.toldAt + pause) return;
    this.told();
    this.toldAt = performance.now();
  }

  stop() {
    clearTimeout(this.timer);
  }
}
