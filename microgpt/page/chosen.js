"use strict";

// What the reader has chosen, and the views that follow when it changes.
//
// text      the characters, an array
// at        which of them is looked at: what follows the whole text has the number text.length
// isPinned  whether it stays chosen when the pointer moves on
// head      the number of the head that is looked at, in the order of the X-ray
// off       the numbers of the heads that are switched off, a Set
// measure   the key of the measure that colours the heads
// bits      the surprise of each character, an array; that of the first is null
// isRead    whether `bits` are those of this text with these heads, or the model is still reading
// weighed   what the first of the heads are worth on this text, as far as that is known, an array
const Chosen = (() => {
  const views = [];
  const chosen = {
    // Calls view whenever one of these values changes; `follow` also calls it now.
    whenever(names, view) {
      views.push({ names, view });
    },
    follow(names, view) {
      chosen.whenever(names, view);
      view();
    },
    change(values) {
      const changed = Object.keys(values).filter((name) => chosen[name] !== values[name]);
      Object.assign(chosen, values);
      for (const { names, view } of views) if (names.some((name) => changed.includes(name))) view();
    },
  };
  return chosen;
})();
