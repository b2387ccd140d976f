"use strict";

// Where the chosen head looks, as a triangle: each row is a character that is read, each column one that is
// looked at, and what is darker has more weight.
function showAttention(live, canvas, said) {
  const EDGE = 22; // pixels for the characters along the edges
  const READABLE = 9; // pixels of a row that has room for its character
  let cell = 0, shown = null;
  let pointed = null; // the row and the column under the pointer
  const squares = { canvas: document.createElement("canvas") }; // kept, since a long window has a million of them

  function drawSquares(rows, width, colour) {
    if (squares.rows === rows && squares.canvas.width === width && squares.colour === colour) return;
    Object.assign(squares, { rows, colour });
    squares.canvas.width = squares.canvas.height = width;
    const to = squares.canvas.getContext("2d"), side = width / Math.max(1, rows.length);
    const gap = side > 6 ? 1 : 0;
    to.fillStyle = colour;
    rows.forEach((row, i) => {
      row.forEach((weight, j) => {
        to.globalAlpha = 0.05 + 0.95 * weight;
        to.fillRect(j * side, i * side, side - gap, side - gap);
      });
    });
  }

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
    cell = (size - EDGE) / Math.max(1, rows.length);
    const at = Chosen.at - 1 - start;
    said.textContent = inWordsOfAttention(rows[at], start);

    drawSquares(rows, Math.round((size - EDGE) * sharp), colour("--for-head"));
    to.drawImage(squares.canvas, EDGE, EDGE, size - EDGE, size - EDGE);
    to.strokeStyle = colour("--ink");
    to.lineWidth = 1.5;
    if (at >= 0 && at < rows.length) to.strokeRect(EDGE - 0.5, EDGE + at * cell - 1, (at + 1) * cell + 0.5, cell + 1);
    const column = pointed && pointed.column <= pointed.row ? pointed.column : null;
    if (column !== null) to.strokeRect(EDGE + column * cell - 1, EDGE - 0.5, cell + 1, (pointed.row + 1) * cell + 0.5);
    to.textAlign = "center";
    to.textBaseline = "middle";
    const write = (i, isMarked, x, y) => {
      if (cell < READABLE && !isMarked) return;
      to.fillStyle = colour(isMarked ? "--ink" : "--quiet");
      to.font = `${isMarked ? "bold " : ""}${isMarked ? 14 : Math.min(14, cell * 0.95)}px ${style.fontFamily}`;
      to.fillText(visible(Chosen.text[start + i]), x, y);
    };
    rows.forEach((_, i) => {
      const middle = EDGE + (i + 0.5) * cell;
      write(i, i === at || i === pointed?.row, EDGE / 2, middle);
      write(i, i === column, middle, EDGE / 2);
    });
  }

  Chosen.follow(["at", "head", "off", "text"], draw);
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);

  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top - EDGE) / cell);
    const column = Math.floor((event.clientX - box.left - EDGE) / cell);
    if (row < 0 || row >= shown.rows.length) return;
    pointed = column < 0 ? null : { row, column };
    if (!Chosen.isPinned) Chosen.change({ at: shown.start + row + 1 });
    draw();
  });
  canvas.addEventListener("pointerleave", () => {
    pointed = null;
    draw();
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
