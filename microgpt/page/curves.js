"use strict";

// Pictures of all heads together.

// The share of the bits against the share of the columns, heads in the order of bits per column.
function showLorenz(points, heads, place) {
  const size = 320, left = 44, top = 12, named = 0.12;
  const x = (share) => left + share * size;
  const y = (share) => top + (1 - share) * size;
  const text = (words, attributes) => drawn("text", attributes, words);
  const ticks = [0, 0.5, 1].flatMap((share) => [
    text(percent(share), { x: x(share), y: y(0) + 20, "text-anchor": "middle" }),
    text(percent(share), { x: left - 10, y: y(share) + 4, "text-anchor": "end" }),
  ]);
  const order = heads.slice().sort((one, other) => one.bits_per_column - other.bits_per_column);
  const steps = order.map((head, i) => ({ head, from: points[i], to: points[i + 1] }));
  const names = steps
    .filter(({ from, to }) => Math.hypot(to[0] - from[0], to[1] - from[1]) > named)
    .map(({ head, from, to }) =>
      text(headName(head), { x: x((from[0] + to[0]) / 2) + 8, y: y((from[1] + to[1]) / 2) + 14 }),
    );
  const line = points.map(([columns, bits]) => `${x(columns).toFixed(1)},${y(bits).toFixed(1)}`).join(" ");
  place.append(
    drawn(
      "svg",
      {
        viewBox: `0 0 ${left + size + 40} ${top + size + 46}`,
        role: "img",
        "aria-label": "share of the bits against share of the columns",
      },
      drawn("line", { class: "even", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
      drawn("line", { class: "even", x1: x(0), y1: y(0), x2: x(1), y2: y(0) }),
      drawn("polyline", { points: line }),
      ...points.map(([columns, bits]) => drawn("circle", { cx: x(columns), cy: y(bits), r: 3 })),
      ...ticks,
      ...names,
      text("of the columns", { x: x(1), y: y(0) + 40, "text-anchor": "end" }),
      text("of the bits", { x: x(0) + 8, y: y(1) + 4 }),
    ),
  );
}

// How much more, or less, two heads are worth together than alone.
function showInteractions(matrix, heads, place) {
  const largest = Math.max(...matrix.flat().map(Math.abs), 1e-12);
  const corner = element("span");
  const names = heads.map((head) => element("span", { class: "side" }, headName(head)));
  const grid = element("div", { class: "matrix", "--count": heads.length });
  grid.append(corner, ...names.map((name) => name.cloneNode(true)));
  matrix.forEach((row, i) => {
    grid.append(names[i]);
    row.forEach((bits, j) => {
      const title = `${headInWords(heads[i])} and ${headInWords(heads[j])}: ${signed(bits, 4)} bits`;
      const mix = { "--mix": `${((100 * Math.abs(bits)) / largest).toFixed(1)}%` };
      const other = element("i", { class: bits < 0 ? "hinders" : "", title, ...mix });
      grid.append(i === j ? element("i", { class: "same" }) : other);
    });
  });
  place.append(grid);
}
