"use strict";
/* The chosen head: what it is, and what it looks at on the average. */

function showHead(xray, live) {
  Chosen.follow(["head", "off"], () => {
    const head = xray.heads[Chosen.head];
    const isOff = Chosen.off.has(Chosen.head);
    const columns = head.width === 1 ? `column ${head.first_column}` : `columns ${head.first_column} to ${head.first_column + head.width - 1}`;
    byId("head-name").textContent = `Layer ${head.layer + 1}, head ${head.head + 1}`;
    byId("head-is").textContent = `It is ${head.width} wide (${columns} of its layer) and ${worth(head.ablation.mean)}.`;
    byId("switch").textContent = `Switch head ${headName(head)} ${isOff ? "on" : "off"}`;
    showPatterns(byId("patterns"), head);
  });
  byId("switch").addEventListener("click", () => switchHead(Chosen.head));
  byId("all-on").addEventListener("click", () => Chosen.change({ off: new Set() }));
}

function worth({ bits, low, high }) {
  const interval = `between ${number(low, 4)} and ${number(high, 4)}`;
  if (low <= 0 && high >= 0) return `what it is worth cannot be told from 0: ${number(bits, 4)} bits per character, ${interval}`;
  return bits > 0
    ? `worth ${number(bits, 4)} bits per character, ${interval}`
    : `in the way: without it, the loss is lower by ${number(-bits, 4)} bits per character`;
}

/* Mean weights of attention; the offsets from 2 on stand between, as the previous character has offset 1. */
function showPatterns(place, head) {
  const of = (key) => MEASURES.find((measure) => measure.key === key);
  const rows = ["previous", "first", "same", "induction", "newline", "word_start"].map((key) => ({
    name: of(key).name, says: of(key).says, value: of(key).value(head),
  }));
  const offsets = head.patterns.offsets.slice(1).map((value, i) => ({
    name: `${i + 2} before`, says: `The part that goes to the character ${i + 2} places before.`, value,
  }));
  rows.splice(1, 0, ...offsets);
  place.replaceChildren(
    ...rows.filter(({ value }) => Number.isFinite(value)).flatMap(({ name, says, value }) => [
      element("span", { class: "name words", title: says }, name),
      element("span", { class: "bar", "--share": Math.max(0, Math.min(1, value)).toFixed(4) }),
      element("span", { class: "number" }, percent(value)),
    ]),
  );
}
