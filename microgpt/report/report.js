"use strict";

// The page of a report: what it begins with, the choices of its reader, and how it refreshes itself.

const Report = {
  data: Data.read("report"),
  KEY: `microgpt-report ${location.pathname}`,
  DASHES: ["", "6 4", "2 3", "10 3 2 3"],
  COLOURS: 7,
  STALE_SECONDS: 900, // a page that has not been written for this long is not waited for any more

  choices: {
    x: "step",
    part: "1",
    smoothing: 0,
    logX: false,
    logY: false,
    hidden: [],
    zoom: null,
    sampleRun: 0,
    allSamples: false,
    sort: null,
  },

  begin() {
    const { runs, races } = Report.data;
    Report.remember();
    const several = (n, words) => (n === 0 ? [] : [`${n} ${words}${n === 1 ? "" : "s"}`]);
    const [first, ...others] = [...runs, ...races];
    document.getElementById("title").textContent =
      others.length === 0 ? first.name : [...several(runs.length, "run"), ...several(races.length, "race")].join(" and ");
    document.getElementById("footer").textContent =
      `Written by microgpt ${Report.data.microgpt} on ${Report.date(Report.data.written)}.`;
    if (runs.length > 0) {
      document.getElementById("runs").hidden = false;
      runs.forEach((run, i) => {
        run.colour = `var(--series-${1 + (i % Report.COLOURS)})`;
        run.dash = Report.DASHES[Math.floor(i / Report.COLOURS) % Report.DASHES.length];
      });
      Report.lede();
      Tables.numbers();
      Curves.charts = {};
      for (const name of ["loss", "norm", "rate", "speed", "weight"]) {
        Curves.charts[name] = new Chart(
          document.getElementById(`chart-${name}`),
          name === "loss" ? 440 : 230,
          Report.zoom,
        );
      }
      Report.controls();
      Curves.legend();
      Curves.draw();
      Tables.comparison();
      Tables.samples();
      Tables.facts();
    } else {
      document.getElementById("lede").textContent =
        races.length === 1 ? "What a race has found." : "What races have found.";
    }
    document.getElementById("races").append(...races.map(RaceView.show));
    Report.refresh();
  },

  date(seconds) {
    return new Date(1000 * seconds).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "medium" });
  },

  lede() {
    const { runs, different } = Report.data;
    const text = document.getElementById("lede");
    if (runs.length > 1) {
      const names = different.map((name) => name.replaceAll("_", "-")).join(", ") || "none of their options";
      text.textContent = `They differ in ${names}.`;
      return;
    }
    const [run] = runs;
    const { characters, parameters } = Run.start(run);
    const of = characters ? `, ${characters.toLocaleString("en")} characters` : "";
    const size = parameters
      ? `; ${parameters.toLocaleString("en")} parameters, heads ${run.options.heads}`
      : `; heads ${run.options.heads}`;
    text.textContent = `Trained on ${run.options.file}${of}${size}.`;
  },

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
    const tops = [...document.querySelectorAll("main [id]")]
      .filter((element) => element.offsetParent)
      .map(({ id }) => ({ id, top: Report.top(id) }));
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
        Curves.draw();
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
    Curves.draw();
    Report.keep();
  },

  refresh() {
    addEventListener("pagehide", Report.keep);
    history.scrollRestoration = "manual";
    const { place, focused } = Report.kept || {};
    if (place && document.getElementById(place.id))
      scrollBy({ top: Report.top(place.id) - place.top, behavior: "instant" });
    if (focused && document.getElementById(focused)) document.getElementById(focused).focus({ preventScroll: true });
    const { reload_seconds: seconds, written } = Report.data;
    const going = Report.data.runs.filter(({ state }) => state === "running");
    if (going.length === 0) return;
    const notice = document.getElementById("notice");
    const what = Report.data.runs.length === 1 ? "The run" : going.map(({ name }) => name).join(", ");
    notice.hidden = false;
    if (!seconds || Date.now() / 1000 - written > Report.STALE_SECONDS) {
      const were = going.length > 1 ? "were" : "was";
      notice.textContent = `${what} ${were} going on when this page was written, on ${Report.date(written)}.`;
      return;
    }
    notice.textContent =
      `${what} ${going.length > 1 ? "go" : "goes"} on. This page was written on ${Report.date(written)}, ` +
      `and looks for news every ${Math.round(seconds)} seconds.`;
    notice.setAttribute("aria-live", "off"); // else it would be read out each time
    let held = false; // nobody wants a page to change under the finger
    addEventListener("pointerdown", () => {
      held = true;
    });
    for (const end of ["pointerup", "pointercancel"])
      addEventListener(end, () => {
        held = false;
      });
    setInterval(() => {
      if (held || document.hidden) return;
      Report.keep();
      location.reload();
    }, 1000 * seconds);
  },
};

Report.begin();
