"""The program from Python: `microgpt.train` and `microgpt.load` return a `microgpt.Model`."""
