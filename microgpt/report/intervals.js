"use strict";

// Rows of a name, a mean and its interval, below each other on one axis. Names stand at the left where they leave
// more than half of the width, else above.
class Intervals {
  static ROW = 26;
  static ROW_WITH_NAME = 38;
  static LETTER = 7; // pixels, about
  static NUMBER = 62; // pixels at the right

  constructor(rows, { heading, caption, zero = false, stripe = 0 }) {
    Object.assign(this, { rows, zero, stripe, heading });
    this.space = Page.element("div", { class: "space" });
    this.figure = Page.element(
      "figure",
      { class: "chart" },
      Page.element("h3", {}, heading),
      this.space,
      Page.element("figcaption", {}, caption),
    );
    new ResizeObserver(() => this.draw()).observe(this.space);
  }

  draw() {
    const width = this.space.clientWidth;
    if (width === 0 || this.rows.length === 0) return;
    const ends = this.rows.flatMap(({ value, interval, dots }) => [value, ...(interval || []), ...dots]);
    if (this.zero) ends.push(0, -this.stripe, this.stripe);
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const room = (high - low || 0.01) * 0.05;
    const names = 20 + Intervals.LETTER * Math.max(...this.rows.map(({ name }) => name.length));
    this.beside = names < width / 2;
    const step = this.beside ? Intervals.ROW : Intervals.ROW_WITH_NAME;
    const height = this.rows.length * step + 34;
    const x = Scale.make(low - room, high + room, this.beside ? names : 4, width - Intervals.NUMBER, false);
    const bottom = height - 28;
    const svg = Page.svg("svg", {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `${this.heading}: ${this.rows.map(({ name, said }) => `${name} ${said}`).join("; ")}`,
    });
    if (this.stripe)
      svg.append(
        Page.svg("rect", {
          class: "stripe",
          x: x.place(-this.stripe),
          y: 0,
          width: x.place(this.stripe) - x.place(-this.stripe),
          height: bottom,
        }),
      );
    const axes = Page.svg("g", { class: "axes" });
    for (const tick of Scale.ticks(x.low, x.high, Math.max(2, width / 150), false, false)) {
      axes.append(Page.svg("line", { x1: x.place(tick), x2: x.place(tick), y1: 0, y2: bottom }));
      axes.append(
        Page.svg(
          "text",
          { x: Math.max(14, x.place(tick)), y: height - 8, "text-anchor": "middle" },
          Written.short(tick),
        ),
      );
    }
    if (this.zero)
      axes.append(Page.svg("line", { class: "base", x1: x.place(0), x2: x.place(0), y1: 0, y2: bottom }));
    svg.append(axes);
    this.rows.forEach((row, i) =>
      svg.append(this.row(row, x, this.beside ? (i + 0.5) * step : (i + 0.68) * step, width)),
    );
    this.space.replaceChildren(svg);
  }

  row({ name, value, interval, dots, colour, said }, x, middle, width) {
    const group = Page.svg("g", { class: "row", style: `--colour:${colour}` });
    group.append(
      Page.svg(
        "title",
        {},
        interval ? `${name}: ${said}, ${interval[0].toFixed(4)} to ${interval[1].toFixed(4)}` : `${name}: ${said}`,
      ),
    );
    for (const each of dots)
      group.append(Page.svg("circle", { class: "seed", cx: x.place(each).toFixed(1), cy: middle, r: 2 }));
    if (interval)
      group.append(
        Page.svg("line", {
          class: "interval",
          x1: x.place(interval[0]),
          x2: x.place(interval[1]),
          y1: middle,
          y2: middle,
        }),
      );
    group.append(Page.svg("circle", { class: "dot", cx: x.place(value), cy: middle, r: 4.5 }));
    group.append(
      Page.svg(
        "text",
        { class: "name", x: 0, y: this.beside ? middle + 4.5 : middle - 11 },
        Intervals.fitting(name, width - Intervals.NUMBER),
      ),
    );
    group.append(Page.svg("text", { x: width, y: middle + 4.5, "text-anchor": "end" }, said));
    return group;
  }

  // as much of a name as this many pixels have room for
  static fitting(name, pixels) {
    const most = Math.floor(pixels / Intervals.LETTER);
    return name.length <= most ? name : `${name.slice(0, most - 1)}…`;
  }
}
