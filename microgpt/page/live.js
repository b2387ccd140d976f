"use strict";

// The model of the page over the chosen text, with the heads that are not switched off.
//
// As in `microgpt eval`, the text is cut into chunks of T characters, each read with nothing before it, and the
// first of a chunk is predicted from the whole chunk before. What would follow the text is predicted from its
// last T characters, as `microgpt generate` does.
function liveModel(model, xray) {
  const T = xray.architecture.T;
  let encoded = {}, lastLook = {}, lastRows = {}, reading = 0;
  const begin = () => model.begin({ off: switches(xray.heads, Chosen.off), keep: 0 });

  function ids() {
    const { text } = Chosen;
    if (encoded.text !== text) encoded = { text, ids: model.encode(text.join("")).ids };
    return encoded.ids;
  }

  // The first of the characters that are seen when the one at this place is predicted.
  const seen = (at) => (at === Chosen.text.length ? Math.max(0, at - T) : Math.floor(Math.max(0, at - 1) / T) * T);

  // What the model knows when it predicts the character at this place; null where nothing stands before it.
  function look(at) {
    const { text, off } = Chosen;
    if (lastLook.text === text && lastLook.at === at && lastLook.off === off) return lastLook.found;
    let found = null;
    if (at > 0) {
      const pass = begin();
      let logits;
      for (const id of ids().subarray(seen(at), at)) logits = pass.push(id);
      const probabilities = Microgpt.softmax(new Float64Array(model.V), logits);
      const values = at < text.length ? pass.parts(ids()[at]) : [];
      const parts = new Map(Array.from(values, (value, part) => [model.parts[part], value]));
      found = { probabilities, parts };
    }
    lastLook = { text, at, off, found };
    return found;
  }

  // Where a head looks while the characters around this place are read: rows[i] has the weights of the
  // characters from `start` to start + i, when the one after them is predicted.
  function attention(at, index) {
    const { text, off } = Chosen;
    const start = seen(at);
    const last = lastRows;
    if (last.text !== text || last.off !== off || last.index !== index || last.start !== start) {
      const { layer, head } = xray.heads[index];
      const pass = begin();
      const rows = [];
      for (const id of ids().subarray(start, start + T)) {
        pass.push(id);
        rows.push(Float64Array.from(pass.attention(layer, head)));
      }
      lastRows = { text, off, index, start, rows };
    }
    return { start, rows: lastRows.rows };
  }

  // The surprise of every character but the first `known`, a few milliseconds at a time, so that the page goes
  // on answering. Until a character is read, it keeps what it had.
  function readAll(known = 0) {
    const mine = ++reading;
    const all = ids();
    const bits = Array.from(all, (_, at) => Chosen.bits[at] ?? null);
    const pass = begin();
    let at = Math.floor(Math.max(0, known - 1) / T) * T;
    function some() {
      if (mine !== reading) return;
      const until = performance.now() + 12;
      for (; at < all.length - 1 && performance.now() < until; at++)
        bits[at + 1] = Microgpt.bits(pass.push(all[at]), all[at + 1]);
      const isRead = at >= all.length - 1;
      Chosen.change({ bits: bits.slice(), isRead });
      if (!isRead) setTimeout(some);
    }
    some();
  }

  // Another text, without the characters that the model does not know; those are returned. What comes after it is
  // looked at, and what stands before the first difference is not read again.
  function type(words) {
    const { ids, unknown } = model.encode(words);
    const before = Chosen.text;
    const text = Array.from(ids, (id) => model.vocabulary[id]);
    let same = 0;
    while (same < text.length && text[same] === before[same]) same++;
    const known = Chosen.isRead ? same : 0;
    const bits = text.map((_, at) => Chosen.bits[at] ?? null);
    Chosen.change({ text, bits, at: text.length, isPinned: false, isRead: false });
    readAll(known);
    return unknown;
  }

  // A function that gives the next character each time, beginning with what follows the text.
  function writer(sampling) {
    const pass = model.begin({ off: switches(xray.heads, Chosen.off) });
    const sampler = Microgpt.sampler(sampling);
    let logits = null;
    for (const id of ids().subarray(-T)) logits = pass.push(id);
    return () => {
      const id = logits ? sampler.draw(logits) : 0;
      logits = pass.push(id);
      return model.vocabulary[id];
    };
  }

  return { look, attention, readAll, type, writer };
}

// For each layer, which of its heads are off.
function switches(heads, off) {
  const layers = [];
  heads.forEach(({ layer }, index) => (layers[layer] ??= []).push(off.has(index)));
  return layers;
}
