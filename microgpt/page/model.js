"use strict";

// The forward pass, for any widths of heads, in the order of microgpt/model/transformer.py and with its names.
// Nothing here knows of a page: a script tag makes it the global Microgpt, and node can require it.
//
//   const model = Microgpt.load(data), pass = model.begin();
//   for (const id of model.encode("To be").ids) logits = pass.push(id);
//
// V characters, window of T, C channels, F of the MLP, L layers. Weights and all that is computed are float64:
// engines convert each float32 before they multiply it, which takes longer than reading twice the bytes.
const Microgpt = (() => {
  // y = b + x W, where W has K rows and M columns and begins at w, b at its own place. Four rows at a time: then
  // y is read and written a quarter as often.
  function linear(y, x, W, w, b, at, K, M) {
    for (let o = 0; o < M; o++) y[o] = b[at + o];
    let k = 0;
    for (; k + 3 < K; k += 4) {
      const x0 = x[k], x1 = x[k + 1], x2 = x[k + 2], x3 = x[k + 3];
      const w0 = w + k * M, w1 = w0 + M, w2 = w1 + M, w3 = w2 + M;
      for (let o = 0; o < M; o++) y[o] += x0 * W[w0 + o] + x1 * W[w1 + o] + x2 * W[w2 + o] + x3 * W[w3 + o];
    }
    for (; k < K; k++) {
      const x0 = x[k], w0 = w + k * M;
      for (let o = 0; o < M; o++) y[o] += x0 * W[w0 + o];
    }
  }

  // out = weight * (x - mean) / sqrt(variance + eps) + bias; returns 1 / sqrt(variance + eps)
  function layernorm(out, x, weight, bias, at, eps) {
    const C = x.length;
    let mean = 0, variance = 0;
    for (let c = 0; c < C; c++) mean += x[c];
    mean /= C;
    for (let c = 0; c < C; c++) variance += (x[c] - mean) * (x[c] - mean);
    const rstd = 1 / Math.sqrt(variance / C + eps);
    for (let c = 0; c < C; c++) out[c] = weight[at + c] * (x[c] - mean) * rstd + bias[at + c];
    return rstd;
  }

  function softmax(out, logits, temperature = 1) {
    let highest = -Infinity, sum = 0;
    for (let i = 0; i < logits.length; i++) if (logits[i] > highest) highest = logits[i];
    for (let i = 0; i < logits.length; i++) sum += out[i] = Math.exp((logits[i] - highest) / temperature);
    for (let i = 0; i < logits.length; i++) out[i] /= sum;
    return out;
  }

  // How surprising it is that the character id comes next, in bits.
  function bits(logits, id) {
    let highest = -Infinity, sum = 0;
    for (let i = 0; i < logits.length; i++) if (logits[i] > highest) highest = logits[i];
    for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - highest);
    return (Math.log(sum) + highest - logits[id]) / Math.LN2;
  }

  // The id of the largest logit; of equal ones the lowest.
  function likeliest(logits) {
    let best = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
    return best;
  }

  // Numbers in [0, 1) from a seed: sfc32 of PractRand, whose state is three numbers and a counter.
  function random(seed) {
    let a = 0, b = Math.floor(seed / 2 ** 32) | 0, c = seed | 0, counter = 1;
    const next = () => {
      const sum = (a + b + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + sum | 0;
      return (sum >>> 0) / 2 ** 32;
    };
    for (let i = 0; i < 12; i++) next(); // until every bit of the seed has reached all of the state
    return next;
  }

  // Draws characters as the kernel `sample` does, but by random numbers of its own.
  class Sampler {
    constructor(V, { temperature = 0.8, topK = 0, topP = 1, seed = 0 } = {}) {
      Object.assign(this, { temperature, topK, topP, next: random(seed) });
      this.probs = new Float64Array(V);
      this.sorted = new Float64Array(V);
    }

    draw(logits) {
      if (this.temperature < 1e-6) return likeliest(logits);
      const probs = softmax(this.probs, logits, this.temperature), V = probs.length;
      const n = this.kept(probs);
      if (n < V) {
        // of equally likely characters those with the lower ids are kept
        const least = this.sorted[V - n];
        let equal = n;
        for (let i = 0; i < V; i++) if (probs[i] > least) equal--;
        for (let i = 0; i < V; i++) if (probs[i] < least || (probs[i] === least && equal-- <= 0)) probs[i] = 0;
      }
      let mass = 0, last = 0;
      for (let i = 0; i < V; i++) mass += probs[i];
      const drawn = this.next() * mass;
      for (let i = 0, sum = 0; i < V; i++) {
        if (probs[i] === 0) continue;
        last = i;
        if ((sum += probs[i]) > drawn) return i;
      }
      return last;
    }

    // How many of the likeliest characters may be drawn; sorts the probabilities where that matters.
    kept(probs) {
      const V = probs.length;
      let n = this.topK > 0 ? Math.min(this.topK, V) : V;
      if (n === V && this.topP >= 1) return V;
      this.sorted.set(probs);
      this.sorted.sort();
      if (this.topP < 1) {
        let m = 0, sum = 0;
        while (m < V && sum < this.topP) sum += this.sorted[V - ++m];
        n = Math.min(n, m);
      }
      return n;
    }
  }

  class Model {
    constructor(data) {
      const { T, C, F, L, heads, scales, positions } = data;
      const vocabulary = Array.from(data.vocabulary), V = vocabulary.length;
      Object.assign(this, { V, T, C, F, L, heads, scales, vocabulary, positions });
      this.squared = data.activation === "relu2";
      this.shifts = data.token_shift;
      this.eps = data.layernorm_eps;
      this.idOf = new Map(vocabulary.map((character, id) => [character, id]));
      // A text field has no carriage returns: where the model knows them, lines end as those that it has learned from.
      this.lineEnd = !this.idOf.has("\r") ? "\n" : this.idOf.has("\n") ? "\r\n" : "\r";
      this.p = tensors(data);
      this.offsets = heads.map((widths) => {
        let sum = 0;
        return [0, ...widths.map((width) => (sum += width))];
      });
      this.angles = positions === "rope" ? angles(heads, T, data.rope_base) : null;
      // "2.1" is the first head of the second layer
      this.parts = ["embedding", "positions"];
      heads.forEach((widths, l) => {
        widths.forEach((_, h) => this.parts.push(`${l + 1}.${h + 1}`));
        this.parts.push(`mlp ${l + 1}`);
      });
      this.parts.push("bias");
      this.meanUnembedding = null;
    }

    // The ids of a text without the characters that the model does not know, and these, each once.
    encode(text) {
      const ids = [], unknown = new Set();
      for (const character of text) {
        const id = this.idOf.get(character);
        if (id === undefined) unknown.add(character);
        else ids.push(id);
      }
      return { ids: Int32Array.from(ids), unknown: [...unknown] };
    }

    decode(ids) {
      return Array.from(ids, (id) => this.vocabulary[id]).join("");
    }

    // The id after which a text begins that has no prompt, as in `encode_prompt` of generate.py.
    get opening() {
      return this.idOf.get("\n") ?? 0;
    }

    begin(options) {
      return new Pass(this, options);
    }

    sampler(options) {
      return new Sampler(this.V, options);
    }

    // The losses of all ids but the first, in nats.
    losses(ids, options) {
      const pass = this.begin(options), losses = new Float64Array(Math.max(0, ids.length - 1));
      for (let i = 0; i < losses.length; i++) losses[i] = bits(pass.push(ids[i]), ids[i + 1]) * Math.LN2;
      return losses;
    }
  }

  // The tensors by name, views of one array.
  function tensors(data) {
    const text = atob(data.weights), bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    // the file's order of bytes is that of every machine with a browser
    const all = new Float64Array(new Float32Array(bytes.buffer)), p = {};
    let low = 0;
    for (const [name, size] of data.tensors) p[name] = all.subarray(low, (low += size));
    if (low !== all.length) throw new Error("the weights are not those of the model");
    return p;
  }

  // Of each layer the pairs of columns that are rotated, by the first of both, and the cosine and sine of their
  // angles, a row for each position. Layers with equal heads share them.
  function angles(heads, T, base) {
    const known = new Map();
    return heads.map((widths) => {
      const key = widths.join();
      if (!known.has(key)) {
        const pairs = [], frequencies = [];
        let low = 0;
        for (const D of widths) {
          for (let c = 0; c + 1 < D; c += 2) {
            pairs.push(low + c);
            frequencies.push(base ** (-c / D));
          }
          low += D;
        }
        const n = pairs.length, cos = new Float64Array(T * n), sin = new Float64Array(T * n);
        for (let t = 0; t < T; t++) {
          for (let j = 0; j < n; j++) {
            cos[t * n + j] = Math.cos(t * frequencies[j]);
            sin[t * n + j] = Math.sin(t * frequencies[j]);
          }
        }
        known.set(key, { pairs: Int32Array.from(pairs), cos, sin });
      }
      return known.get(key);
    });
  }

  // One text on its way through the model, character after character. Keys and values are kept, and what the next
  // row is shifted from, so that a character costs one row. A full window is shortened to its last `keep`
  // characters, whose rows are computed again: T >> 1 of them is what `microgpt generate` does; with 0 each T
  // characters are read alone, as by `microgpt eval`.
  class Pass {
    // off  [[boolean of each head] of each layer]: these heads add nothing
    constructor(model, { off = null, keep = model.T >> 1 } = {}) {
      const { V, T, C, F, L, heads } = model;
      if (!(keep >= 0 && keep < T)) throw new RangeError("keep must be below T");
      Object.assign(this, { model, keep });
      this.off = off === null ? heads.map((widths) => widths.map(() => false)) : off;
      this.ids = new Int32Array(4 * T); // all that were pushed
      this.start = this.length = this.computed = 0; // the window, and how many of its rows are there
      this.x = new Float64Array(C); // the residual stream
      this.row = new Float64Array(C); // what a linear map reads
      this.branch = new Float64Array(C);
      this.qkv = new Float64Array(3 * C);
      this.hidden = new Float64Array(F);
      this.logits = new Float64Array(V);
      // Of each column the values at all positions: so loops over positions are long also for a head of width 1.
      this.k = new Float64Array(L * C * T);
      this.v = new Float64Array(L * C * T);
      this.half = C >> 1; // columns that the shift in time takes from the row before
      this.ln1 = new Float64Array(model.shifts ? L * T * this.half : 0);
      this.ln2 = new Float64Array(this.ln1.length);
      // of the last row
      this.first = heads.map((_, l) => heads.slice(0, l).reduce((n, widths) => n + widths.length, 0));
      this.att = new Float64Array(heads.reduce((n, widths) => n + widths.length, 0) * T);
      this.heads = new Float64Array(L * C);
      this.mlp = new Float64Array(L * C);
      this.rstd = 0;
    }

    get n() {
      return this.start + this.length;
    }

    // The logits of what comes after this character, until the next call.
    push(id) {
      const { T, V } = this.model;
      if (!(id >= 0 && id < V)) throw new RangeError(`the model has no character ${id}`);
      if (this.length === T) {
        this.start += T - this.keep;
        this.length = this.keep;
        this.computed = 0;
      }
      if (this.n === this.ids.length) {
        const ids = new Int32Array(2 * this.n);
        ids.set(this.ids);
        this.ids = ids;
      }
      this.ids[this.n] = id;
      this.length++;
      return this.compute();
    }

    // As if just these characters had been pushed, but only the rows of the last window are computed, and of them only
    // those that were not there before. Returns the logits, or null for no characters.
    read(ids) {
      const { T } = this.model, n = ids.length, start = this.windowOf(n);
      let same = 0;
      if (start === this.start) {
        const most = Math.min(this.computed, n - start);
        while (same < most && this.ids[start + same] === ids[start + same]) same++;
      }
      if (n > this.ids.length) this.ids = new Int32Array(n + 4 * T);
      this.ids.set(ids);
      this.start = start;
      this.length = n - start;
      this.computed = Math.min(same, Math.max(0, this.length - 1));
      return n > 0 ? this.compute() : null;
    }

    // As it was after the first n characters.
    rewind(n) {
      if (!(n >= 0 && n <= this.n)) throw new RangeError(`there are ${this.n} characters, not ${n}`);
      return this.read(this.ids.subarray(0, n));
    }

    // Where the window begins once n characters have been pushed.
    windowOf(n) {
      const { T } = this.model, step = T - this.keep;
      return n <= T ? 0 : Math.ceil((n - T) / step) * step;
    }

    // How much a head of the last row looks at each position of the window.
    attention(l, h) {
      const low = (this.first[l] + h) * this.model.T;
      return this.att.subarray(low, low + this.length);
    }

    // What each of model.parts adds to the logit of id less the mean of all logits, at the last position, where the
    // scale of the last layer norm is what it is.
    parts(id) {
      const { C, L, V, p, offsets, positions } = this.model, parts = new Float64Array(this.model.parts.length);
      const mean = meanUnembedding(this.model), d = new Float64Array(C);
      let bias = p.unembed_b[id] - mean[C], average = 0;
      for (let c = 0; c < C; c++) {
        const u = p.unembed_w[c * V + id] - mean[c];
        bias += p.lnf_b[c] * u;
        average += d[c] = p.lnf_w[c] * u;
      }
      for (let c = 0; c < C; c++) d[c] = (d[c] - average / C) * this.rstd;
      const along = (array, at) => {
        let sum = 0;
        for (let c = 0; c < C; c++) sum += array[at + c] * d[c];
        return sum;
      };
      let part = 0;
      parts[part++] = along(p.tok, this.ids[this.n - 1] * C);
      parts[part++] = positions === "learned" ? along(p.pos, (this.length - 1) * C) : 0;
      for (let l = 0; l < L; l++) {
        for (let h = 0; h + 1 < offsets[l].length; h++, part++) {
          for (let c = offsets[l][h]; c < offsets[l][h + 1]; c++) {
            const value = this.heads[l * C + c];
            if (value !== 0) parts[part] += value * along(p.proj_w, (l * C + c) * C);
          }
        }
        parts[part++] = along(this.mlp, l * C) - along(p.down_b, l * C);
        bias += along(p.proj_b, l * C) + along(p.down_b, l * C);
      }
      parts[part] = bias;
      return parts;
    }

    compute() {
      for (let t = this.computed; t < this.length; t++) this.forward(t, this.ids[this.start + t]);
      this.computed = this.length;
      const { model, x, row, logits } = this, { C, V, p } = model;
      this.rstd = layernorm(row, x, p.lnf_w, p.lnf_b, 0, model.eps);
      linear(logits, row, p.unembed_w, 0, p.unembed_b, 0, C, V);
      return logits;
    }

    // The row of position t, up to the residual stream after the last layer.
    forward(t, id) {
      const { model, x, row, branch, qkv, hidden } = this, { C, F, L, p, eps } = model;
      for (let c = 0; c < C; c++) x[c] = p.tok[id * C + c];
      if (model.positions === "learned") for (let c = 0; c < C; c++) x[c] += p.pos[t * C + c];
      for (let l = 0; l < L; l++) {
        // mid = x + proj(attention(shift(layernorm(x))))
        layernorm(row, x, p.ln1_w, p.ln1_b, l * C, eps);
        if (model.shifts) this.shift(this.ln1, l, t);
        linear(qkv, row, p.qkv_w, l * C * 3 * C, p.qkv_b, l * 3 * C, C, 3 * C);
        this.attend(l, t);
        linear(branch, row, p.proj_w, l * C * C, p.proj_b, l * C, C, C);
        for (let c = 0; c < C; c++) x[c] += branch[c];
        // next x = mid + down(relu(up(shift(layernorm(mid))))), or with the square of relu
        layernorm(row, x, p.ln2_w, p.ln2_b, l * C, eps);
        if (model.shifts) this.shift(this.ln2, l, t);
        linear(hidden, row, p.up_w, l * C * F, p.up_b, l * F, C, F);
        for (let f = 0; f < F; f++) hidden[f] = hidden[f] > 0 ? (model.squared ? hidden[f] * hidden[f] : hidden[f]) : 0;
        linear(branch, hidden, p.down_w, l * F * C, p.down_b, l * C, F, C);
        for (let c = 0; c < C; c++) {
          x[c] += branch[c];
          this.mlp[l * C + c] = branch[c];
        }
      }
    }

    // Half of the columns of `row` become those of the position before, which is 0 before the first.
    shift(kept, l, t) {
      const { row, half } = this, now = (l * this.model.T + t) * half, before = now - half;
      for (let c = 0; c < half; c++) {
        kept[now + c] = row[c];
        row[c] = t > 0 ? kept[before + c] : 0;
      }
    }

    // From qkv to the heads' outputs side by side, in `row`.
    attend(l, t) {
      const { model, qkv, row, k, v, att, heads } = this, { T, C } = model;
      if (model.angles !== null) {
        const { pairs, cos, sin } = model.angles[l], n = pairs.length;
        for (let j = 0; j < n; j++) {
          const c = pairs[j], cosine = cos[t * n + j], sine = sin[t * n + j];
          for (let q = c; q <= C + c; q += C) {
            const real = qkv[q], imaginary = qkv[q + 1];
            qkv[q] = real * cosine - imaginary * sine;
            qkv[q + 1] = real * sine + imaginary * cosine;
          }
        }
      }
      for (let c = 0, at = l * C * T + t; c < C; c++, at += T) {
        k[at] = qkv[C + c];
        v[at] = qkv[2 * C + c];
      }
      const offsets = model.offsets[l], scales = model.scales[l];
      for (let h = 0; h < scales.length; h++) {
        const low = offsets[h], high = offsets[h + 1], a = (this.first[l] + h) * T, n = t + 1;
        scores(att, a, qkv, k, low, high, l * C * T, T, n);
        weigh(att, a, n, scales[h]);
        if (this.off[l][h]) for (let c = low; c < high; c++) row[c] = 0;
        else mix(row, att, a, v, low, high, l * C * T, T, n);
      }
      for (let c = 0; c < C; c++) heads[l * C + c] = row[c];
    }
  }

  // att = q k for n positions: the columns low to high, of which one begins at `at`, the next T further.
  function scores(att, a, q, k, low, high, at, T, n) {
    for (let s = 0; s < n; s++) att[a + s] = 0;
    let c = low;
    for (; c + 3 < high; c += 4) {
      const q0 = q[c], q1 = q[c + 1], q2 = q[c + 2], q3 = q[c + 3];
      const k0 = at + c * T, k1 = k0 + T, k2 = k1 + T, k3 = k2 + T;
      for (let s = 0; s < n; s++) att[a + s] += q0 * k[k0 + s] + q1 * k[k1 + s] + q2 * k[k2 + s] + q3 * k[k3 + s];
    }
    for (; c < high; c++) {
      const q0 = q[c], k0 = at + c * T;
      for (let s = 0; s < n; s++) att[a + s] += q0 * k[k0 + s];
    }
  }

  // att = softmax(scale * att)
  function weigh(att, a, n, scale) {
    let highest = -Infinity, sum = 0;
    for (let s = a; s < a + n; s++) if (att[s] > highest) highest = att[s];
    for (let s = a; s < a + n; s++) sum += att[s] = Math.exp(scale * (att[s] - highest));
    for (let s = a; s < a + n; s++) att[s] /= sum;
  }

  // out = att v for the columns low to high
  function mix(out, att, a, v, low, high, at, T, n) {
    let c = low;
    for (; c + 3 < high; c += 4) {
      const v0 = at + c * T, v1 = v0 + T, v2 = v1 + T, v3 = v2 + T;
      let o0 = 0, o1 = 0, o2 = 0, o3 = 0;
      for (let s = 0; s < n; s++) {
        const weight = att[a + s];
        o0 += weight * v[v0 + s];
        o1 += weight * v[v1 + s];
        o2 += weight * v[v2 + s];
        o3 += weight * v[v3 + s];
      }
      out[c] = o0;
      out[c + 1] = o1;
      out[c + 2] = o2;
      out[c + 3] = o3;
    }
    for (; c < high; c++) {
      let o0 = 0;
      for (let s = 0, v0 = at + c * T; s < n; s++) o0 += att[a + s] * v[v0 + s];
      out[c] = o0;
    }
  }

  // Of each row of the unembedding the mean over all characters, and after them that of its bias.
  function meanUnembedding(model) {
    if (model.meanUnembedding === null) {
      const { C, V, p } = model, mean = new Float64Array(C + 1);
      for (let c = 0; c < C; c++) for (let i = 0; i < V; i++) mean[c] += p.unembed_w[c * V + i] / V;
      for (let i = 0; i < V; i++) mean[C] += p.unembed_b[i] / V;
      model.meanUnembedding = mean;
    }
    return model.meanUnembedding;
  }

  return { load: (data) => new Model(data), softmax, bits, likeliest };
})();

if (typeof module !== "undefined") module.exports = Microgpt;
