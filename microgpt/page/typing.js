"use strict";

// Another text: typed by the reader, or written on by the model.
const WRITTEN_AT_ONCE = 8; // characters, so that one sees them come
const WRITTEN = 200;

function showTyping(live, measured) {
  const typed = byId("typed"), write = byId("write");
  let writing = null;

  function follow() {
    const unknown = live.type(typed.value);
    const some = unknown.slice(0, 10).map(visible).join(" ") + (unknown.length > 10 ? " and others" : "");
    byId("unknown").textContent = unknown.length ? `The model does not know ${some}: left out.` : "";
  }

  function stop() {
    clearTimeout(writing);
    writing = null;
    write.textContent = "Let the model write on";
  }

  function begin() {
    const next = live.writer({
      temperature: Math.max(0, Number(byId("temperature").value)),
      topK: Math.max(0, Math.round(Number(byId("top-k").value))),
      topP: 1,
      seed: Math.max(0, Math.round(Number(byId("seed").value))),
    });
    let written = 0;
    write.textContent = "Stop";
    function some() {
      for (let i = 0; i < WRITTEN_AT_ONCE; i++) typed.value += next();
      typed.scrollTop = typed.scrollHeight;
      follow();
      written += WRITTEN_AT_ONCE;
      if (written < WRITTEN) writing = setTimeout(some, 30);
      else stop();
    }
    some();
  }

  typed.value = measured;
  stop();
  typed.addEventListener("input", () => {
    stop();
    follow();
  });
  write.addEventListener("click", () => (writing === null ? begin() : stop()));
  byId("back").addEventListener("click", () => {
    stop();
    typed.value = measured;
    follow();
  });
}
