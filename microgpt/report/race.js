"use strict";

// What races have found: for each condition the entrants with their intervals, the pairs, and the rates.

const RaceView = {
  COLOURS: 7,

  show(race) {
    const part = Page.element("section", { class: "race" });
    if (Report.data.runs.length + Report.data.races.length > 1) part.append(Page.element("h2", {}, race.name));
    const runs = `${race.done.toLocaleString("en")} runs`;
    const left = race.left ? `, ${race.left.toLocaleString("en")} are left` : "";
    part.append(Page.element("p", { class: "quiet" }, `A race of ${race.entrants.join(", ")}: ${runs}${left}. Losses are in bits per character of the held-out text; lower is better.`));
    for (const note of race.notes) part.append(Page.element("p", { class: "notice" }, note));
    for (const finding of race.findings) part.append(...RaceView.finding(finding, race));
    if (race.findings.some(({ judgements }) => judgements.length > 0)) part.append(Page.element("p", { class: "quiet small" }, race.how_to_read));
    return part;
  },

  finding(finding, race) {
    const parts = [Page.element("h3", { class: "condition" }, finding.condition)];
    if (finding.judgements.length === 0) parts.push(Page.element("p", { class: "quiet" }, "Not enough runs are done to compare anything."));
    for (const judgement of finding.judgements) parts.push(RaceView.judgement(judgement, race));
    if (finding.rates.some(({ lr }) => lr.length > 1)) parts.push(RaceView.rates(finding, race));
    return parts;
  },

  judgement(judgement, race) {
    const seeds = `${judgement.n_seeds} seed${judgement.n_seeds === 1 ? "" : "s"}`;
    const part = Page.element("div", { class: "judgement" });
    part.append(Page.element("p", {}, `${judgement.what}, ${seeds}: `, Page.element("strong", {}, judgement.verdict)));
    const figures = Page.element("div", { class: "charts" });
    figures.append(RaceView.standings(judgement, race), RaceView.pairs(judgement, race));
    part.append(figures);
    for (const { header, rows } of judgement.tables) {
      const details = Page.element("details", {}, Page.element("summary", {}, header.includes("difference") ? "All pairs in a table" : "The entrants in a table"));
      details.append(Page.element("div", { class: "scrolls" }, RaceView.table(header, rows)));
      part.append(details);
    }
    for (const remark of judgement.remarks) part.append(Page.element("p", { class: "quiet small" }, `${remark[0].toUpperCase()}${remark.slice(1)}.`));
    return part;
  },

  table(header, rows) {
    const cells = (name, texts) => texts.map((text, i) => Page.element(name, i ? { class: "number" } : {}, text));
    const table = Page.element("table");
    table.append(Page.element("thead", {}, Page.element("tr", {}, ...cells("th", header))));
    table.append(Page.element("tbody", {}, ...rows.map((row) => Page.element("tr", {}, ...cells("td", row)))));
    return table;
  },

  colour(name, race) {
    return `var(--series-${1 + (race.entrants.indexOf(name) % RaceView.COLOURS)})`;
  },

  // means and their intervals, the lowest above; a dot for each seed
  standings(judgement, race) {
    const rows = [...judgement.standings]
      .sort((a, b) => a.mean - b.mean)
      .map((each) => ({ name: each.name, value: each.mean, interval: each.interval, dots: each.losses, colour: RaceView.colour(each.name, race), said: each.mean.toFixed(4) }));
    return new Intervals(rows, { heading: "Bits per character", caption: "Each mean with its 95% interval, and a dot for each seed." }).figure;
  },

  // differences of pairs and their intervals, besides 0
  pairs(judgement, race) {
    const rows = judgement.pairs.slice(0, 40).map((pair) => ({
      name: `${pair.first} − ${pair.second}`,
      value: pair.difference,
      interval: pair.interval,
      dots: [],
      colour: pair.winner === null ? "var(--quiet)" : RaceView.colour(pair.winner, race),
      said: pair.difference.toFixed(4),
    }));
    const more = judgement.pairs.length > rows.length ? ` The first ${rows.length} of ${judgement.pairs.length} pairs; the table has all.` : "";
    const caption = `Each difference with its 95% interval; coloured where one of the two was found to be better. Within ${race.smallest_difference} (the stripe) differences are of no interest.${more}`;
    return new Intervals(rows, { heading: "Differences of pairs", caption, zero: true, stripe: race.smallest_difference }).figure;
  },

  rates(finding, race) {
    const figure = Page.element("figure", { class: "chart" }, Page.element("h3", {}, "Learning rates that were tried"));
    const series = finding.rates
      .filter(({ lr }) => lr.length > 0)
      .map(({ name, lr, bits }) => ({ name, colour: RaceView.colour(name, race), x: lr, y: bits, dots: true }));
    const x = series.flatMap((each) => each.x);
    const y = series.flatMap((each) => each.y).filter((bits) => bits !== null);
    if (y.length === 0) return figure;
    const room = (Math.max(...y) - Math.min(...y) || 0.1) * 0.06;
    new Chart(figure, 260).show({
      label: `Bits per character against the learning rate, ${finding.condition}`,
      caption: "The mean over the tuning seeds, in bits per character of the held-out text; the lowest was chosen.",
      series,
      x: { low: Math.min(...x) / 1.1, high: Math.max(...x) * 1.1, log: true, tick: Written.short, write: (lr) => `rate ${Written.number(lr, 3)}` },
      y: { low: Math.min(...y) - room, high: Math.max(...y) + room, log: false, tick: Written.short, write: Written.loss },
    });
    return figure;
  },
};

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
    this.figure = Page.element("figure", { class: "chart" }, Page.element("h3", {}, heading), this.space, Page.element("figcaption", {}, caption));
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
    const svg = Page.svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${this.heading}: ${this.rows.map(({ name, said }) => `${name} ${said}`).join("; ")}` });
    if (this.stripe) svg.append(Page.svg("rect", { class: "stripe", x: x.place(-this.stripe), y: 0, width: x.place(this.stripe) - x.place(-this.stripe), height: bottom }));
    const axes = Page.svg("g", { class: "axes" });
    for (const tick of Scale.ticks(x.low, x.high, Math.max(2, width / 150), false, false)) {
      axes.append(Page.svg("line", { x1: x.place(tick), x2: x.place(tick), y1: 0, y2: bottom }));
      axes.append(Page.svg("text", { x: Math.max(14, x.place(tick)), y: height - 8, "text-anchor": "middle" }, Written.short(tick)));
    }
    if (this.zero) axes.append(Page.svg("line", { class: "base", x1: x.place(0), x2: x.place(0), y1: 0, y2: bottom }));
    svg.append(axes);
    this.rows.forEach((row, i) => svg.append(this.row(row, x, this.beside ? (i + 0.5) * step : (i + 0.68) * step, width)));
    this.space.replaceChildren(svg);
  }

  row({ name, value, interval, dots, colour, said }, x, middle, width) {
    const group = Page.svg("g", { class: "row", style: `--colour:${colour}` });
    group.append(Page.svg("title", {}, interval ? `${name}: ${said}, ${interval[0].toFixed(4)} to ${interval[1].toFixed(4)}` : `${name}: ${said}`));
    for (const each of dots) group.append(Page.svg("circle", { class: "seed", cx: x.place(each).toFixed(1), cy: middle, r: 2 }));
    if (interval) group.append(Page.svg("line", { class: "interval", x1: x.place(interval[0]), x2: x.place(interval[1]), y1: middle, y2: middle }));
    group.append(Page.svg("circle", { class: "dot", cx: x.place(value), cy: middle, r: 4.5 }));
    group.append(Page.svg("text", { class: "name", x: 0, y: this.beside ? middle + 4.5 : middle - 11 }, Intervals.fitting(name, width - Intervals.NUMBER)));
    group.append(Page.svg("text", { x: width, y: middle + 4.5, "text-anchor": "end" }, said));
    return group;
  }

  // as much of a name as so many pixels have room for
  static fitting(name, pixels) {
    const most = Math.floor(pixels / Intervals.LETTER);
    return name.length <= most ? name : `${name.slice(0, most - 1)}…`;
  }
}
