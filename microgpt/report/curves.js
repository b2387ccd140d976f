"use strict";

// The curves of runs: which lines each chart has, and how far its axes reach.

const Curves = {
  FEW: 3, // up to this many runs have their unsmoothed loss drawn, too

  legend() {
    const { runs } = Report.data;
    if (runs.length < 2) return;
    const list = document.getElementById("legend");
    runs.forEach((run, i) => {
      const button = Page.element(
        "button",
        { type: "button", class: "plain", id: `run-${i}` },
        Curves.swatch(run.colour, run.dash),
        Page.element("span", {}, run.name),
      );
      const shown = () => !Report.choices.hidden.includes(run.directory);
      button.setAttribute("aria-pressed", String(shown()));
      button.addEventListener("click", () => {
        const { hidden } = Report.choices;
        Report.choices.hidden = shown()
          ? [...hidden, run.directory]
          : hidden.filter((each) => each !== run.directory);
        button.setAttribute("aria-pressed", String(shown()));
        Curves.draw();
        Report.keep();
      });
      const point = (to) => () => {
        Curves.pointed = to;
        Curves.draw();
      };
      button.addEventListener("pointerenter", point(run));
      button.addEventListener("pointerleave", point(null));
      list.append(Page.element("li", {}, button));
    });
  },

  swatch(colour, dash) {
    const svg = Page.svg("svg", { class: "swatch", width: 26, height: 10, "aria-hidden": "true" });
    svg.append(
      Page.svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, style: `--colour:${colour}`, "stroke-dasharray": dash }),
    );
    return svg;
  },

  draw() {
    const { choices } = Report;
    const { charts } = Curves;
    const reports = 1 / (1 - Curves.weight());
    document.getElementById("smoothing-said").textContent =
      choices.smoothing === 0 ? "none" : `over about ${Written.number(reports, 2)} reports`;
    document.getElementById("zoomed").hidden = choices.zoom === null;
    const runs = Report.data.runs.filter(({ directory }) => !choices.hidden.includes(directory));
    const x = Curves.xAxis(runs);
    Curves.drawLoss(charts.loss, runs, x);
    Curves.drawOne(charts.norm, runs, x, "grad_norm", "Gradient norm", {
      log: choices.logY,
      caption: "Before clipping, the mean over the steps of each report.",
    });
    Curves.drawOne(charts.rate, runs, x, "lr", "Learning rate", { zero: true });
    Curves.drawOne(charts.speed, runs, x, "chars_per_s", "Characters per second", { zero: true });
    Curves.drawOne(charts.weight, runs, x, "ngram_weight", "Weight of the n-grams", {
      of: "validation",
      zero: true,
      caption: "How much the n-grams count beside the network, fitted at each evaluation.",
    });
  },

  // of the newest point when the next is added; 0: no smoothing
  weight() {
    return 1 - 0.75 ** Report.choices.smoothing;
  },

  // averages in which each point counts less than the next one; so that the first are not too low, by their weights
  smoothed(values) {
    const weight = Curves.weight();
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
      write: isTime
        ? Written.seconds
        : (value) =>
            name === "step"
              ? `step ${value.toLocaleString("en")}`
              : `${Math.round(value).toLocaleString("en")}${unit}`,
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
      const dim = runs.includes(Curves.pointed) && Curves.pointed !== run;
      const common = { colour: run.colour, dim };
      const called = single ? (what) => what : (what) => `${run.name}, ${what}`;
      const raw = { ...common, x: training[x.name] || [], y: training.loss || [] };
      if (runs.length <= Curves.FEW) {
        if (choices.smoothing > 0) series.push({ ...raw, faint: true, width: 1 });
        if (training.loss_low)
          series.push({ ...raw, faint: true, width: 0, low: training.loss_low, high: training.loss_high });
      }
      series.push({
        ...raw,
        name: called("training"),
        y: Curves.smoothed(raw.y),
        dash: run.dash,
        width: single ? 2 : 1.25,
      });
      const other = single ? "var(--series-2)" : run.colour;
      const tested = { ...common, colour: other, x: validation[x.name] || [] };
      if (validation.val_loss)
        series.push({
          ...tested,
          name: called("validation"),
          y: validation.val_loss,
          width: 2.25,
          dash: run.dash,
          dots: validation.val_loss.length <= 60,
        });
      if (validation.network_val_loss && single)
        series.push({
          ...tested,
          name: "validation of the network alone",
          colour: "var(--series-3)",
          y: validation.network_val_loss,
          width: 1.5,
        });
    }
    const lines = Curves.lines(runs);
    const uniform = Math.max(...runs.map((run) => Run.start(run).uniform_entropy || 0));
    const range = Curves.range(series, x, {
      log: choices.logY,
      lines,
      most: uniform > 0 ? 1.15 * uniform : Infinity,
    });
    Curves.keyOfLoss(single, series);
    chart.show({
      label: `Loss in nats per character against ${x.words}`,
      caption: Curves.captionOfLoss(runs, range, single),
      series,
      lines,
      marks: Curves.marks(runs, x),
      x,
      y: { ...range, log: choices.logY, tick: Written.short, write: Written.loss },
    });
  },

  // which line is which, where there is one run
  keyOfLoss(single, series) {
    if (!single) return;
    const list = document.getElementById("legend");
    list.replaceChildren(
      ...series
        .filter(({ faint }) => !faint)
        .map(({ name, colour, dash }) =>
          Page.element("li", {}, Curves.swatch(colour, dash || ""), Page.element("span", {}, name)),
        ),
    );
  },

  captionOfLoss(runs, range, single) {
    const thinned = runs.some(({ training }) => training.loss_low);
    const mixed = runs.some(Run.hasNgrams);
    return [
      "Nats per character; lower is better.",
      mixed ? "Validation is of the network and the n-grams together, training of the network alone." : "",
      !single && runs.some(({ validation }) => validation.val_loss)
        ? "Thin lines: training; thick ones: validation."
        : "",
      thinned
        ? "The log is long, so that each point is the mean of several reports" +
          (runs.length <= Curves.FEW ? "; the stripe behind it shows their lowest and highest." : ".")
        : "",
      range.isCut
        ? `Losses above ${Written.number(range.high, 3)} are cut off here; the logarithmic vertical axis shows them.`
        : "",
    ]
      .filter(Boolean)
      .join(" ");
  },

  // what losses can be compared with: lines that several runs share are drawn once
  lines(runs) {
    const found = new Map();
    const kinds = [
      ["uniform_entropy", "guessing: ln V"],
      ["unigram_entropy", "unigram entropy"],
      ["bigram_entropy", "bigram entropy"],
      ["known_entropy", "entropy of the source"],
    ];
    for (const run of runs) {
      for (const [key, name] of kinds) {
        const y = Run.start(run)[key];
        if (typeof y === "number") found.set(`${name} ${y.toFixed(3)}`, { name: `${name} ${y.toFixed(3)}`, y });
      }
    }
    return found.size > 3 * kinds.length ? [] : [...found.values()];
  },

  // where a run was resumed
  marks(runs, x) {
    if (runs.length > Curves.FEW) return [];
    return runs.flatMap((run) =>
      run.starts
        .filter(({ step }) => step > 0)
        .map(({ step, at }) => {
          const i = run.training.step.findIndex((reported) => reported >= step);
          return {
            x: x.name === "step" ? step : (run.training[x.name] || [])[i],
            name: `resumed at step ${step}, ${at}`,
          };
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
        dim: runs.includes(Curves.pointed) && Curves.pointed !== run,
        x: run[of][x.name] || [],
        y: run[of][name],
        low: runs.length <= Curves.FEW ? run[of][`${name}_low`] : undefined,
        high: run[of][`${name}_high`],
      }));
    chart.figure.hidden = !Report.data.runs.some((run) => run[of][name]);
    if (chart.figure.hidden) return;
    const range = Curves.range(series, x, { log, zero: zero && !x.cut });
    chart.show({
      label: `${title} against ${x.words}`,
      caption,
      series,
      x,
      y: { ...range, log, tick: Written.short, write: Written.number },
    });
  },
};
