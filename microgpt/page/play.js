"use strict";

// The page of `microgpt export page`: a text that is read as one types, what comes next, writing on, and heads to
// switch off.
(() => {
  const SHOWN = 10; // of the likeliest characters
  const WEIGHED = 1000; // characters on which heads are weighed
  const SEEN = 24; // characters of the text before the cursor
  const FIRST = 280; // characters that the model writes before anybody types
  const about = Data.read("about"), model = Microgpt.load(Data.read("model"));
  const off = model.heads.map((widths) => widths.map(() => false));
  const field = byId("text"), editor = new Editor(field, byId("behind"));
  let text = "", characters = [], idAt = []; // idAt: how many of the characters before each are known
  let whole, cut, probe; // read with all heads, and with those that are not off; and up to the cursor
  let writing = null; // what is being written
  let written = null; // what was written last: where it begins
  let weighing = null; // the text without one head, while each is weighed

  // --- the text

  function read() {
    if (field.value !== text) forgetWorths();
    text = field.value;
    const { ids, unknown } = encoded();
    characters = Array.from(field.value);
    idAt = [0];
    for (const character of characters) idAt.push(idAt.at(-1) + idsOf(character));
    whole.read(ids);
    if (cut !== whole) cut.read(ids);
    showUnknown(unknown);
    look();
  }

  const encoded = () => model.encode(field.value.replaceAll("\n", model.lineEnd));
  const lineEndIds = model.encode(model.lineEnd).ids.length;
  const idsOf = (character) => (character === "\n" ? lineEndIds : Number(model.idOf.has(character)));

  function begin() {
    whole?.stop();
    cut?.stop();
    whole = new Reader(model.begin(), show);
    cut = off.flat().includes(true) ? new Reader(begun(), show) : whole;
    probe = begun();
    read();
  }

  const begun = () => model.begin({ off: off.map((layer) => layer.slice()) });

  function show() {
    const classes = characters.map((character, at) => {
      if (idAt[at + 1] === idAt[at]) return "unknown";
      const bits = cut.bits[idAt[at]];
      return idAt[at] > 0 && idAt[at] <= cut.done ? `s${Math.min(9, Math.floor(bits))}` : "";
    });
    editor.paint(field.value, classes);
    const { mean } = cut;
    byId("bits").textContent = number(mean, 2);
    byId("choices").textContent = number(2 ** mean, 1);
    byId("read").textContent = thousands(cut.ids.length);
    document.documentElement.dataset.reading = whole.isDone && cut.isDone ? "done" : "on";
    showLoss();
  }

  function showUnknown(unknown) {
    const names = unknown.slice(0, SHOWN).map(visible).join(", ");
    byId("unknown").hidden = unknown.length === 0;
    const more = unknown.length > SHOWN ? ` and ${thousands(unknown.length - SHOWN)} more` : "";
    const them = unknown.length === 1 ? "it" : "them";
    byId("unknown").textContent = `The model does not know ${names}${more}, and reads the text without ${them}.`;
  }

  // --- what comes next, at the cursor

  function look() {
    const before = Array.from(field.value.slice(0, field.selectionStart)).length;
    const ids = cut.ids.subarray(0, idAt[before]);
    const logits = probe.read(ids.length > 0 ? ids : [model.opening]);
    const probs = Microgpt.softmax(new Float64Array(model.V), logits);
    const likeliest = Array.from(probs.keys()).sort((one, other) => probs[other] - probs[one]).slice(0, SHOWN);
    const id = cut.ids[ids.length] ?? -1; // what came
    if (id >= 0 && !likeliest.includes(id)) likeliest.push(id);
    byId("context").textContent = characters.slice(Math.max(0, before - SEEN), before).map(visible).join("") + "▏";
    byId("next-title").textContent = id < 0 ? "What comes next" : "What it expected here";
    const rows = byId("next");
    while (rows.children.length < likeliest.length) rows.append(row());
    while (rows.children.length > likeliest.length) rows.lastChild.remove();
    likeliest.forEach((next, i) => {
      const button = rows.children[i].firstChild, [name, bar, share] = button.children;
      const shown = visible(model.vocabulary[next]);
      button.value = next;
      button.classList.toggle("came", next === id);
      button.title = next === id ? "This is what came." : "";
      name.textContent = shown;
      name.classList.toggle("words", shown.startsWith("U+"));
      bar.style.setProperty("--share", probs[next].toFixed(4));
      share.textContent = percent(probs[next]);
    });
  }

  function row() {
    const parts = ["name", "bar", "number"].map((name) => element("span", { class: name }));
    return element("li", {}, element("button", { type: "button" }, ...parts));
  }

  byId("next").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button === null) return;
    stop();
    field.setRangeText(model.vocabulary[Number(button.value)], field.selectionStart, field.selectionEnd, "end");
    read();
  });

  // --- writing on

  const settings = () => ({
    temperature: Number(byId("temperature").value),
    topK: Math.max(0, Math.floor(Number(byId("top-k").value))),
    topP: Number(byId("top-p").value),
    seed: Math.max(0, Math.floor(Number(byId("seed").value))),
  });

  // A function that gives one more character each time. At temperature 0 they are those of `microgpt generate`; else they
  // are drawn with random numbers of the page's own.
  function writer(prompt) {
    const pass = begun(), sampler = model.sampler(settings());
    let logits = pass.read(prompt.length > 0 ? prompt.slice(-model.T) : [model.opening]);
    return () => {
      const id = sampler.draw(logits);
      logits = pass.push(id);
      return model.vocabulary[id];
    };
  }

  function write(length = Math.max(1, Math.floor(Number(byId("length").value)))) {
    written = field.value.length;
    writing = { next: writer(encoded().ids), left: length, done: 0 };
    byId("write").textContent = "Stop";
    byId("again").hidden = true;
    frame();
  }

  // Slowly at first, so that one can read along, then faster; for those who want no motion as fast as it can be.
  function frame() {
    if (writing === null) return;
    const slow = !matchMedia("(prefers-reduced-motion: reduce)").matches, until = performance.now() + Reader.SLICE;
    const most = slow ? 2 + Math.floor(writing.done / 60) : Infinity;
    let piece = "", n = 0;
    for (; n < most && writing.left > 0 && performance.now() < until; n++, writing.left--) piece += writing.next();
    writing.done += n;
    append(model.lineEnd === "\r\n" ? piece.replaceAll("\r", "") : piece);
    if (writing.left === 0) stop();
    else requestAnimationFrame(frame);
  }

  function append(piece) {
    const paper = field.closest(".paper");
    field.value += piece;
    field.setSelectionRange(field.value.length, field.value.length);
    read();
    paper.scrollTop = paper.scrollHeight;
  }

  function stop() {
    if (writing === null) return;
    writing = null;
    byId("write").textContent = "Write on";
    byId("again").hidden = false;
    byId("example").hidden = true;
  }

  byId("write").addEventListener("click", () => (writing === null ? write() : stop()));

  byId("again").addEventListener("click", () => {
    byId("seed").value = settings().seed + 1;
    field.value = field.value.slice(0, written);
    write();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (writing === null) write();
    }
  });

  for (const event of ["pointerdown", "focus"]) field.addEventListener(event, stop); // who points or types goes first
  field.addEventListener("input", () => {
    stop();
    byId("again").hidden = true;
    read();
  });

  document.addEventListener("selectionchange", () => {
    if (document.activeElement === field && writing === null) look();
  });

  for (const [id, digits] of [["temperature", 2], ["top-p", 2]]) {
    const show = () => (byId(`${id}-value`).textContent = number(Number(byId(id).value), digits));
    byId(id).addEventListener("input", show);
    show();
  }

  // --- heads

  function showHeads() {
    // a finger needs some room: a drawing of narrow heads is wider than a phone, and scrolls
    byId("heads").style.minWidth = `${Math.min(40, (0.6 * model.C) / Math.min(...model.heads.flat()))}rem`;
    model.heads.forEach((widths, l) => {
      const heads = widths.map((width, h) => {
        const name = `Layer ${l + 1}, head ${h + 1}, width ${width}`;
        return headBox({ layer: l, head: h, width },
          { title: name, "aria-label": name, "aria-pressed": "true", tabindex: h === 0 ? 0 : -1 });
      });
      heads.forEach((head, h) => head.addEventListener("click", () => switchHead(l, h, head)));
      const row = element("div", { class: "heads", role: "group" }, ...heads);
      row.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        const next = heads[heads.indexOf(document.activeElement) + step];
        if (next === undefined) return;
        for (const head of heads) head.tabIndex = head === next ? 0 : -1;
        next.focus();
      });
      byId("heads").append(element("div", { class: "layer" }, element("span", { class: "name" }, `layer ${l + 1}`), row));
    });
  }

  function switchHead(l, h, head) {
    off[l][h] = !off[l][h];
    head.classList.toggle("off", off[l][h]);
    head.setAttribute("aria-pressed", String(!off[l][h]));
    stop();
    begin();
  }

  byId("all-on").addEventListener("click", () => {
    for (const layer of off) layer.fill(false);
    for (const head of document.querySelectorAll(".head.off")) {
      head.classList.remove("off");
      head.setAttribute("aria-pressed", "true");
    }
    begin();
  });

  function showLoss() {
    const n = off.flat().filter(Boolean).length, all = off.flat().length;
    byId("all-on").hidden = n === 0;
    if (n === 0) {
      byId("loss").textContent = `All ${all} heads are on: ${number(whole.mean, 3)} bits per character.`;
      return;
    }
    const difference = cut.mean - whole.mean;
    byId("loss").textContent =
      `${n} of ${all} heads ${n === 1 ? "is" : "are"} off: ${number(cut.mean, 3)} bits per character, ` +
      `${number(Math.abs(difference), 3)} ${difference < 0 ? "less" : "more"} than with all of them on.`;
  }

  function weigh() {
    forgetWorths();
    const ids = whole.ids.subarray(0, WEIGHED);
    if (ids.length > 1 && whole.isDone) weighing = new Weighing(model, ids, whole, showWorths);
  }

  function showWorths(worths) {
    const boxes = document.querySelectorAll(".head");
    const largest = Math.max(...worths.map(Math.abs), 1e-3);
    byId("weighed").hidden = false;
    worths.forEach((worth, i) => {
      showValue(boxes[i], worth, largest, 3);
      boxes[i].title = `${boxes[i].getAttribute("aria-label")}: worth ${number(worth, 3)} bits per character`;
    });
    showScale(byId("worths"), worths, largest, 3);
    document.documentElement.dataset.weighed = worths.length;
  }

  function forgetWorths() {
    if (weighing === null) return;
    weighing.stop();
    weighing = null;
    byId("weighed").hidden = true;
    for (const box of document.querySelectorAll(".head")) {
      box.style.removeProperty("--mix");
      box.classList.remove("strong");
      box.querySelector(".head-value").textContent = "";
      box.title = box.getAttribute("aria-label");
    }
    document.documentElement.dataset.weighed = 0;
  }

  byId("weigh").addEventListener("click", weigh);

  // --- what does not change

  function showAbout() {
    byId("name").textContent = about.name;
    byId("lede").textContent =
      `A language model of ${thousands(about.parameters)} numbers that reads and writes one character after another. ` +
      `${about.text ? `It has learned from ${about.text}, and i` : "I"}t lives in this page: type, and all follows.`;
    byId("ngrams").hidden = about.ngrams === null;
    byId("ngrams").textContent = about.ngrams;
    const { T, C, F, L, V } = model;
    const rows = {
      ...about.rows,
      characters: `${thousands(V)}: ${model.vocabulary.slice(0, 200).map(visible).join("")}${V > 200 ? " …" : ""}`,
      "looks back at most": `${thousands(T)} characters`,
      layers: `${L}, of ${C} channels, with ${F} in the MLP`,
    };
    for (const [name, value] of Object.entries(rows)) {
      byId("facts").append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)));
    }
    for (let i = 0; i < 10; i++) byId("scale").children[1].append(element("b", { class: `s${i}` }));
  }

  showAbout();
  showHeads();
  begin();
  document.documentElement.dataset.ready = Math.round(performance.now());
  byId("example").hidden = false;
  write(FIRST);
})();
