"use strict";

// What races have found: for each condition the entrants with their intervals, the pairs, and the rates.

const RaceView = {
  COLOURS: 7,

  show(race) {
    const part = Page.element("section", { class: "race" });
    if (Report.data.runs.length + Report.data.races.length > 1) part.append(Page.element("h2", {}, race.name));
    const runs = `${race.done.toLocaleString("en")} runs`;
    const left = race.left ? `, ${race.left.toLocaleString("en")} are left` : "";
    part.append(
      Page.element(
        "p",
        { class: "quiet" },
        `A race of ${race.entrants.join(", ")}: ${runs}${left}. ` +
          "Losses are in bits per character of the held-out text; lower is better.",
      ),
    );
    for (const note of race.notes) part.append(Page.element("p", { class: "notice" }, note));
    for (const finding of race.findings) part.append(...RaceView.finding(finding, race));
    if (race.findings.some(({ judgements }) => judgements.length > 0))
      part.append(Page.element("p", { class: "quiet small" }, race.how_to_read));
    return part;
  },

  finding(finding, race) {
    const parts = [Page.element("h3", { class: "condition" }, finding.condition)];
    if (finding.judgements.length === 0)
      parts.push(Page.element("p", { class: "quiet" }, "Not enough runs are done to compare anything."));
    for (const judgement of finding.judgements) parts.push(RaceView.judgement(judgement, race));
    if (finding.rates.some(({ lr }) => lr.length > 1)) parts.push(RaceView.rates(finding, race));
    return parts;
  },

  judgement(judgement, race) {
    const seeds = `${judgement.n_seeds} seed${judgement.n_seeds === 1 ? "" : "s"}`;
    const part = Page.element("div", { class: "judgement" });
    part.append(
      Page.element("p", {}, `${judgement.what}, ${seeds}: `, Page.element("strong", {}, judgement.verdict)),
    );
    const figures = Page.element("div", { class: "charts" });
    figures.append(RaceView.standings(judgement, race), RaceView.pairs(judgement, race));
    part.append(figures);
    for (const { header, rows } of judgement.tables) {
      const details = Page.element(
        "details",
        {},
        Page.element(
          "summary",
          {},
          header.includes("difference") ? "All pairs in a table" : "The entrants in a table",
        ),
      );
      details.append(Page.element("div", { class: "scrolls" }, RaceView.table(header, rows)));
      part.append(details);
    }
    for (const remark of judgement.remarks)
      part.append(Page.element("p", { class: "quiet small" }, `${remark[0].toUpperCase()}${remark.slice(1)}.`));
    return part;
  },

  table(header, rows) {
    const cells = (name, texts) => texts.map((text, i) => Page.element(name, i ? { class: "number" } : {}, Written.minus(text).replace(" - ", " − ")));
    const table = Page.element("table");
    table.append(Page.element("thead", {}, Page.element("tr", {}, ...cells("th", header))));
    table.append(Page.element("tbody", {}, ...rows.map((row) => Page.element("tr", {}, ...cells("td", row)))));
    return table;
  },

  colour(name, race) {
    return `var(--series-${1 + (race.entrants.indexOf(name) % RaceView.COLOURS)})`;
  },

  // means and their intervals, the lowest above; a dot for each seed
  standings(judgement, race) {
    const rows = [...judgement.standings]
      .sort((a, b) => a.mean - b.mean)
      .map((each) => ({
        name: each.name,
        value: each.mean,
        interval: each.interval,
        dots: each.losses,
        colour: RaceView.colour(each.name, race),
        said: each.mean.toFixed(4),
      }));
    return new Intervals(rows, {
      heading: "Bits per character",
      caption: "Each mean with its 95% interval, and a dot for each seed.",
    }).figure;
  },

  // differences of pairs and their intervals, besides 0
  pairs(judgement, race) {
    const rows = judgement.pairs.slice(0, 40).map((pair) => ({
      name: `${pair.first} − ${pair.second}`,
      value: pair.difference,
      interval: pair.interval,
      dots: [],
      colour: pair.winner === null ? "var(--quiet)" : RaceView.colour(pair.winner, race),
      said: Written.minus(pair.difference.toFixed(4)),
    }));
    const more =
      judgement.pairs.length > rows.length
        ? ` The first ${rows.length} of ${judgement.pairs.length} pairs; the table has all.`
        : "";
    const caption =
      "Each difference with its 95% interval; coloured where one of the two was found to be better. " +
      `Within ${race.smallest_difference} (the stripe) differences are of no interest.${more}`;
    return new Intervals(rows, {
      heading: "Differences of pairs",
      caption,
      zero: true,
      stripe: race.smallest_difference,
    }).figure;
  },

  rates(finding, race) {
    const figure = Page.element(
      "figure",
      { class: "chart" },
      Page.element("h3", {}, "Learning rates that were tried"),
    );
    const series = finding.rates
      .filter(({ lr }) => lr.length > 0)
      .map(({ name, lr, bits }) => ({ name, colour: RaceView.colour(name, race), x: lr, y: bits, dots: true }));
    const x = series.flatMap((each) => each.x);
    const y = series.flatMap((each) => each.y).filter((bits) => bits !== null);
    if (y.length === 0) return figure;
    const room = (Math.max(...y) - Math.min(...y) || 0.1) * 0.06;
    new Chart(figure, 260).show({
      label: `Bits per character against the learning rate, ${finding.condition}`,
      caption: "The mean over the tuning seeds, in bits per character of the held-out text; the lowest was chosen.",
      series,
      x: {
        low: Math.min(...x) / 1.1,
        high: Math.max(...x) * 1.1,
        log: true,
        tick: Written.short,
        write: (lr) => `rate ${Written.number(lr, 3)}`,
      },
      y: {
        low: Math.min(...y) - room,
        high: Math.max(...y) + room,
        log: false,
        tick: Written.short,
        write: Written.loss,
      },
    });
    return figure;
  },
};
