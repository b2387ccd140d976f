"use strict";

// The film: how the heads came to be what they are, from the weights that training has kept on its way.

// Where a head of the film has what `MEASURES` describes.
const FILMED = {
  ablation: (head) => head.ablation,
  gradient: (head) => head.gradient_importance,
  previous: (head) => head.patterns.previous,
  first: (head) => head.patterns.first,
  same: (head) => head.patterns.same,
  induction: (head) => head.patterns.induction,
  newline: (head) => head.patterns.newline,
  word_start: (head) => head.patterns.word_start,
  entropy: (head) => head.entropy,
  reach: (head) => head.reach,
};
const PICTURE_MILLISECONDS = 120; // of one while the film runs

// Two more choices: `picture`, the number of the one that is shown, and `filmed`, the key of the measure.
function showFilm({ heads, film }) {
  const { steps } = film;
  const last = steps.length - 1;
  const measures = MEASURES.filter(({ key }) => FILMED[key] && film.heads.some((head) => isFilmed(FILMED[key](head))));
  const values = () => film.heads.map(FILMED[Chosen.filmed]);
  Chosen.change({ picture: last, filmed: measures[0].key });

  const slider = byId("picture");
  slider.max = last;
  slider.addEventListener("input", () => show(Number(slider.value)));
  const show = (picture) => {
    stop();
    Chosen.change({ picture });
  };

  const select = byId("filmed");
  for (const { key, name } of measures) select.append(element("option", { value: key }, name));
  select.addEventListener("change", () => Chosen.change({ filmed: select.value }));

  let running = null;
  const run = byId("run-film");
  const stop = () => {
    clearInterval(running);
    running = null;
    run.textContent = "Run the film";
  };
  run.addEventListener("click", () => {
    if (running !== null) return stop();
    if (Chosen.picture === last) Chosen.change({ picture: 0 });
    run.textContent = "Stop";
    running = setInterval(() => {
      Chosen.change({ picture: Chosen.picture + 1 });
      if (Chosen.picture === last) stop();
    }, PICTURE_MILLISECONDS);
  });
  stop();

  const boxes = heads.map((head, index) => {
    const box = headBox(head);
    box.addEventListener("click", () => Chosen.change({ head: index }));
    return box;
  });
  inLayers(heads, boxes, byId("film-heads"));
  const losses = [
    { name: "with", values: film.bits, isChosen: true, isNamed: true },
    { name: "without", values: film.without_attention, isNamed: true },
  ];
  let markLoss, markHeads;
  const drawLoss = () => {
    markLoss = showCurves(byId("film-loss"), "bits per character, with and without attention", steps, losses, 2, show);
  };
  const drawHeads = () => {
    const { digits, name, says } = measures.find(({ key }) => key === Chosen.filmed);
    const lines = values().map((line, index) => ({
      name: headName(heads[index]), values: line, isChosen: index === Chosen.head, isNamed: index === Chosen.head,
    }));
    markHeads = showCurves(byId("film-curves"), name, steps, lines, Math.min(digits, 3), show);
    byId("filmed-says").textContent = says;
  };
  drawLoss();
  Chosen.follow(["head", "filmed"], drawHeads);
  addEventListener("resize", () => {
    drawLoss();
    drawHeads();
    markLoss(Chosen.picture);
    markHeads(Chosen.picture);
  });
  Chosen.follow(["head", "filmed", "picture"], () => {
    const { picture } = Chosen;
    const measure = measures.find(({ key }) => key === Chosen.filmed);
    // one scale for the whole film, so that colours can be compared
    const all = values().flat();
    const largest = Math.max(...all.map((value) => Math.abs(value ?? 0))) || 1;
    const digits = Math.min(measure.digits, 3);
    showScale(byId("film-scale"), all, largest, digits);
    values().forEach((line, index) => {
      const box = boxes[index];
      showValue(box, line[picture], largest, digits);
      box.classList.toggle("chosen", index === Chosen.head);
      box.setAttribute("aria-pressed", index === Chosen.head);
      box.title = `${headInWords(heads[index])}: ${measure.name} ${number(line[picture], measure.digits)}`;
    });
    slider.value = picture;
    slider.setAttribute("aria-valuetext", `${thousands(steps[picture])} training steps`);
    const chosen = number(values()[Chosen.head][picture], measure.digits);
    byId("after").textContent =
      `After ${thousands(steps[picture])} of ${thousands(steps[last])} training steps: ` +
      `${number(film.bits[picture], 3)} bits per character; ${measure.name} of head ` +
      `${headName(heads[Chosen.head])}: ${chosen}.`;
    markLoss(picture);
    markHeads(picture);
  });
}

const isFilmed = (line) => line.some((value) => value !== null);

// Curves over the training steps, which stand at their square roots, as they do on the slider. Returns a function
// that marks a picture; show(picture) is called for the one that is pointed at.
function showCurves(place, title, steps, lines, digits, show) {
  const left = 56, right = 64, top = 32, below = 48; // the names of lines stand at their right
  const size = { width: Math.max(place.clientWidth, 300) - left - right, height: 260 };
  const last = steps[steps.length - 1];
  const known = lines.flatMap(({ values }) => values).filter((value) => value !== null);
  const lowest = Math.min(...known), high = Math.max(...known, lowest + 1e-9);
  const low = lowest > (high - lowest) / 2 ? lowest : Math.min(0, lowest);
  const span = high - low;
  const levels = [0, low, high].filter((value, i) => i > 0 || (value > low + span / 12 && value < high - span / 12));
  const x = (step) => left + Math.sqrt(step / last) * size.width;
  const y = (value) => top + ((high - value) / span) * size.height;
  const text = (words, attributes) => drawn("text", attributes, words);
  const ticks = [...new Set([0, 1 / 16, 1 / 4, 9 / 16, 1].map((share) => Math.round(share * last)))];
  const mark = drawn("line", { class: "mark", y1: top, y2: top + size.height });
  const dots = lines.map(({ isChosen }) => drawn("circle", { class: isChosen ? "chosen" : "", r: isChosen ? 5 : 2.5 }));
  const order = lines.slice().sort((one, other) => Number(one.isChosen ?? false) - Number(other.isChosen ?? false));
  const picture = drawn(
    "svg",
    {
      viewBox: `0 0 ${left + size.width + right} ${top + size.height + below}`,
      class: "curves",
      role: "img",
      "aria-label": `${title} over the training steps`,
    },
    ...levels.flatMap((value) => [
      drawn("line", { class: "even", x1: left, x2: left + size.width, y1: y(value), y2: y(value) }),
      text(number(value, digits), { x: left - 8, y: y(value) + 4, "text-anchor": "end" }),
    ]),
    ...ticks.map((step) => text(thousands(step), { x: x(step), y: top + size.height + 20, "text-anchor": "middle" })),
    text("training steps (square-root scale)", {
      x: left + size.width, y: top + size.height + 40, "text-anchor": "end",
    }),
    text(title, { x: left, y: 14 }),
    mark,
    ...order.map(({ name, values, isChosen }) =>
      drawn(
        "polyline",
        { class: isChosen ? "chosen" : "", points: pointsOf(values, steps, x, y) },
        drawn("title", {}, name),
      ),
    ),
    ...dots,
    ...apart(lines.filter(({ isNamed }) => isNamed).map(({ name, values }) => ({ name, at: y(values.at(-1) ?? low) })))
      .map(({ name, at }) => text(name, { x: x(last) + 10, y: at + 4, class: "line-name" })),
  );
  const pointed = (event) => {
    const { left: begin, width } = picture.getBoundingClientRect();
    const at = ((event.clientX - begin) / width) * picture.viewBox.baseVal.width;
    const distance = (step) => Math.abs(x(step) - at);
    show(steps.reduce((nearest, step, i) => (distance(step) < distance(steps[nearest]) ? i : nearest), 0));
  };
  picture.addEventListener("pointerdown", pointed);
  picture.addEventListener("pointermove", (event) => event.buttons && pointed(event));
  place.replaceChildren(picture);
  return (at) => {
    mark.setAttribute("x1", x(steps[at]));
    mark.setAttribute("x2", x(steps[at]));
    lines.forEach(({ values }, index) => {
      dots[index].setAttribute("visibility", values[at] === null ? "hidden" : "visible");
      if (values[at] === null) return;
      dots[index].setAttribute("cx", x(steps[at]));
      dots[index].setAttribute("cy", y(values[at]));
    });
  };
}

// Names beside each other's lines, with room for each: the upper ones make way.
function apart(names) {
  const ROOM = 14; // pixels
  const order = names.slice().sort((one, other) => other.at - one.at);
  order.forEach((one, i) => i > 0 && (one.at = Math.min(one.at, order[i - 1].at - ROOM)));
  return order;
}

const pointsOf = (values, steps, x, y) =>
  values
    .map((value, i) => (value === null ? "" : `${x(steps[i]).toFixed(1)},${y(value).toFixed(1)}`))
    .join(" ");
