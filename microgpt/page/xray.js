"use strict";

// The page of an X-ray.
//
// xray   what `microgpt xray --json` prints
// data   the model, if the page has it: then all that can be computed of any text is computed here
function showXray(xray, data) {
  Chosen.change({
    text: Array.from(xray.text),
    bits: [null, ...xray.bits],
    isRead: true,
    at: Math.min(xray.bits.length, xray.architecture.T),
    isPinned: false,
    head: worthiest(xray.heads),
    off: new Set(),
    measure: "ablation",
    weighed: [],
  });
  const live = data === null ? null : liveModel(Microgpt.load(data), xray);
  document.body.classList.toggle("without-model", !live);
  showSummary(xray, live);
  byId("said").append(...Data.read("notices").map((notice) => element("p", { class: "notice" }, notice)));
  showHeads(xray, live, byId("heads"));
  showText(live, byId("text"));
  showCharacter(xray, live);
  showHead(xray, live);
  if (live) {
    showAttention(live, byId("attention"), byId("looks"));
    showTyping(live, xray.text);
  }
  showTables(xray);
  if (Number.isFinite(xray.gini)) showLorenz(xray.lorenz, xray.heads, byId("lorenz"));
  showTogether(xray);
  if (xray.film) showFilm(xray);
  else for (const id of ["film", "to-film"]) byId(id).remove();
}

function worthiest(heads) {
  const bits = heads.map((head) => head.ablation.mean.bits);
  return bits.indexOf(Math.max(...bits));
}

// The sentences and large numbers on top.
function showSummary(xray, live) {
  const { run, architecture, heads, total } = xray;
  byId("run").textContent = run.name ?? "a model";
  const layers = architecture.L === 1 ? "one layer" : `${architecture.L} layers`;
  const length = thousands(xray.bits.length + 1);
  const trained = run.step ? `, after ${thousands(run.step)} training steps` : "";
  byId("about").textContent =
    `What ${heads.length} attention heads in ${layers} do, seen on ${length} characters of ${xray.source}${trained}.`;
  byId("in-short").textContent = inShort(heads);
  byId("without").textContent = number(total.without_attention, 3);
  byId("gain").textContent = number(total.gain, 3);
  byId("gini").textContent = Number.isFinite(xray.gini)
    ? `The Gini coefficient of bits over columns is ${number(xray.gini, 2)}.`
    : "No head is worth anything here, so that there is nothing to share out.";
  byId("text-is").textContent =
    "The stronger the orange behind a character, the less the model expected it. Point at one to see " +
    `${live ? "what was expected instead" : "what it cost"}; a click holds it, and arrow keys move on.`;

  Chosen.follow(["bits", "isRead", "off"], () => {
    const known = Chosen.bits.slice(1).filter((bits) => bits !== null);
    const mean = known.reduce((sum, bits) => sum + bits, 0) / known.length;
    byId("loss").setAttribute("aria-busy", !Chosen.isRead);
    byId("loss").textContent = Chosen.isRead ? number(mean, 3) : "…";
    byId("change").textContent = changeInWords(Chosen, mean, xray);
  });
  Chosen.follow(["text"], () => document.body.classList.toggle("another-text", !isOfText(xray)));

  const select = byId("measure");
  for (const { key, name } of MEASURES.filter((measure) => isMeasured(measure, heads)))
    select.append(element("option", { value: key }, name));
  select.addEventListener("change", () => Chosen.change({ measure: select.value }));
}

// Which head is worth most, and which cannot be told from one that is worth nothing.
const MOST_NAMED = 5;

function inShort(heads) {
  const best = heads[worthiest(heads)];
  const most = `Head ${headName(best)} is worth most, ${number(best.ablation.mean.bits, 3)} bits per character`;
  const nothing = heads.filter(({ ablation: { mean } }) => mean.low <= 0 && mean.high >= 0 && mean.low !== null);
  const names = nothing.map(headName);
  if (names.length === 0) return `${most}.`;
  if (names.length === 1) return `${most}; head ${names[0]} is worth nothing measurable.`;
  const which = names.length > MOST_NAMED
    ? `${names.length} of the ${heads.length} heads`
    : `heads ${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  return `${most}; ${which} are worth nothing measurable.`;
}

// Whether the text is the one that was measured.
const isOfText = (xray) => Chosen.text.length === xray.bits.length + 1 && Chosen.text.join("") === xray.text;

// The loss without the heads that are off; the difference for the measured text, whose loss with all is known.
function changeInWords({ off, isRead }, mean, xray) {
  if (off.size === 0) return "All heads are on.";
  const [first] = off;
  const heads = off.size === 1 ? `Head ${headName(xray.heads[first])} writes` : `${off.size} heads write`;
  if (!isRead) return `${heads} nothing now…`;
  const change = mean - xray.bits.reduce((sum, bits) => sum + bits, 0) / xray.bits.length;
  const difference = isOfText(xray) ? `, ${number(Math.abs(change), 3)} ${change < 0 ? "less" : "more"}` : "";
  const where = difference && off.size === 1 ? " (in the table: bits, by zero)" : "";
  return `${heads} nothing now: ${number(mean, 3)} bits per character${difference}${where}.`;
}

function showTables(xray) {
  const { heads } = xray;
  const names = [
    { name: "head", value: headName },
    { name: "width", digits: 0, value: (head) => head.width, says: "Its number of columns." },
  ];
  for (const group of ["worth", "looks", "rank"]) {
    const columns = MEASURES.filter((measure) => measure.group === group && isMeasured(measure, heads));
    const place = byId(`table-${group}`);
    const mark = showTable(place, heads, [...names, ...columns], {
      choose: (head) => Chosen.change({ head: heads.indexOf(head) }),
      isChosen: (head) => heads.indexOf(head) === Chosen.head,
    });
    Chosen.follow(["head"], mark);
    place.append(explained(columns));
  }
}

// Each measure in one sentence.
function explained(columns) {
  const entry = ({ name, says }) => element("div", {}, element("dt", {}, name), element("dd", {}, says));
  return element("dl", { class: "explained small" }, ...columns.map(entry));
}

// What is about two heads.
const READS = { q: "queries", k: "keys", v: "values" };
const PAIRS = 20;

function showTogether({ heads, interactions, composition }) {
  if (interactions) {
    showInteractions(interactions, heads, byId("interactions"));
    const pairs = heads.flatMap((_, one) => heads.slice(one + 1).map((_, i) => ({ one, other: one + 1 + i })));
    const bits = ({ one, other }) => interactions[one][other];
    showTable(byId("table-interactions"), strongest(pairs, (pair) => Math.abs(bits(pair))), [
      { name: "head", value: ({ one }) => headName(heads[one]) },
      { name: "and head", value: ({ other }) => headName(heads[other]) },
      { name: "bits together", digits: 4, value: bits },
    ]);
  } else {
    byId("together").remove();
  }
  if (composition.length > 0) {
    showTable(byId("table-composition"), strongest(composition, ({ excess }) => excess), [
      { name: "head", value: ({ to }) => headName(heads[to]) },
      { name: "reads by its", value: ({ kind }) => READS[kind] },
      { name: "from head", value: ({ from }) => headName(heads[from]) },
      { name: "excess", digits: 3, value: ({ excess }) => excess },
      { name: "score", digits: 3, value: ({ score }) => score },
      { name: "baseline", digits: 3, value: ({ baseline }) => baseline },
      { name: "its deviation", digits: 3, value: ({ deviation }) => deviation },
    ]);
  } else {
    byId("composition").remove();
  }
}

const strongest = (pairs, size) => pairs.slice().sort((one, other) => size(other) - size(one)).slice(0, PAIRS);

showXray(Data.read("xray"), Data.read("model"));
document.documentElement.dataset.ready = Math.round(performance.now()); // milliseconds
