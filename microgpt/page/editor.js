"use strict";

// A text field whose characters have colours. A field cannot colour its text itself: behind it lies the same text in
// the same place, whose letters are not to be seen, and whose backgrounds are.
class Editor {
  constructor(field, behind) {
    Object.assign(this, { field, behind, spans: [] });
    this.segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
  }

  // classes  of each character, that is code point; what one sees as one sign gets the last one that is not empty
  paint(text, classes) {
    const runs = [];
    let at = 0;
    for (const sign of this.signs(text)) {
      let kind = "";
      for (const _ of sign) kind = classes[at++] || kind;
      const last = runs.at(-1);
      if (last !== undefined && last.kind === kind) last.text += sign;
      else runs.push({ text: sign, kind });
    }
    // a line break at the very end begins a line only if something stands in it
    runs.push({ text: "\u200b", kind: "" });
    for (let i = 0; i < runs.length; i++) {
      if (i === this.spans.length) {
        const span = element("span");
        this.behind.append(span);
        this.spans.push({ span, text: "", kind: "" });
      }
      const shown = this.spans[i], { text, kind } = runs[i];
      if (shown.text !== text) shown.span.textContent = shown.text = text;
      if (shown.kind !== kind) shown.span.className = shown.kind = kind;
    }
    for (const { span } of this.spans.splice(runs.length)) span.remove();
  }

  // What one sees as one sign may be several characters: an accent belongs to its letter.
  *signs(text) {
    if (!/[^\0-\u02ff]/.test(text)) yield* text;
    else for (const { segment } of this.segmenter.segment(text)) yield segment;
  }
}
