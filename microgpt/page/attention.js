"use strict";

// Where the chosen head looks, as a triangle: each row is a character that is read, each column one that is
// looked at, and what is darker has more weight.
function showAttention(live, canvas, said) {
  const ROOM = 22; // pixels for the characters along the edges, where they are readable
  let edge = 0, cell = 0, shown = null;

  function draw() {
    if (canvas.clientWidth === 0) return;
    const { start, rows } = (shown = live.attention(Chosen.at, Chosen.head));
    const style = getComputedStyle(canvas); // a live view: `color` is what was just asked for, for light or dark
    const colour = (name) => {
      canvas.style.color = `var(${name})`;
      return style.color;
    };
    const size = canvas.clientWidth, sharp = devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(size * sharp);
    const to = canvas.getContext("2d");
    to.scale(sharp, sharp);
    edge = (size - ROOM) / rows.length >= 9 ? ROOM : 0;
    cell = (size - edge) / Math.max(1, rows.length);
    const at = Chosen.at - 1 - start;
    said.textContent = inWordsOfAttention(rows[at], start);

    to.fillStyle = colour("--for-head");
    rows.forEach((row, i) => {
      row.forEach((weight, j) => {
        to.globalAlpha = 0.05 + 0.95 * weight;
        const gap = cell > 6 ? 1 : 0;
        to.fillRect(edge + j * cell, edge + i * cell, cell - gap, cell - gap);
      });
    });
    to.globalAlpha = 1;
    if (at >= 0 && at < rows.length) {
      to.strokeStyle = colour("--ink");
      to.lineWidth = 1.5;
      to.strokeRect(edge - 0.5, edge + at * cell - 1, (at + 1) * cell + 0.5, cell + 1);
    }
    if (edge === 0) return;
    to.font = `${Math.min(14, cell * 0.95)}px ${style.fontFamily}`;
    to.textAlign = "center";
    to.textBaseline = "middle";
    rows.forEach((_, i) => {
      to.fillStyle = colour(i === at ? "--ink" : "--quiet");
      const middle = edge + (i + 0.5) * cell;
      const character = visible(Chosen.text[start + i]);
      to.fillText(character, edge / 2, middle);
      to.fillText(character, middle, edge / 2);
    });
  }

  Chosen.follow(["at", "head", "off", "text"], draw);
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);

  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top - edge) / cell);
    if (row >= 0 && row < shown.rows.length && !Chosen.isPinned) Chosen.change({ at: shown.start + row + 1 });
  });
}

// The three characters that are looked at most, and how far back they are.
function inWordsOfAttention(weights, start) {
  if (!weights) return "";
  const read = weights.length - 1;
  const order = Array.from(weights.keys()).sort((one, other) => weights[other] - weights[one]);
  const places = order.slice(0, 3).filter((i) => weights[i] >= 0.01).map((i) => {
    const where = i === read ? "itself" : `${visible(Chosen.text[start + i])}, ${read - i} before`;
    return `${percent(weights[i])} at ${where}`;
  });
  return `After ${visible(Chosen.text[start + read])} it looks: ${places.join("; ")}.`;
}
