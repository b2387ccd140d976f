"use strict";

// What each head is worth: how many bits per character a text costs more if this head alone is off.
class Weighing {
  // ids    the text
  // whole  a reader that has read it with all heads on
  // told   is called with the worths of the first heads, in the order of layers and heads, after each
  constructor(model, ids, whole, told) {
    this.worths = [];
    const places = model.heads.flatMap((widths, l) => widths.map((_, h) => [l, h]));
    const next = () => {
      const [layer, head] = places[this.worths.length];
      const off = model.heads.map((widths, l) => widths.map((_, h) => l === layer && h === head));
      this.reader = new Reader(model.begin({ off }), () => {
        if (!this.reader.isDone) return;
        this.worths.push(this.reader.mean - whole.meanOf(this.reader.done));
        told(this.worths);
        if (this.worths.length < places.length) this.timer = setTimeout(next);
      });
      this.reader.read(ids);
    };
    next();
  }

  stop() {
    this.reader.stop();
    clearTimeout(this.timer);
  }
}
