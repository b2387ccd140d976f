"use strict";

// The text, coloured by surprise; under the characters, how much the chosen head looks at them.
function showText(live, place) {
  let shown = [], spans = [], shades = [];

  // What stands before the first difference stays.
  Chosen.follow(["text"], () => {
    const { text } = Chosen;
    let same = 0;
    while (same < shown.length && shown[same] === text[same]) same++;
    for (const span of spans.splice(same)) span.remove();
    shades.length = same;
    for (let at = same; at < text.length; at++) {
      const words = inText(text[at]);
      spans.push(element("span", { "data-at": at, class: words === text[at] ? null : "sign" }, words));
    }
    spans.push(element("span", { "data-at": text.length, class: "next", title: "what comes next" }, "\u00a0"));
    place.append(...spans.slice(same));
    shown = text;
    sayLength();
  });

  function sayLength() {
    const more = place.scrollHeight > place.clientHeight ? "; scroll in the box to read on" : "";
    byId("text-length").textContent = `${thousands(shown.length)} characters${more}`;
  }
  addEventListener("resize", sayLength);

  // Class s0 to s9 by the whole bits of a character.
  Chosen.follow(["bits", "text"], () => {
    Chosen.bits.forEach((bits, at) => {
      const shade = bits === null ? "s0" : `s${Math.min(9, Math.max(0, Math.floor(bits)))}`;
      if (shades[at] === shade) return;
      const { classList } = spans[at];
      if (shades[at]) classList.remove(shades[at]);
      classList.add((shades[at] = shade));
    });
  });

  let marked = [];
  Chosen.follow(["at", "head", "text", "off"], () => {
    for (const span of marked) span.classList.remove("chosen", "looked");
    marked = [spans[Chosen.at]];
    spans[Chosen.at].classList.add("chosen");
    if (!live || Chosen.at === 0) return;
    const { start, rows } = live.attention(Chosen.at, Chosen.head);
    rows[Chosen.at - 1 - start].forEach((weight, i) => {
      spans[start + i].style.setProperty("--look", weight.toFixed(3));
      spans[start + i].classList.add("looked");
      marked.push(spans[start + i]);
    });
  });

  const under = (event) => event.target.closest("[data-at]");
  place.addEventListener("pointermove", (event) => {
    const span = under(event);
    if (span && !Chosen.isPinned && event.pointerType !== "touch") Chosen.change({ at: Number(span.dataset.at) });
  });
  place.addEventListener("click", (event) => {
    const span = under(event);
    if (!span) return;
    const at = Number(span.dataset.at);
    Chosen.change({ at, isPinned: !(Chosen.isPinned && at === Chosen.at) });
  });
  place.addEventListener("keydown", (event) => {
    const at = nextPlace(Chosen.text, Chosen.at, event.key);
    if (at === undefined) return;
    event.preventDefault();
    Chosen.change({ at, isPinned: true });
    spans[at].scrollIntoView({ block: "nearest" });
  });
}

// What stands for a character in the text: a line break also breaks the line.
function inText(character) {
  if (character === "\n") return visible("\n") + "\n";
  return character === " " ? " " : visible(character);
}

// Where a key leads in the text: up and down to the same column of the other line.
function nextPlace(text, at, key) {
  const lineStart = (from) => text.lastIndexOf("\n", from - 1) + 1;
  const start = at === 0 ? 0 : lineStart(at);
  const end = (from) => {
    const found = text.indexOf("\n", from);
    return found < 0 ? text.length : found;
  };
  switch (key) {
    case "ArrowLeft": return Math.max(0, at - 1);
    case "ArrowRight": return Math.min(text.length, at + 1);
    case "Home": return start;
    case "End": return end(at);
    case "ArrowDown": {
      const next = end(at) + 1;
      return next > text.length ? text.length : Math.min(next + at - start, end(next));
    }
    case "ArrowUp": {
      if (start === 0) return 0;
      const before = start - 1 === 0 ? 0 : lineStart(start - 1);
      return Math.min(before + at - start, start - 1);
    }
  }
  return undefined;
}
