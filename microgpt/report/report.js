"use strict";

// The page of a report: its charts, tables and samples, the choices of its reader, and how it refreshes itself.

const Report = {
  data: Data.read("report"),
  KEY: `microgpt-report ${location.pathname}`,
  DASHES: ["", "6 4", "2 3", "10 3 2 3"],
  COLOURS: 7,
  FEW: 3, // so many runs have their unsmoothed loss drawn, too
  FEW_SAMPLES: 6,
  STALE_SECONDS: 900, // a page that has not been written for so long is not waited for any more
  choices: { x: "step", part: "1", smoothing: 0, logX: false, logY: false, hidden: [], zoom: null, sampleRun: 0, allSamples: false, sort: null },

  begin() {
    const { runs, races } = Report.data;
    Report.remember();
    document.getElementById("title").textContent = [...runs, ...races].map(({ name }) => name).slice(0, 3).join(", ") + (runs.length + races.length > 3 ? " …" : "");
    document.getElementById("footer").textContent = `Written by microgpt ${Report.data.microgpt} on ${Report.date(Report.data.written)}.`;
    if (runs.length > 0) {
      document.getElementById("runs").hidden = false;
      runs.forEach((run, i) => {
        run.colour = `var(--series-${1 + (i % Report.COLOURS)})`;
        run.dash = Report.DASHES[Math.floor(i / Report.COLOURS) % Report.DASHES.length];
      });
      Report.lede();
      Report.numbers();
      Report.charts = {};
      for (const name of ["loss", "norm", "rate", "speed", "weight"]) {
        Report.charts[name] = new Chart(document.getElementById(`chart-${name}`), name === "loss" ? 440 : 230, Report.zoom);
      }
      Report.controls();
      Report.legend();
      Report.draw();
      Report.comparison();
      Report.samples();
      Report.facts();
    } else {
      document.getElementById("lede").textContent = races.length === 1 ? "What a race has found." : "What races have found.";
    }
    document.getElementById("races").append(...races.map(RaceView.show));
    Report.refresh();
  },

  date(seconds) {
    return new Date(1000 * seconds).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
  },

  last(numbers) {
    return numbers === undefined || numbers.length === 0 ? null : numbers[numbers.length - 1];
  },

  // the last start of a run knows the most of it
  start(run) {
    return run.starts.length ? run.starts[run.starts.length - 1] : {};
  },

  // --- the top

  lede() {
    const { runs, different } = Report.data;
    const text = document.getElementById("lede");
    if (runs.length > 1) {
      const names = different.map((name) => name.replaceAll("_", "-"));
      text.textContent = `${runs.length} runs, which differ in ${names.length ? names.join(", ") : "none of their options"}.`;
      return;
    }
    const [run] = runs;
    const { characters, parameters } = Report.start(run);
    const of = characters ? `, ${characters.toLocaleString("en")} characters` : "";
    const size = parameters ? `; ${parameters.toLocaleString("en")} parameters, heads ${run.options.heads}` : `; heads ${run.options.heads}`;
    text.textContent = `Trained on ${run.options.file}${of}${size}.`;
  },

  // the figures of a single run
  numbers() {
    const { runs } = Report.data;
    if (runs.length > 1) return;
    const best = Report.best(runs[0]);
    const figures = Report.figures(runs[0]);
    const facts = [
      [Written.loss(figures.validation), "validation, nats per character"],
      [figures.validation === null ? "" : (figures.validation / Math.LN2).toFixed(4), "the same in bits"],
      [Written.loss(figures.loss), "training"],
      [best && Written.loss(best.loss) !== Written.loss(figures.validation) ? Written.loss(best.loss) : "", best ? `best validation, at step ${best.step.toLocaleString("en")}` : ""],
      [`${figures.step.toLocaleString("en")}${figures.state === "done" ? "" : ` of ${figures.steps.toLocaleString("en")}`}`, "steps"],
      [Written.seconds(figures.seconds), "of training"],
      [Written.short(Number(figures.speed.toPrecision(3))), "characters per second"],
    ];
    const list = document.getElementById("numbers");
    for (const [number, words] of facts) {
      if (number !== "") list.append(Page.element("div", {}, Page.element("dt", {}, words), Page.element("dd", {}, number)));
    }
  },

  // where a run is, and what it has come to
  figures(run) {
    const { training, validation } = run;
    const losses = training.loss || [];
    const tail = losses.slice(-Math.max(1, Math.round(losses.length / 20))).filter((loss) => loss !== null);
    const [step, seconds, chars] = [Report.last(training.step), Report.last(training.elapsed_s), Report.last(training.chars)];
    return {
      state: run.state,
      step,
      steps: run.options.steps,
      seconds,
      speed: seconds > 0 ? (chars || 0) / seconds : 0,
      loss: tail.length ? tail.reduce((sum, loss) => sum + loss, 0) / tail.length : null,
      validation: Report.last(validation.val_loss),
      best: (Report.best(run) || {}).loss ?? null,
    };
  },

  // the lowest validation loss that the page knows of
  best(run) {
    const { val_loss: losses, step } = run.validation;
    if (!losses) return null;
    let found = null;
    losses.forEach((loss, i) => {
      if (loss !== null && (found === null || loss < found.loss)) found = { loss, step: step[i] };
    });
    return found;
  },

  // --- the choices of the reader, which a reload keeps

  remember() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(Report.KEY));
      if (kept) Object.assign(Report.choices, kept.choices);
      Report.kept = kept;
    } catch {
      Report.kept = null; // a browser may keep nothing for a file
    }
  },

  keep() {
    const focused = document.activeElement ? document.activeElement.id : "";
    const value = { choices: Report.choices, place: Report.place(), focused };
    try {
      sessionStorage.setItem(Report.KEY, JSON.stringify(value));
    } catch {
      // likewise
    }
  },

  // The element at the top of what is seen, and where: after a reload it is there again, whatever has grown above it.
  place() {
    const tops = [...document.querySelectorAll("main [id]")].filter((element) => element.offsetParent).map(({ id }) => ({ id, top: Report.top(id) }));
    return tops.reduce((best, each) => (Math.abs(each.top) < Math.abs(best.top) ? each : best));
  },

  top(id) {
    return document.getElementById(id).getBoundingClientRect().top;
  },

  controls() {
    const { choices } = Report;
    document.getElementById("unzoom").addEventListener("click", () => {
      choices.part = document.getElementById("part").value = "1";
      Report.zoom(null);
    });
    const bind = (id, name, property, event) => {
      const element = document.getElementById(id);
      element[property] = choices[name];
      element.addEventListener(event, () => {
        choices[name] = element[property];
        if (name === "x" || name === "part") choices.zoom = null;
        Report.draw();
        Report.keep();
      });
    };
    bind("x-axis", "x", "value", "change");
    bind("part", "part", "value", "change");
    bind("smoothing", "smoothing", "valueAsNumber", "input");
    bind("log-x", "logX", "checked", "change");
    bind("log-y", "logY", "checked", "change");
  },

  // show a stretch of the x axis only; null: all of it
  zoom(low, high) {
    Report.choices.zoom = low === null ? null : { low, high };
    Report.draw();
    Report.keep();
  },

  legend() {
    const { runs } = Report.data;
    if (runs.length < 2) return;
    const list = document.getElementById("legend");
    runs.forEach((run, i) => {
      const button = Page.element("button", { type: "button", class: "plain", id: `run-${i}` }, Report.swatch(run.colour, run.dash), Page.element("span", {}, run.name));
      const shown = () => !Report.choices.hidden.includes(run.directory);
      button.setAttribute("aria-pressed", String(shown()));
      button.addEventListener("click", () => {
        const { hidden } = Report.choices;
        Report.choices.hidden = shown() ? [...hidden, run.directory] : hidden.filter((each) => each !== run.directory);
        button.setAttribute("aria-pressed", String(shown()));
        Report.draw();
        Report.keep();
      });
      const point = (to) => () => {
        Report.pointed = to;
        Report.draw();
      };
      button.addEventListener("pointerenter", point(run));
      button.addEventListener("pointerleave", point(null));
      list.append(Page.element("li", {}, button));
    });
  },

  swatch(colour, dash) {
    const svg = Page.svg("svg", { class: "swatch", width: 26, height: 10, "aria-hidden": "true" });
    svg.append(Page.svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, style: `--colour:${colour}`, "stroke-dasharray": dash }));
    return svg;
  },

  // --- the charts

  draw() {
    const { choices, charts } = Report;
    const reports = 1 / (1 - Report.weight());
    document.getElementById("smoothing-said").textContent = choices.smoothing === 0 ? "none" : `over about ${Written.number(reports, 2)} reports`;
    document.getElementById("zoomed").hidden = choices.zoom === null;
    const runs = Report.data.runs.filter(({ directory }) => !choices.hidden.includes(directory));
    const x = Report.xAxis(runs);
    Report.drawLoss(charts.loss, runs, x);
    Report.drawOne(charts.norm, runs, x, "grad_norm", "Gradient norm", { log: choices.logY, caption: "Before clipping, the mean over the steps of each report." });
    Report.drawOne(charts.rate, runs, x, "lr", "Learning rate", { zero: true });
    Report.drawOne(charts.speed, runs, x, "chars_per_s", "Characters per second", { zero: true });
    Report.drawOne(charts.weight, runs, x, "ngram_weight", "Weight of the n-grams", { of: "validation", zero: true, caption: "How much the n-grams count beside the network, fitted at each evaluation." });
  },

  // of the newest point when the next is added; 0: no smoothing
  weight() {
    return 1 - 0.75 ** Report.choices.smoothing;
  },

  // averages in which each point counts less than the next one; so that the first are not too low, by their weights
  smoothed(values) {
    const weight = Report.weight();
    let [sum, total] = [0, 0];
    return values.map((value) => {
      if (value === null) return null;
      sum = weight * sum + (1 - weight) * value;
      total = weight * total + (1 - weight);
      return sum / total;
    });
  },

  xAxis(runs) {
    const { x: name, part, logX, zoom } = Report.choices;
    const places = runs.flatMap(({ training }) => training[name] || []).filter((place) => place > 0);
    const high = places.length ? Math.max(...places) : 1;
    const cut = Number(part) < 1 || zoom !== null;
    const least = places.length ? Math.min(...places) : high / 10;
    const first = logX ? Math.min(least, high / 2) : 0;
    const low = Number(part) < 1 ? high * (1 - Number(part)) : first;
    const isTime = name === "elapsed_s";
    const unit = name === "chars" ? " characters" : "";
    return {
      name,
      words: { step: "steps", chars: "characters", elapsed_s: "time" }[name],
      cut,
      low: zoom ? Math.max(zoom.low, first) : low,
      high: zoom ? zoom.high : high,
      log: logX,
      isTime: isTime && !logX,
      tick: isTime ? Written.seconds : Written.short,
      write: isTime ? Written.seconds : (value) => (name === "step" ? `step ${value.toLocaleString("en")}` : `${Math.round(value).toLocaleString("en")}${unit}`),
    };
  },

  // the lowest and the highest of the values that can be seen, and some room
  range(series, x, { log, zero = false, lines = [], most = Infinity }) {
    const seen = [];
    for (const each of series) {
      each.x.forEach((place, i) => {
        if (place < x.low || place > x.high) return;
        const values = each.low ? [each.y[i], each.low[i], each.high[i]] : [each.y[i]];
        seen.push(...values.filter((value) => value !== null && !(log && value <= 0)));
      });
    }
    if (!x.cut) seen.push(...lines.map(({ y }) => y));
    if (seen.length === 0) return log ? { low: 1, high: 10 } : { low: 0, high: 1 };
    const low = seen.reduce((a, b) => Math.min(a, b));
    const found = seen.reduce((a, b) => Math.max(a, b));
    const high = Math.max(low, Math.min(found, most));
    if (log) return { low: low / 1.05, high: found * 1.05, isCut: false };
    const room = (high - (zero ? 0 : low) || Math.abs(high) || 1) * 0.05;
    return { low: zero ? Math.min(0, low) : low - room, high: high + room, isCut: found > high };
  },

  drawLoss(chart, runs, x) {
    const { choices } = Report;
    const single = Report.data.runs.length === 1;
    const series = [];
    for (const run of runs) {
      const { training, validation } = run;
      const dim = runs.includes(Report.pointed) && Report.pointed !== run;
      const common = { colour: run.colour, dim };
      const called = single ? (what) => what : (what) => `${run.name}, ${what}`;
      const raw = { ...common, x: training[x.name] || [], y: training.loss || [] };
      if (runs.length <= Report.FEW) {
        if (choices.smoothing > 0) series.push({ ...raw, faint: true, width: 1 });
        if (training.loss_low) series.push({ ...raw, faint: true, width: 0, low: training.loss_low, high: training.loss_high });
      }
      series.push({ ...raw, name: called("training"), y: Report.smoothed(raw.y), dash: run.dash, width: single ? 2 : 1.25 });
      const other = single ? "var(--series-2)" : run.colour;
      const tested = { ...common, colour: other, x: validation[x.name] || [] };
      if (validation.val_loss) series.push({ ...tested, name: called("validation"), y: validation.val_loss, width: 2.25, dash: run.dash, dots: validation.val_loss.length <= 60 });
      if (validation.network_val_loss && single) series.push({ ...tested, name: "validation of the network alone", colour: "var(--series-3)", y: validation.network_val_loss, width: 1.5 });
    }
    const lines = Report.lines(runs);
    const uniform = Math.max(...runs.map((run) => Report.start(run).uniform_entropy || 0));
    const range = Report.range(series, x, { log: choices.logY, lines, most: uniform > 0 ? 1.15 * uniform : Infinity });
    Report.keyOfLoss(single, series);
    chart.show({
      label: `Loss in nats per character against ${x.words}`,
      caption: Report.captionOfLoss(runs, range, single),
      series,
      lines,
      marks: Report.marks(runs, x),
      x,
      y: { ...range, log: choices.logY, tick: Written.short, write: Written.loss },
    });
  },

  // which line is which, where there is one run
  keyOfLoss(single, series) {
    if (!single) return;
    const list = document.getElementById("legend");
    list.replaceChildren(...series.filter(({ faint }) => !faint).map(({ name, colour, dash }) => Page.element("li", {}, Report.swatch(colour, dash || ""), Page.element("span", {}, name))));
  },

  captionOfLoss(runs, range, single) {
    const thinned = runs.some(({ n_reports: n, training }) => n > training.step.length);
    const mixed = runs.some(({ validation }) => validation.network_val_loss);
    return [
      "Nats per character; lower is better.",
      mixed ? "Validation is of the network and the n-grams together, training of the network alone." : "",
      !single && runs.some(({ validation }) => validation.val_loss) ? "Thin lines: training; thick ones: validation." : "",
      thinned ? "The log is long, so that each point is the mean of several reports" + (runs.length <= Report.FEW ? "; the stripe behind it shows their lowest and highest." : ".") : "",
      range.isCut ? `Losses above ${Written.number(range.high, 3)} are cut off here; the logarithmic vertical axis shows them.` : "",
    ].filter(Boolean).join(" ");
  },

  // what losses can be compared with: lines that several runs share are drawn once
  lines(runs) {
    const found = new Map();
    const kinds = [["uniform_entropy", "guessing: ln V"], ["unigram_entropy", "unigram entropy"], ["bigram_entropy", "bigram entropy"], ["known_entropy", "entropy of the source"]];
    for (const run of runs) {
      for (const [key, name] of kinds) {
        const y = Report.start(run)[key];
        if (typeof y === "number") found.set(`${name} ${y.toFixed(3)}`, { name: `${name} ${y.toFixed(3)}`, y });
      }
    }
    return found.size > 3 * kinds.length ? [] : [...found.values()];
  },

  // where a run was resumed
  marks(runs, x) {
    if (runs.length > Report.FEW) return [];
    return runs.flatMap((run) =>
      run.starts
        .filter(({ step }) => step > 0)
        .map(({ step, at }) => {
          const i = run.training.step.findIndex((reported) => reported >= step);
          return { x: x.name === "step" ? step : (run.training[x.name] || [])[i], name: `resumed at step ${step}, ${at}` };
        })
        .filter((mark) => mark.x >= x.low && mark.x <= x.high),
    );
  },

  // a chart of one number; it is hidden where no run has it
  drawOne(chart, runs, x, name, title, { of = "training", zero = false, log = false, caption = "" }) {
    const series = runs
      .filter((run) => run[of][name])
      .map((run) => ({
        name: Report.data.runs.length === 1 ? title.toLowerCase() : run.name,
        colour: run.colour,
        dash: run.dash,
        dim: runs.includes(Report.pointed) && Report.pointed !== run,
        x: run[of][x.name] || [],
        y: run[of][name],
        low: runs.length <= Report.FEW ? run[of][`${name}_low`] : undefined,
        high: run[of][`${name}_high`],
      }));
    chart.figure.hidden = !Report.data.runs.some((run) => run[of][name]);
    if (chart.figure.hidden) return;
    const range = Report.range(series, x, { log, zero: zero && !x.cut });
    chart.show({ label: `${title} against ${x.words}`, caption, series, x, y: { ...range, log, tick: Written.short, write: Written.number } });
  },

  // --- several runs in a table

  comparison() {
    const { runs, different } = Report.data;
    if (runs.length < 2) return;
    document.getElementById("comparison").hidden = false;
    const columns = [
      { title: "run", value: (run) => run.name, write: (value) => value },
      ...different.map((name) => ({ title: name.replaceAll("_", "-"), value: (run) => run.options[name], write: (value) => Report.option(value, 4) })),
      ...[
        ["validation", "validation", Written.loss],
        ["best validation", "best", Written.loss],
        ["training", "loss", Written.loss],
        ["steps", "step", Written.number],
        ["time", "seconds", Written.seconds],
        ["characters/s", "speed", (speed) => Written.short(Number(speed.toPrecision(3)))],
        ["state", "state", (state) => state],
      ].map(([title, key, write]) => ({ title, value: (run) => Report.figures(run)[key], write })),
    ].filter(({ title, value }) => runs.some((run) => value(run) !== null && (title !== "best validation" || Written.loss(value(run)) !== Written.loss(Report.figures(run).validation))));
    const table = document.getElementById("compared");
    const draw = () => {
      const { sort } = Report.choices;
      const chosen = columns.find(({ title }) => sort && title === sort.title);
      const rows = [...runs];
      if (chosen) rows.sort((a, b) => sort.sign * Report.compare(chosen.value(a), chosen.value(b)));
      const headings = columns.map(({ title }, i) => {
        const button = Page.element("button", { type: "button", class: "plain", id: `sort-${i}` }, title);
        button.addEventListener("click", () => {
          const again = Report.choices.sort && Report.choices.sort.title === title;
          Report.choices.sort = { title, sign: again ? -Report.choices.sort.sign : 1 };
          draw();
          document.getElementById(`sort-${i}`).focus();
          Report.keep();
        });
        const order = sort && title === sort.title ? (sort.sign > 0 ? "ascending" : "descending") : "none";
        return Page.element("th", { "aria-sort": order, class: Report.isNumber(runs, columns[i]) ? "number" : "" }, button);
      });
      const body = rows.map((run) =>
        Page.element("tr", {}, ...columns.map((column, i) => {
          const cell = Page.element("td", { class: Report.isNumber(runs, column) ? "number" : "" });
          if (i === 0) cell.append(Report.swatch(run.colour, run.dash), " ");
          const value = column.value(run);
          cell.append(value === null ? "" : column.write(value));
          return cell;
        })),
      );
      table.replaceChildren(Page.element("thead", {}, Page.element("tr", {}, ...headings)), Page.element("tbody", {}, ...body));
    };
    draw();
  },

  isNumber(runs, { value }) {
    return runs.every((run) => value(run) === null || typeof value(run) === "number");
  },

  compare(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  },

  // the value of an option as people write it
  option(value, digits = 6) {
    if (value === null || value === undefined) return "";
    if (typeof value === "boolean") return value ? "yes" : "no";
    return typeof value === "number" ? Written.number(value, digits) : String(value);
  },

  // --- the samples

  samples() {
    const { runs } = Report.data;
    const having = runs.filter(({ samples }) => samples.length > 0);
    if (having.length === 0) return;
    document.getElementById("samples-part").hidden = false;
    const select = document.getElementById("sample-run");
    const button = document.getElementById("all-samples");
    document.getElementById("sample-run-label").hidden = having.length < 2;
    select.append(...having.map(({ name }, i) => Page.element("option", { value: i }, name)));
    const draw = () => {
      const run = having[Math.min(Report.choices.sampleRun, having.length - 1)];
      const { samples, n_samples: n } = run;
      const few = samples.length <= Report.FEW_SAMPLES;
      const shown = few || Report.choices.allSamples ? samples : Report.spread(samples, Report.FEW_SAMPLES);
      button.hidden = few;
      button.textContent = Report.choices.allSamples ? "Show fewer" : n > samples.length ? `Show ${samples.length} of all ${n.toLocaleString("en")}` : `Show all ${n}`;
      document.getElementById("samples").replaceChildren(
        ...shown.map(({ step, text }) => {
          const i = run.training.step.findIndex((reported) => reported >= step);
          const loss = i < 0 || !run.training.loss ? "" : `training loss ${Written.loss(run.training.loss[i])}`;
          const head = Page.element("div", {}, Page.element("b", {}, `step ${step.toLocaleString("en")}`), Page.element("span", { class: "quiet small" }, loss));
          return Page.element("li", {}, head, Page.element("p", { class: "sample", dir: "auto" }, text));
        }),
      );
    };
    select.value = String(Math.min(Report.choices.sampleRun, having.length - 1));
    select.addEventListener("change", () => {
      Report.choices.sampleRun = Number(select.value);
      draw();
      Report.keep();
    });
    button.addEventListener("click", () => {
      Report.choices.allSamples = !Report.choices.allSamples;
      draw();
      Report.keep();
    });
    draw();
  },

  // so many of them, evenly, the first and the last among them
  spread(all, n) {
    return Array.from({ length: n }, (_, i) => all[Math.round((i * (all.length - 1)) / (n - 1))]);
  },

  // --- what the runs were

  facts() {
    const { runs, different } = Report.data;
    const names = Object.keys(runs[0].options);
    const ordered = [...different, ...names.filter((name) => !different.includes(name))];
    document.getElementById("configuration-said").textContent = different.length > 0 ? "The options in which the runs differ come first." : "All options, also those that were left open, as they came out.";
    Report.factTable("configuration", ordered.map((name) => ({
      title: name.replaceAll("_", "-"),
      marked: different.includes(name),
      cells: runs.map(({ options }) => (options[name] === null ? "" : Report.option(options[name]))),
    })));
    const titles = {
      at: "begun or resumed", characters: "characters of the text", validation_characters: "of these held out", vocabulary: "distinct characters",
      parameters: "parameters", processor: "processor", cores: "cores", threads: "threads", shards: "shards of a batch", memory: "memory", system: "system",
      backend: "backend", microgpt: "microgpt", python: "Python", numpy: "NumPy",
    };
    const rows = Object.entries(titles).map(([key, title]) => ({ title, cells: runs.map((run) => Report.fact(run, key)) }));
    Report.factTable("machine", rows.filter(({ cells }) => cells.some(Boolean)));
  },

  fact(run, key) {
    if (key === "at") {
      return run.starts.filter(({ at }) => at).map(({ at, step }) => {
        const when = at.replace("T", " ").slice(0, 16);
        return step > 0 ? `${when}, at step ${step.toLocaleString("en")}` : when;
      }).join("; ");
    }
    const value = Report.start(run)[key];
    if (key === "memory" && typeof value === "number") return `${Written.number(value / 2 ** 20, 4)} MiB`;
    return Report.option(value);
  },

  // a row for each fact, and a column for each run; of a single run as many beside each other as there is room for
  factTable(id, rows) {
    const { runs } = Report.data;
    const place = document.getElementById(id);
    if (runs.length === 1) {
      const known = rows.filter(({ cells }) => cells[0] !== "");
      place.append(Page.element("dl", { class: "facts" }, ...known.map(({ title, cells }) => Page.element("div", {}, Page.element("dt", {}, title), Page.element("dd", {}, cells[0])))));
      return;
    }
    const table = Page.element("table", { class: "facts" });
    place.append(table);
    table.append(Page.element("thead", {}, Page.element("tr", {}, Page.element("th"), ...runs.map(({ name }) => Page.element("th", {}, name)))));
    table.append(Page.element("tbody", {}, ...rows.map(({ title, cells, marked }) =>
      Page.element("tr", marked ? { class: "marked" } : {}, Page.element("th", { scope: "row" }, title), ...cells.map((cell) => Page.element("td", {}, cell))))));
  },

  // --- a page of a run that goes on loads itself anew

  refresh() {
    addEventListener("pagehide", Report.keep);
    history.scrollRestoration = "manual";
    const { place, focused } = Report.kept || {};
    if (place && document.getElementById(place.id)) scrollBy({ top: Report.top(place.id) - place.top, behavior: "instant" });
    if (focused && document.getElementById(focused)) document.getElementById(focused).focus({ preventScroll: true });
    const { reload_seconds: seconds, written } = Report.data;
    const going = Report.data.runs.filter(({ state }) => state === "running");
    if (going.length === 0) return;
    const notice = document.getElementById("notice");
    const what = Report.data.runs.length === 1 ? "The run" : going.map(({ name }) => name).join(", ");
    notice.hidden = false;
    if (!seconds || Date.now() / 1000 - written > Report.STALE_SECONDS) {
      notice.textContent = `${what} ${going.length > 1 ? "were" : "was"} going on when this page was written, on ${Report.date(written)}.`;
      return;
    }
    notice.textContent = `${what} ${going.length > 1 ? "go" : "goes"} on. This page was written on ${Report.date(written)}, and looks for news every ${Math.round(seconds)} seconds.`;
    notice.setAttribute("aria-live", "off"); // else it would be read out each time
    let held = false; // nobody wants a page to change under the finger
    addEventListener("pointerdown", () => { held = true; });
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { held = false; });
    setInterval(() => {
      if (held || document.hidden) return;
      Report.keep();
      location.reload();
    }, 1000 * seconds);
  },
};

Report.begin();
