"use strict";

// The chosen head: what it is, and what it looks at on the average.

function showHead(xray, live) {
  Chosen.follow(["head", "off"], () => {
    const head = xray.heads[Chosen.head];
    const isOff = Chosen.off.has(Chosen.head);
    const first = head.first_column, last = first + head.width - 1;
    const columns = first === last ? `column ${first}` : `columns ${first} to ${last}`;
    byId("head-name").textContent = `Layer ${head.layer + 1}, head ${head.head + 1}`;
    byId("head-is").textContent =
      `It is ${head.width} wide (${columns} of its layer) and ${worth(head.ablation.mean)}.`;
    byId("switch").textContent = `Switch head ${headName(head)} ${isOff ? "on" : "off"}`;
    showPatterns(byId("patterns"), head, xray.uniform);
  });
  byId("switch").addEventListener("click", () => switchHead(Chosen.head));
  byId("all-on").addEventListener("click", () => Chosen.change({ off: new Set() }));
}

function worth({ bits, low, high }) {
  const interval = `between ${number(low, 4)} and ${number(high, 4)}`;
  if (low <= 0 && high >= 0)
    return `worth ${number(bits, 4)} bits per character, ${interval}: this cannot be told from nothing`;
  return bits > 0
    ? `worth ${number(bits, 4)} bits per character, ${interval}`
    : `in the way: without it, the loss is lower by ${number(-bits, 4)} bits per character`;
}

// Mean weights of attention, beside those of a head that looks at everything equally. The offsets from 2 on stand
// after the previous character, which has offset 1.
function showPatterns(place, head, uniform) {
  const rows = ["previous", "first", "same", "induction", "newline", "word_start"].map((key) => {
    const { name, says, value } = MEASURES.find((measure) => measure.key === key);
    return { name, says, value: value(head), even: value(uniform) };
  });
  const offsets = head.patterns.offsets.slice(1).map((value, i) => ({
    name: `${i + 2} before`,
    says: `The part that goes to the character ${i + 2} places before.`,
    value,
    even: uniform.patterns.offsets[i + 1],
  }));
  rows.splice(1, 0, ...offsets);
  place.replaceChildren(
    ...rows.filter(({ value }) => Number.isFinite(value)).flatMap(({ name, says, value, even }) => [
      element("span", { class: "name words", title: says }, name),
      element("span", {
        class: Number.isFinite(even) ? "bar beside" : "bar", "--share": value.toFixed(4), "--even": even ?? 0,
      }),
      element("span", { class: "number" }, percent(value)),
    ]),
  );
}
