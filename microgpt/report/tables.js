"use strict";

// What stands beside the curves: the figures of a run, runs in a table, samples, options and machines.

const Tables = {
  FEW_SAMPLES: 6,

  // the figures of a single run
  numbers() {
    const { runs } = Report.data;
    if (runs.length > 1) return;
    const best = Run.best(runs[0]);
    const figures = Run.figures(runs[0]);
    const mixed = Run.hasNgrams(runs[0]);
    const facts = [
      [
        Written.loss(figures.validation),
        `validation${mixed ? " of network and n-grams" : ""}, nats per character`,
      ],
      [figures.validation === null ? "" : (figures.validation / Math.LN2).toFixed(4), "the same in bits"],
      [mixed ? Written.loss(figures.network) : "", "validation of the network alone"],
      [Written.loss(figures.loss), "training, smoothed"],
      [
        best && Written.loss(best.loss) !== Written.loss(figures.validation) ? Written.loss(best.loss) : "",
        best ? `best validation, at step ${best.step.toLocaleString("en")}` : "",
      ],
      [
        `${figures.step.toLocaleString("en")}${figures.state === "done" ? "" : ` of ${figures.steps.toLocaleString("en")}`}`,
        "steps",
      ],
      [Written.seconds(figures.seconds), "of training"],
      [Written.short(Number(figures.speed.toPrecision(3))), "characters per second"],
    ];
    const list = document.getElementById("numbers");
    for (const [number, words] of facts) {
      if (number !== "")
        list.append(Page.element("div", {}, Page.element("dt", {}, words), Page.element("dd", {}, number)));
    }
  },

  comparison() {
    const { runs, different } = Report.data;
    if (runs.length < 2) return;
    const mixed = runs.some(Run.hasNgrams);
    document.getElementById("comparison").hidden = false;
    document.getElementById("comparison-said").textContent =
      "A heading sorts the runs by its column." +
      (mixed ? " For runs with n-grams, validation is of network and n-grams together." : "");
    const results = (all) =>
      all.map(([title, key, write]) => ({ title, value: (run) => Run.figures(run)[key], write }));
    const columns = [
      { title: "run", value: (run) => run.name, write: (value) => value },
      ...results([
        ["validation", "validation", Written.loss],
        ["best validation", "best", Written.loss],
        ...(mixed ? [["network alone", "network", Written.loss]] : []),
        ["training, smoothed", "loss", Written.loss],
      ]),
      ...different.map((name) => ({
        title: name.replaceAll("_", "-"),
        value: (run) => run.options[name],
        write: (value) => Tables.option(value, 4),
      })),
      ...results([
        ["steps done", "step", Written.number],
        ["time", "seconds", Written.seconds],
        ["characters/s", "speed", (speed) => Written.short(Number(speed.toPrecision(3)))],
        ["state", "state", (state) => state],
      ]),
    ].filter(({ title, value }) =>
      runs.some(
        (run) =>
          value(run) !== null &&
          (title !== "best validation" || Written.loss(value(run)) !== Written.loss(Run.figures(run).validation)),
      ),
    );
    const table = document.getElementById("compared");
    const draw = () => {
      const { sort } = Report.choices;
      const chosen = columns.find(({ title }) => sort && title === sort.title);
      const rows = [...runs];
      if (chosen) rows.sort((a, b) => sort.sign * Tables.compare(chosen.value(a), chosen.value(b)));
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
        return Page.element(
          "th",
          { "aria-sort": order, class: Tables.isNumber(runs, columns[i]) ? "number" : "" },
          button,
        );
      });
      const body = rows.map((run) =>
        Page.element(
          "tr",
          {},
          ...columns.map((column, i) => {
            const cell = Page.element("td", { class: Tables.isNumber(runs, column) ? "number" : "" });
            if (i === 0) cell.append(Curves.swatch(run.colour, run.dash), " ");
            const value = column.value(run);
            cell.append(value === null ? "" : column.write(value));
            return cell;
          }),
        ),
      );
      table.replaceChildren(
        Page.element("thead", {}, Page.element("tr", {}, ...headings)),
        Page.element("tbody", {}, ...body),
      );
    };
    draw();
  },

  isNumber(runs, { value }) {
    return runs.every((run) => value(run) === null || typeof value(run) === "number");
  },

  compare(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  },

  // the value of an option as people write it
  option(value, digits = 6) {
    if (value === null || value === undefined) return "";
    if (typeof value === "boolean") return value ? "yes" : "no";
    return typeof value === "number" ? Written.number(value, digits) : String(value);
  },

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
      const few = samples.length <= Tables.FEW_SAMPLES;
      const shown = few || Report.choices.allSamples ? samples : Tables.spread(samples, Tables.FEW_SAMPLES);
      button.hidden = few;
      button.textContent = Report.choices.allSamples
        ? "Show fewer"
        : n > samples.length
          ? `Show ${samples.length} of all ${n.toLocaleString("en")}`
          : `Show all ${n}`;
      const known = samples.find(({ copies }) => copies);
      document.getElementById("samples-said").textContent =
        "What the model writes on its own, after each number of steps." +
        (known ? ` Copies of more than ${known.copies.longer_than} characters from its text are underlined.` : "") +
        (n === 1 ? " In training, --sample-every 500 keeps more." : "");
      document.getElementById("samples").replaceChildren(
        ...shown.map(({ step, text, copies }) => {
          const i = run.training.step.findIndex((reported) => reported >= step);
          const { smoothed_loss: losses } = run.training;
          const loss = i < 0 || !losses ? "" : `training loss, smoothed: ${Written.loss(losses[i])}`;
          const head = Page.element(
            "div",
            {},
            Page.element("b", {}, `step ${step.toLocaleString("en")}`),
            Page.element("span", { class: "quiet small" }, loss),
            Page.element("span", { class: "quiet small" }, copies ? Tables.copied(copies) : ""),
          );
          const written = Page.element("p", { class: "sample", dir: "auto" }, ...Tables.underlined(text, copies));
          return Page.element("li", {}, head, written);
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

  // what of a sample is copied
  copied({ share, longest, longer_than: least }) {
    const from = longest
      ? `; longest ${longest.end - longest.begin} characters, from line ${longest.line.toLocaleString("en")}`
      : "";
    const how = share > 0 ? `${Written.number(100 * share, 2)}% is copied` : `no copy of more than ${least} characters`;
    return `${how}${from}`;
  },

  // a sample in pieces, of which the copies are underlined; places count characters, not halves of them
  underlined(text, copies) {
    if (!copies) return [text];
    const characters = Array.from(text);
    const piece = (begin, end) => characters.slice(begin, end).join("");
    let done = 0;
    const pieces = copies.spans.flatMap(([begin, end]) => {
      const before = piece(done, begin);
      done = end;
      return [before, Page.element("u", {}, piece(begin, end))];
    });
    return [...pieces, piece(done)];
  },

  // n of them, evenly, the first and the last among them
  spread(all, n) {
    return Array.from({ length: n }, (_, i) => all[Math.round((i * (all.length - 1)) / (n - 1))]);
  },

  facts() {
    const { runs, different } = Report.data;
    const names = Object.keys(runs[0].options);
    const ordered = [...different, ...names.filter((name) => !different.includes(name))];
    document.getElementById("configuration-said").textContent =
      different.length > 0
        ? "The options in which the runs differ come first."
        : "All options, also those that were left open, as they came out.";
    Tables.factTable(
      "configuration",
      ordered.map((name) => ({
        title: name.replaceAll("_", "-"),
        marked: different.includes(name),
        cells: runs.map(({ options }) => Tables.option(options[name])),
      })),
    );
    const titles = {
      at: "begun or resumed",
      characters: "characters of the text",
      validation_characters: "of these held out",
      vocabulary: "distinct characters",
      parameters: "parameters",
      processor: "processor",
      cores: "cores",
      processes: "processes",
      threads: "threads of each process",
      shards: "shards of a batch",
      memory: "memory",
      system: "system",
      backend: "backend",
      microgpt: "microgpt",
      python: "Python",
      numpy: "NumPy",
    };
    const rows = Object.entries(titles).map(([key, title]) => ({
      title,
      cells: runs.map((run) => Tables.fact(run, key)),
    }));
    Tables.factTable("machine", rows);
  },

  fact(run, key) {
    if (key === "at") {
      return run.starts
        .filter(({ at }) => at)
        .map(({ at, step }) => {
          const when = at.replace("T", " ").slice(0, 16);
          return step > 0 ? `${when}, at step ${step.toLocaleString("en")}` : when;
        })
        .join("; ");
    }
    const value = Run.start(run)[key];
    if (key === "memory" && typeof value === "number") return `${Written.number(value / 2 ** 20, 4)} MiB`;
    return Tables.option(value);
  },

  // a row for each fact, and a column for each run; of a single run as many beside each other as there is room for
  factTable(id, rows) {
    const { runs } = Report.data;
    const known = rows.filter(({ cells }) => cells.some(Boolean));
    const place = document.getElementById(id);
    if (runs.length === 1) {
      place.append(
        Page.element(
          "dl",
          { class: "facts" },
          ...known.map(({ title, cells }) =>
            Page.element("div", {}, Page.element("dt", {}, title), Page.element("dd", {}, cells[0])),
          ),
        ),
      );
      return;
    }
    const table = Page.element("table", { class: "facts" });
    place.append(table);
    table.append(
      Page.element(
        "thead",
        {},
        Page.element("tr", {}, Page.element("th"), ...runs.map(({ name }) => Page.element("th", {}, name))),
      ),
    );
    table.append(
      Page.element(
        "tbody",
        {},
        ...known.map(({ title, cells, marked }) =>
          Page.element(
            "tr",
            marked ? { class: "marked" } : {},
            Page.element("th", { scope: "row" }, title),
            ...cells.map((cell) => Page.element("td", /^[\d,.]+$/.test(cell) ? { class: "whole" } : {}, cell)),
          ),
        ),
      ),
    );
  },
};
