"""A reporter that shows nothing and can press Ctrl-C, and a function that resumes a run with it."""

import signal

from microgpt.checkpoint.saved import load_state
from microgpt.training.directory import reopen
from microgpt.training.output import files
from microgpt.training.train import train


class Silent:
    """A reporter that presses Ctrl-C after some steps."""

    def __init__(self, stop_at=None):
        self.stop_at, self.summary, self.reports, self.samples, self.notes = stop_at, None, [], [], []

    def started(self, summary):
        self.summary = summary

    def advanced(self, metrics):
        if self.stop_at is not None and metrics["step"] >= self.stop_at:
            signal.raise_signal(signal.SIGINT)

    def reported(self, metrics):
        self.reports.append(metrics)

    def sampled(self, step, text):
        self.samples.append((step, text))

    def note(self, text):
        self.notes.append(text)

    def working(self, what, so_far):
        self.notes.append(what)

    def idle(self):
        pass


def resume(config, reporter, directory):
    """Resume the run in a directory."""
    with files(reopen(directory), reporter.note) as output:
        return train(config, reporter, resumed=load_state(directory), output=output)
