"use strict";

// The scales of axes: from numbers to places on the page, where their ticks are, and how numbers are written.

const Scale = {
  // place(value) lies between `from` and `to`, in proportion or by the logarithm
  make(low, high, from, to, log) {
    if (log) {
      const [a, b] = [Math.log(low), Math.log(high)];
      const factor = (to - from) / (b - a || 1);
      return {
        low,
        high,
        log,
        place: (value) => from + (Math.log(value) - a) * factor,
        value: (place) => Math.exp(a + (place - from) / factor),
      };
    }
    const factor = (to - from) / (high - low || 1);
    return {
      low,
      high,
      log,
      place: (value) => from + (value - low) * factor,
      value: (place) => low + (place - from) / factor,
    };
  },

  // about `count` numbers from low to high that people find round; of seconds those that a clock has
  ticks(low, high, count, log, isTime) {
    if (log) {
      const found = Scale.decades(low, high, count);
      if (found.length > 1) return found;
    }
    const step = isTime ? Scale.timeStep((high - low) / count) : Scale.roundStep((high - low) / count);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
    return ticks;
  },

  // 1, 2 and 5 in each power of ten; more where there is hardly one, and the powers alone where there are many
  decades(low, high, count) {
    const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const wide = Math.log10(high / low);
    const every = Math.max(1, Math.ceil(wide / count));
    const factors = wide < 1.2 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : wide <= count / 2 ? [1, 2, 5] : [1];
    const ticks = [];
    for (let power = every * Math.ceil(first / every); power <= last; power += every) {
      for (const factor of factors) {
        const tick = factor * 10 ** power;
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push(tick);
      }
    }
    return ticks;
  },

  roundStep(least) {
    const power = 10 ** Math.floor(Math.log10(least));
    return power * [1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9));
  },

  timeStep(least) {
    const clock = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
    if (least <= 1) return Scale.roundStep(least);
    return clock.find((step) => step >= least) || 86400 * Scale.roundStep(least / 86400);
  },
};

const Written = {
  // texts with numbers, of which the negative ones have a minus in place of a hyphen
  minus(text) {
    return text.replace(/(^|[\s(])-(?=\d)/g, "$1−");
  },

  // with this many digits, and commas between thousands: 1.235, 12,350
  number(value, digits = 4) {
    if (value === null || value === undefined) return "";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e12))
      return Written.minus(value.toExponential(Math.max(0, digits - 2)).replace("e+", "e"));
    return Written.minus(
      value.toLocaleString(
        "en",
        size >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: digits },
      ),
    );
  },

  // with four digits after the point, as losses have them
  loss(value) {
    return value === null || value === undefined ? "" : value < 1000 ? value.toFixed(4) : Written.number(value);
  },

  // for ticks: 1,500 is 1.5k, 2,000,000 is 2M
  short(value) {
    const size = Math.abs(value);
    for (const [unit, letter] of [
      [1e12, "T"],
      [1e9, "G"],
      [1e6, "M"],
      [1e3, "k"],
    ]) {
      if (size >= unit) return Written.minus(`${Number((value / unit).toPrecision(6))}${letter}`);
    }
    if (size !== 0 && size < 1e-3)
      return Written.minus(Number(value.toPrecision(3)).toExponential().replace("e+", "e"));
    return Written.minus(String(Number(value.toPrecision(6))));
  },

  // 75 is 1:15 min
  seconds(value) {
    if (value === null || value === undefined) return "";
    if (value < 59.5) return `${Number(value.toPrecision(value < 10 ? 2 : 3))} s`;
    const pair = (large, small) => (small ? `${large}:${String(small).padStart(2, "0")}` : String(large));
    const seconds = Math.round(value);
    if (seconds < 3600) return `${pair(Math.floor(seconds / 60), seconds % 60)} min`;
    const minutes = Math.round(value / 60);
    if (minutes < 48 * 60) return `${pair(Math.floor(minutes / 60), minutes % 60)} h`;
    return `${Number((value / 86400).toPrecision(3))} d`;
  },
};
