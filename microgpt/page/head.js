"use strict";

// The chosen head: what it is, what it looks at on the average, and what it writes at the chosen character.
const WRITTEN_ABOUT = 100; // of the likeliest characters, where there are more
const SHOWN_EACH_WAY = 5;

function showHead(xray, live) {
  Chosen.follow(["head", "off", "text"], () => {
    const head = xray.heads[Chosen.head];
    const isOff = Chosen.off.has(Chosen.head);
    const first = head.first_column + 1, last = head.first_column + head.width;
    const columns = first === last ? `column ${first}` : `columns ${first} to ${last}`;
    byId("head-name").textContent = `Layer ${head.layer + 1}, head ${head.head + 1}`;
    byId("head-is").textContent =
      `It is ${head.width} wide (${columns} of its layer)${isOfText(xray) ? " and " : ". On the measured text it is "}` +
      `${worth(head.ablation.mean)}.`;
    byId("looking").textContent = headName(head);
    byId("switch").textContent = `Switch head ${headName(head)} ${isOff ? "on" : "off"}`;
    showPatterns(byId("patterns"), head, xray.uniform);
  });
  if (live) Chosen.follow(["head", "off", "at", "text"], () => showWritten(live, xray.architecture.vocabulary));
  byId("switch").addEventListener("click", () => switchHead(Chosen.head));
  byId("all-on").addEventListener("click", () => Chosen.change({ off: new Set() }));
}

function worth({ bits, low, high }) {
  const isKnown = Number.isFinite(low); // of a short text it is not
  const interval = isKnown ? ` (95% interval: ${number(low, 4)} to ${number(high, 4)})` : "";
  if (isKnown && low <= 0 && high >= 0)
    return `worth ${number(bits, 4)} bits per character${interval}, which cannot be told from nothing`;
  if (number(Math.abs(bits), 4) === number(0, 4)) return "worth nothing measurable";
  return bits > 0
    ? `worth ${number(bits, 4)} bits per character${interval}`
    : `in the way: with it, a character takes ${number(-bits, 4)} bits more`;
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

// The characters that the head makes likelier and less likely, those with the largest effect first.
function showWritten(live, vocabulary) {
  const { at, text, head } = Chosen;
  const all = live.writes(at, head, WRITTEN_ABOUT).sort((one, other) => other.value - one.value);
  const likelier = all.slice(0, SHOWN_EACH_WAY).filter(({ value }) => value > 0);
  const less = all.slice(-SHOWN_EACH_WAY).filter(({ value }) => value < 0);
  const some = Array.from(vocabulary).length > WRITTEN_ABOUT ? `, the ${WRITTEN_ABOUT} likeliest,` : "";
  byId("written").hidden = at === 0; // nothing is predicted there
  if (at === 0) return;
  byId("writes-is").textContent =
    `The largest of what it adds to the logits of the characters${some} that could follow ${visible(text[at - 1])}.`;
  const largest = Math.max(...all.map(({ value }) => Math.abs(value)), 1e-9);
  byId("writes").replaceChildren(
    ...[...likelier, ...less].flatMap(({ character, value }) => [
      element("span", { class: "name" }, visible(character)),
      element("span", {
        class: value < 0 ? "bar hinders" : "bar", "--share": (Math.abs(value) / largest).toFixed(4),
      }),
      element("span", { class: "number" }, signed(value, 2)),
    ]),
  );
}
