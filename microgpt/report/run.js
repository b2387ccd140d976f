"use strict";

// What a page says of a run in a few figures.

const Run = {
  last(numbers) {
    return numbers === undefined || numbers.length === 0 ? null : numbers[numbers.length - 1];
  },

  hasNgrams({ validation }) {
    return validation.network_val_loss !== undefined;
  },

  // the last start of a run knows the most of it
  start(run) {
    return run.starts.length ? run.starts[run.starts.length - 1] : {};
  },

  // where a run is, and what it has come to
  figures(run) {
    const { training, validation } = run;
    const [step, seconds, chars] = [Run.last(training.step), Run.last(training.elapsed_s), Run.last(training.chars)];
    return {
      state: run.state,
      step,
      steps: run.options.steps,
      seconds,
      speed: seconds > 0 ? (chars || 0) / seconds : 0,
      loss: Run.last(training.smoothed_loss),
      validation: Run.last(validation.val_loss),
      network: Run.last(validation.network_val_loss || validation.val_loss),
      best: (Run.best(run) || {}).loss ?? null,
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
};
