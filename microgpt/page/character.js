"use strict";

// One character of the text: how surprising it was, what was expected instead, and who contributed to it.
const LIKELIEST = 5;
const PARTS_SHOWN = 24;

function showCharacter(xray, live) {
  const vocabulary = Array.from(xray.architecture.vocabulary);

  Chosen.follow(["at", "text", "bits", "off", "head"], () => {
    const { text, at } = Chosen;
    const context = byId("context");
    context.replaceChildren(
      element("span", { class: "before" }, text.slice(Math.max(0, at - 24), at).map(visible).join("")),
      element("b", {}, at < text.length ? visible(text[at]) : "?"),
    );
    const found = live ? live.look(at) : null;
    byId("surprise").textContent = inWords(text, at, found, vocabulary);
    byId("expected").hidden = !found;
    showLikeliest(byId("likeliest"), found, vocabulary, text[at]);
    const parts = contributions(xray, found, at);
    byId("contributed").hidden = parts.length === 0;
    showContributions(byId("contributions"), parts, xray.heads);
  });
}

function inWords(text, at, found, vocabulary) {
  if (text.length === 0) return "There is no text.";
  if (at === 0) return "Nothing stands before the first character, so it is not predicted.";
  if (at === text.length) return "What comes next, after the whole text?";
  const bits = found ? -Math.log2(found.probabilities[vocabulary.indexOf(text[at])]) : Chosen.bits[at];
  return `${number(bits, 2)} bits: the model gave it a probability of ${percent(2 ** -bits)}.`;
}

function showLikeliest(place, found, vocabulary, actual) {
  place.replaceChildren();
  if (!found) return;
  const order = Array.from(found.probabilities.keys());
  order.sort((one, other) => found.probabilities[other] - found.probabilities[one]);
  for (const id of order.slice(0, LIKELIEST)) {
    const share = found.probabilities[id];
    place.append(
      element("span", { class: "name" }, visible(vocabulary[id])),
      element("span", { class: vocabulary[id] === actual ? "bar came" : "bar", "--share": share.toFixed(4) }),
      element("span", { class: "number" }, percent(share)),
    );
  }
}

// The parts of the logit of the character that came next, less the mean of all logits.
function contributions({ attribution }, found, at) {
  const values = found ? attribution.parts.map((name) => found.parts.get(name)) : attribution.logits[at - 1];
  if (values?.[0] === undefined) return [];
  return attribution.parts.map((name, part) => ({ name, value: values[part] }));
}

function showContributions(place, parts, heads) {
  // the bias, which says no more than how common a character is, would leave no room for the others
  const sizes = parts.filter(({ name }) => name !== "bias").map(({ value }) => Math.abs(value));
  const largest = Math.max(...sizes, 1e-9);
  place.replaceChildren(
    ...atMost(parts, PARTS_SHOWN, headName(heads[Chosen.head])).flatMap(({ name, value }) => {
      const head = heads.findIndex((one) => headName(one) === name);
      const share = Math.abs(value) / largest;
      const words = head < 0 ? name : `head ${name}`;
      const kind = `bar${value < 0 ? " hinders" : ""}${share > 1 ? " beyond" : ""}`;
      return [
        element("span", { class: `name words${head === Chosen.head ? " chosen-part" : ""}` }, words),
        element("span", { class: kind, "--share": Math.min(1, share).toFixed(4) }),
        element("span", { class: "number" }, signed(value, 2)),
      ];
    }),
  );
}

// All parts in the order of the network; of very many the largest, the one that is always kept, and what the others
// sum to.
function atMost(parts, most, kept) {
  if (parts.length <= most) return parts;
  const size = ({ name, value }) => (name === kept ? Infinity : Math.abs(value));
  const order = parts.slice().sort((one, other) => size(other) - size(one));
  const few = new Set(order.slice(0, most - 1));
  const others = order.slice(most - 1);
  const sum = others.reduce((total, { value }) => total + value, 0);
  return [...parts.filter((part) => few.has(part)), { name: `${others.length} others`, value: sum }];
}
