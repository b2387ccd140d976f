"use strict";

// Another text: typed by the reader, or written on by the model.
const WRITTEN_AT_ONCE = 8; // characters, so that one sees them come
const WRITTEN = 200;

function showTyping(live, measured) {
  const typed = byId("typed"), write = byId("write"), measure = byId("measure");
  let words = measured; // a text field turns some line breaks into others, so that its text may not be this
  let writing = null;

  function follow() {
    const unknown = live.type(words);
    const some = unknown.slice(0, 10).map(visible).join(" ") + (unknown.length > 10 ? " and others" : "");
    byId("unknown").textContent = unknown.length ? `The model does not know ${some}: left out.` : "";
    if (Chosen.measure === "weighed") chooseMeasure("ablation");
  }

  function chooseMeasure(key) {
    for (const option of measure.querySelectorAll("[value=weighed]")) option.remove();
    if (key === "weighed") {
      const { name } = MEASURES.find((measure) => measure.key === key);
      measure.append(element("option", { value: key }, name));
    }
    measure.value = key;
    Chosen.change({ measure: key });
  }

  function stop() {
    clearTimeout(writing);
    writing = null;
    write.textContent = "Let the model write on";
  }

  function begin() {
    const fields = ["temperature", "top-k", "seed"].map(byId);
    const wrong = fields.find(({ validity: v }) => v.rangeUnderflow || v.badInput || v.valueMissing);
    if (wrong) return wrong.reportValidity(); // the browser says why, at the field
    const next = live.writer({
      temperature: Number(byId("temperature").value),
      topK: Math.round(Number(byId("top-k").value)),
      topP: 1,
      seed: Math.round(Number(byId("seed").value)),
    });
    let written = 0;
    write.textContent = "Stop";
    function some() {
      for (let i = 0; i < WRITTEN_AT_ONCE; i++) words += next();
      typed.value = words;
      typed.scrollTop = typed.scrollHeight;
      follow();
      written += WRITTEN_AT_ONCE;
      if (written < WRITTEN) writing = setTimeout(some, 30);
      else stop();
    }
    some();
  }

  typed.value = words;
  stop();
  typed.addEventListener("input", () => {
    stop();
    words = typed.value.replaceAll("\n", live.lineEnd);
    follow();
  });
  write.addEventListener("click", () => (writing === null ? begin() : stop()));
  byId("back").addEventListener("click", () => {
    stop();
    typed.value = words = measured;
    follow();
  });
  byId("weigh").addEventListener("click", () => {
    chooseMeasure("weighed");
    live.weigh();
  });
}
