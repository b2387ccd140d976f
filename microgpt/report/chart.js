"use strict";

// A chart of lines, as SVG. A pointer or the arrow keys move a cursor through all charts of the page, and beside it
// stand the values of the chart that is pointed at.

const Page = {
  // an element with attributes and content: strings, which stay text whatever is in them, and elements
  element(name, attributes = {}, ...content) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...content);
    return element;
  },

  svg(name, attributes = {}, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  },
};

class Chart {
  static all = [];
  static MARGIN = { top: 10, right: 12, bottom: 26 };
  static MOST_VALUES = 12; // beside the cursor
  static NEAR = 20; // pixels, beyond the ends of a curve
  static DRAG = 8; // pixels; a shorter way is none

  // figure: the element that it is drawn in; height: in pixels, of a wide page; chosen: called with the ends of a
  // stretch of the x axis that a mouse was drawn across
  constructor(figure, height, chosen = null) {
    this.figure = figure;
    this.height = height;
    this.chosen = chosen;
    this.said = Page.element("output", { class: "sr-only", "aria-live": "polite" });
    this.values = Page.element("div", { class: "values", "aria-hidden": "true" });
    this.space = Page.element("div", { class: "space" });
    this.space.append(this.values);
    this.caption = Page.element("figcaption");
    figure.append(this.space, this.caption, this.said);
    new ResizeObserver(() => this.draw()).observe(this.space);
    Chart.all.push(this);
  }

  // Draws this content:
  //   label, caption  in words
  //   series          of { name, colour, x, y, width, dash, faint, dots, low, high }, where faint ones have no values
  //                   beside the cursor, and low and high bound a band
  //   lines, marks    horizontal ones of { name, y }, and vertical ones of { name, x }
  //   x, y            of { low, high, log, isTime, tick, write }, where tick and write are functions to texts
  show(content) {
    this.content = content;
    this.caption.textContent = content.caption || "";
    this.draw();
  }

  draw() {
    const width = this.space.clientWidth;
    if (!this.content || width === 0) return;
    const { series, lines, marks, x, y, label } = this.content;
    const height = Math.min(this.height, Math.max(200, width * 0.8));
    const { top, right, bottom } = Chart.MARGIN;
    const yTicks = Scale.ticks(y.low, y.high, Math.max(3, height / 60), y.log, y.isTime);
    const left = 10 + 7 * Math.max(...yTicks.map((tick) => y.tick(tick).length), 1);
    this.x = Scale.make(x.low, x.high, left, width - right, x.log);
    this.y = Scale.make(y.low, y.high, height - bottom, top, y.log);
    this.area = { left, right: width - right, top, bottom: height - bottom };

    const svg = Page.svg("svg", {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      tabindex: 0,
      "aria-label": label,
    });
    const clip = `clip-${Chart.all.indexOf(this)}`;
    const cut = Page.svg("clipPath", { id: clip });
    cut.append(
      Page.svg("rect", {
        x: left,
        y: top - 2,
        width: Math.max(0, width - right - left + 2),
        height: height - bottom - top + 4,
      }),
    );
    const inside = Page.svg("g", { "clip-path": `url(#${clip})` });
    svg.append(cut, this.axes(yTicks), inside);
    for (const mark of marks || []) inside.append(this.mark(mark));
    for (const line of lines || []) inside.append(this.line(line));
    for (const each of series) inside.append(...this.curve(each));
    svg.append(...this.names(lines || []));
    this.cursor = Page.svg("g", { class: "cursor" });
    svg.append(this.cursor);
    this.listen(svg);
    const focused = this.svg !== undefined && document.activeElement === this.svg;
    if (this.svg) this.svg.remove();
    this.space.prepend(svg);
    this.svg = svg;
    if (focused) svg.focus();
  }

  axes(yTicks) {
    const { left, right, top, bottom } = this.area;
    const { x, y } = this.content;
    const axes = Page.svg("g", { class: "axes" });
    for (const tick of yTicks) {
      const place = this.y.place(tick);
      axes.append(Page.svg("line", { x1: left, x2: right, y1: place, y2: place }));
      axes.append(Page.svg("text", { x: left - 8, y: place + 4, "text-anchor": "end" }, y.tick(tick)));
    }
    const count = Math.max(2, (right - left) / 100);
    let free = -Infinity; // to the right of the last text
    for (const tick of Scale.ticks(x.low, x.high, count, x.log, x.isTime)) {
      const [place, text] = [this.x.place(tick), x.tick(tick)];
      const half = 3.6 * text.length;
      const middle = Math.min(Math.max(place, half), right + Chart.MARGIN.right - half);
      if (middle - half < free) continue;
      free = middle + half + 8;
      axes.append(Page.svg("text", { x: middle, y: bottom + 20, "text-anchor": "middle" }, text));
    }
    axes.append(Page.svg("line", { class: "base", x1: left, x2: right, y1: bottom, y2: bottom }));
    return axes;
  }

  mark({ x, name }) {
    const group = Page.svg("g", { class: "mark" });
    const place = this.x.place(x);
    group.append(
      Page.svg("title", {}, name),
      Page.svg("line", { x1: place, x2: place, y1: this.area.top, y2: this.area.bottom }),
    );
    return group;
  }

  line({ y }) {
    const place = this.y.place(y);
    return Page.svg("line", { class: "reference", x1: this.area.left, x2: this.area.right, y1: place, y2: place });
  }

  // The names of the horizontal lines, at their right ends; one that would cover another goes below its own line.
  names(lines) {
    const shown = lines.filter(({ y }) => y >= this.content.y.low && y <= this.content.y.high);
    const placed = [];
    return shown.map(({ name, y }) => {
      let place = this.y.place(y) - 5;
      if (placed.some((other) => Math.abs(other - place) < 13) || place < this.area.top + 6) place += 18;
      placed.push(place);
      return Page.svg("text", { class: "name", x: this.area.right - 2, y: place, "text-anchor": "end" }, name);
    });
  }

  curve({ colour, x, y, low, high, width = 1.5, dash = "", faint = false, dots = false, dim = false }) {
    const style = `--colour:${colour};--width:${width}px;--opacity:${dim ? 0.15 : faint ? 0.35 : 1}`;
    const parts = [];
    if (low && high) {
      const there = x.map((_, i) => i).filter((i) => this.fits(x[i], low[i]) && this.fits(x[i], high[i]));
      const edge = [
        ...there.map((i) => this.point(x[i], high[i])),
        ...there.reverse().map((i) => this.point(x[i], low[i])),
      ];
      parts.push(Page.svg("path", { class: "band", style, d: edge.length ? `M${edge.join("L")}Z` : "" }));
    }
    let path = "";
    let pen = "M";
    for (let i = 0; i < x.length; i++) {
      if (!this.fits(x[i], y[i])) {
        pen = "M";
        continue;
      }
      path += pen + this.point(x[i], y[i]);
      pen = "L";
    }
    parts.push(Page.svg("path", { class: "curve", style, d: path, "stroke-dasharray": dash }));
    if (dots && !dim) {
      for (let i = 0; i < x.length; i++) {
        if (this.fits(x[i], y[i])) parts.push(this.dot(x[i], y[i], colour, 3));
      }
    }
    return parts;
  }

  dot(x, y, colour, radius) {
    return Page.svg("circle", {
      class: "dot",
      style: `--colour:${colour}`,
      cx: this.x.place(x).toFixed(1),
      cy: this.y.place(y).toFixed(1),
      r: radius,
    });
  }

  // whether a number is there, and has a place on both axes
  fits(x, y) {
    return x !== null && y !== null && y !== undefined && !(this.x.log && x <= 0) && !(this.y.log && y <= 0);
  }

  point(x, y) {
    const far = 1e5; // what lies far outside is cut off anyway
    return `${this.x.place(x).toFixed(1)},${Math.max(-far, Math.min(far, this.y.place(y))).toFixed(1)}`;
  }

  // --- the cursor

  listen(svg) {
    const place = (event) => event.clientX - svg.getBoundingClientRect().left;
    const move = (event) =>
      Chart.moveTo(this.x.value(Math.min(Math.max(place(event), this.area.left), this.area.right)), this);
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerdown", move);
    if (this.chosen) this.listenToDrags(svg, place);
    svg.addEventListener("pointerleave", () => Chart.moveTo(null, this));
    svg.addEventListener("blur", () => Chart.moveTo(null, this));
    svg.addEventListener("keydown", (event) => {
      const to = {
        ArrowRight: 1,
        ArrowLeft: -1,
        PageDown: 10,
        PageUp: -10,
        Home: -Infinity,
        End: Infinity,
        Escape: null,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      if (to === null) return Chart.moveTo(null, this);
      const places = this.places();
      if (places.length === 0) return;
      const now =
        Chart.at === undefined || Chart.at === null ? (to > 0 ? -1 : places.length) : Chart.nearest(places, Chart.at);
      Chart.moveTo(places[Math.min(Math.max(now + to, 0), places.length - 1)], this);
      this.said.textContent = [
        this.content.x.write(Chart.at),
        ...this.found(Chart.at).map(({ name, text }) => `${name} ${text}`),
      ].join(", ");
    });
  }

  // A finger scrolls the page, so that this is for a mouse.
  listenToDrags(svg, place) {
    let from = null;
    const inside = (event) => Math.min(Math.max(place(event), this.area.left), this.area.right);
    const drawn = Page.svg("rect", {
      class: "drawn",
      y: this.area.top,
      height: this.area.bottom - this.area.top,
      width: 0,
    });
    svg.append(drawn);
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = inside(event);
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (from === null) return;
      drawn.setAttribute("x", Math.min(from, inside(event)));
      drawn.setAttribute("width", Math.abs(inside(event) - from));
    });
    svg.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const ends = [from, inside(event)].sort((a, b) => a - b);
      from = null;
      drawn.setAttribute("width", 0);
      if (ends[1] - ends[0] > Chart.DRAG) this.chosen(...ends.map((end) => this.x.value(end)));
    });
  }

  // where the points of this chart are that can be seen, in order
  places() {
    const { low, high } = this.content.x;
    const all = this.content.series.filter(({ faint, dim }) => !faint && !dim).flatMap(({ x }) => x);
    return [...new Set(all.filter((x) => x >= low && x <= high))].sort((a, b) => a - b);
  }

  static nearest(sorted, x) {
    let [low, high] = [0, sorted.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= x) low = middle;
      else high = middle;
    }
    return Math.abs(sorted[high] - x) < Math.abs(sorted[low] - x) ? high : low;
  }

  // the cursor of all charts; null: none
  static moveTo(x, pointed) {
    Chart.at = x;
    for (const chart of Chart.all) {
      if (chart.content) chart.drawCursor(x, chart === pointed);
    }
  }

  // the points nearest to x, of each curve that has values there
  found(x) {
    const at = this.x.place(x);
    const reaches = (places) =>
      at > this.x.place(places[0]) - Chart.NEAR && at < this.x.place(places[places.length - 1]) + Chart.NEAR;
    return this.content.series
      .filter(({ faint, dim, x: places }) => !faint && !dim && places.length > 0 && reaches(places))
      .map(({ name, colour, x: places, y }) => {
        const i = Chart.nearest(places, x);
        return { name, colour, x: places[i], y: y[i], text: this.content.y.write(y[i]) };
      })
      .filter(({ x: there, y }) => this.fits(there, y));
  }

  drawCursor(x, withValues) {
    this.cursor.replaceChildren();
    this.values.hidden = x === null || !withValues;
    if (x === null) return;
    const found = this.found(x);
    // where there is a point, the cursor is at a point
    const nearest = found
      .map((each) => each.x)
      .reduce(
        (best, there) => (Math.abs(there - x) < Math.abs(best - x) ? there : best),
        found.length ? found[0].x : x,
      );
    const place = this.x.place(nearest);
    if (place < this.area.left - 1 || place > this.area.right + 1) {
      this.values.hidden = true;
      return;
    }
    this.cursor.append(Page.svg("line", { x1: place, x2: place, y1: this.area.top, y2: this.area.bottom }));
    for (const { x: there, y, colour } of found) {
      if (this.y.place(y) >= this.area.top - 2 && this.y.place(y) <= this.area.bottom + 2)
        this.cursor.append(this.dot(there, y, colour, 4));
    }
    if (!withValues) return;
    const rows = found
      .slice(0, Chart.MOST_VALUES)
      .map(({ name, colour, text }) =>
        Page.element(
          "div",
          {},
          Page.element("i", { style: `--colour:${colour}` }),
          Page.element("span", {}, name),
          Page.element("b", {}, text),
        ),
      );
    if (found.length > rows.length)
      rows.push(Page.element("div", { class: "quiet" }, Page.element("i"), `and ${found.length - rows.length} more`));
    this.values.replaceChildren(Page.element("strong", {}, this.content.x.write(nearest)), ...rows);
    const width = this.values.offsetWidth;
    const beside = place + 14 + width > this.space.clientWidth ? place - 14 - width : place + 14;
    this.values.style.left = `${Math.max(0, beside)}px`;
  }
}
