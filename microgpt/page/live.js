"use strict";

// The model of the page over the chosen text, with the heads that are not switched off.
//
// As in `microgpt eval`, the text is cut into windows of T characters, each read with nothing before it, and the
// first character of a window is predicted from the whole window before. What would follow the text is predicted
// from its last T characters, as `microgpt generate` does.
function liveModel(model, xray) {
  const { T } = model;
  let reader, probe, next; // of the whole text, of the text up to a character, and of what would follow
  let whole, weighing; // the text with all heads, and without each
  let encoded = {}, lastRows = {};
  const begun = (keep) => model.begin({ off: switches(xray.heads, Chosen.off), keep });

  function begin() {
    reader?.stop();
    reader = new Reader(begun(0), told);
    probe = begun(0);
    next = begun();
  }

  // Until a character is read, it keeps what it had.
  function told() {
    const bits = Chosen.bits.map((old, at) => (at > 0 && at <= reader.done ? reader.bits[at] : old));
    Chosen.change({ bits, isRead: reader.isDone });
  }

  function ids() {
    const { text } = Chosen;
    if (encoded.text !== text) encoded = { text, ids: model.encode(text.join("")).ids };
    return encoded.ids;
  }

  // What the model knows when it predicts the character at this place; null where nothing stands before it.
  function look(at) {
    if (at === 0) return null;
    const isNext = at === Chosen.text.length;
    const pass = isNext ? next : probe;
    const logits = pass.read(isNext ? ids().slice(-T) : ids().subarray(0, at));
    const probabilities = Microgpt.softmax(new Float64Array(model.V), logits);
    const values = isNext ? [] : pass.parts(ids()[at]);
    return { probabilities, parts: new Map(Array.from(values, (value, part) => [model.parts[part], value])) };
  }

  // What a head adds, when the character at this place is predicted, to the logits of the likeliest characters, less
  // what it adds to all on the average.
  function writes(at, index, most) {
    const found = look(at);
    if (found === null) return [];
    const pass = at === Chosen.text.length ? next : probe;
    const part = model.parts.indexOf(headName(xray.heads[index]));
    const order = Array.from(found.probabilities.keys());
    order.sort((one, other) => found.probabilities[other] - found.probabilities[one]);
    return order.slice(0, most).map((id) => ({ character: model.vocabulary[id], value: pass.parts(id)[part] }));
  }

  // Where a head looks while the characters around this place are read: rows[i] has the weights of the
  // characters from `start` to start + i, when the one after them is predicted.
  function attention(at, index) {
    const { text, off } = Chosen;
    const start = at === text.length ? Math.max(0, at - T) : Math.floor(Math.max(0, at - 1) / T) * T;
    const last = lastRows;
    if (last.text !== text || last.off !== off || last.index !== index || last.start !== start) {
      const { layer, head } = xray.heads[index];
      const pass = begun(0);
      const rows = [];
      for (const id of ids().subarray(start, start + T)) {
        pass.push(id);
        rows.push(pass.attention(layer, head).slice());
      }
      lastRows = { text, off, index, start, rows };
    }
    return { start, rows: lastRows.rows };
  }

  // Another text, without the characters that the model does not know; those are returned. What would follow it
  // is looked at.
  function type(words) {
    const { ids, unknown } = model.encode(words);
    const text = Array.from(ids, (id) => model.vocabulary[id]);
    const bits = text.map((_, at) => Chosen.bits[at] ?? null);
    whole?.stop();
    weighing?.stop();
    Chosen.change({ text, bits, at: text.length, isPinned: false, isRead: false, weighed: [] });
    reader.read(ids);
    return unknown;
  }

  // What each head is worth on this text, one after the other.
  function weigh() {
    whole?.stop();
    weighing?.stop();
    const all = ids();
    whole = new Reader(model.begin({ keep: 0 }), () => {
      if (whole.isDone && all.length > 1)
        weighing = new Weighing(model, all, whole, (worths) => Chosen.change({ weighed: worths.slice() }), 0);
    });
    whole.read(all);
  }

  // A function that gives one more character each time. At temperature 0 they are those of `microgpt generate`; else they
  // are drawn with random numbers of the page's own.
  function writer(sampling) {
    const pass = begun();
    const sampler = model.sampler(sampling);
    let logits = pass.read(ids().length > 0 ? ids().slice(-T) : [model.opening]);
    return () => {
      const id = sampler.draw(logits);
      logits = pass.push(id);
      return model.vocabulary[id];
    };
  }

  begin();
  Chosen.whenever(["off"], () => {
    begin();
    reader.read(ids());
  });
  return { look, writes, attention, weigh, type, writer, lineEnd: model.lineEnd };
}

// For each layer, which of its heads are off.
function switches(heads, off) {
  const layers = [];
  heads.forEach(({ layer }, index) => (layers[layer] ??= []).push(off.has(index)));
  return layers;
}
