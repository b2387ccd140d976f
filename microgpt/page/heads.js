"use strict";

// The heads as boxes that are as wide as they are: their areas are as their parameters, their colours as what is
// measured. Layer stands above layer, as the text goes through them from below.
function showHeads(xray, live, place) {
  const boxes = xray.heads.map((head, index) => headBox(head, { "data-head": index }));
  inLayers(xray.heads, boxes, place);

  Chosen.follow(["head", "off", "measure", "weighed"], () => {
    const measure = MEASURES.find(({ key }) => key === Chosen.measure);
    const values = xray.heads.map(measure.value);
    const largest = Math.max(...values.map((value) => Math.abs(value || 0))) || 1;
    const digits = Math.min(measure.digits, 3);
    boxes.forEach((box, index) => {
      const head = xray.heads[index];
      const isOff = Chosen.off.has(index);
      showValue(box, values[index], largest, digits);
      box.classList.toggle("off", isOff);
      box.classList.toggle("chosen", index === Chosen.head);
      box.setAttribute("aria-pressed", index === Chosen.head);
      box.tabIndex = index === Chosen.head ? 0 : -1;
      const value = number(values[index], measure.digits);
      const state = isOff ? ", switched off" : "";
      box.title = `${headInWords(head)}, width ${head.width}: ${measure.name} ${value}${state}`;
      box.setAttribute("aria-label", box.title);
    });
    showScale(byId("scale"), values, largest, digits);
    byId("measure-says").textContent = measure.says;
  });

  // A finger that moves over narrow boxes chooses what is under it.
  const choose = (event) => {
    const box = document.elementFromPoint(event.clientX, event.clientY)?.closest(".head");
    if (box && place.contains(box)) Chosen.change({ head: Number(box.dataset.head) });
  };
  place.addEventListener("click", (event) => {
    const box = event.target.closest(".head");
    if (box) Chosen.change({ head: Number(box.dataset.head) });
  });
  place.addEventListener("pointermove", (event) => {
    if (event.buttons && event.target.closest(".heads")) choose(event);
  });
  place.addEventListener("keydown", (event) => {
    const next = nextHead(xray.heads, Chosen.head, event.key);
    if (next !== undefined) {
      event.preventDefault();
      Chosen.change({ head: next });
      boxes[next].focus();
    } else if (event.key === "x" && live) {
      switchHead(Chosen.head);
    }
  });
}

// The boxes of heads in their layers, of which the first is below.
function inLayers(heads, boxes, place) {
  const layers = Math.max(...heads.map(({ layer }) => layer)) + 1;
  for (let layer = 0; layer < layers; layer++) {
    const ofLayer = boxes.filter((_, index) => heads[index].layer === layer);
    const name = element("span", { class: "name" }, `layer ${layer + 1}`);
    place.append(element("div", { class: "layer" }, name, element("div", { class: "heads" }, ...ofLayer)));
  }
}

// Where an arrow key leads from a head: within its layer, or to that of the other layer whose middle is nearest.
function nextHead(heads, from, key) {
  const { layer, head } = heads[from];
  const find = (test) => {
    const found = heads.findIndex(test);
    return found < 0 ? from : found;
  };
  if (key === "ArrowLeft") return find((other) => other.layer === layer && other.head === head - 1);
  if (key === "ArrowRight") return find((other) => other.layer === layer && other.head === head + 1);
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
  const middle = (one) => one.first_column + one.width / 2;
  const there = heads.filter((other) => other.layer === layer + (key === "ArrowUp" ? 1 : -1));
  const distance = (other) => Math.abs(middle(other) - middle(heads[from]));
  there.sort((one, other) => distance(one) - distance(other));
  return there.length ? heads.indexOf(there[0]) : from;
}

function switchHead(index) {
  const off = new Set(Chosen.off);
  if (!off.delete(index)) off.add(index);
  Chosen.change({ off });
}
