"""The same model in other libraries, trained for comparison with ours: `python -m benchmarks.peers`.

    problem.py   what every program is given: sizes, initial values, batches, and the work in a step
    ours.py pytorch.py jax_.py peak.py   the programs; each has program(problem, threads, variant) -> advance
    systems.py   the table of systems: which program and variant, and with which settings
    turns.py     a process for each program, which runs when it is asked to
    agreement.py the check that all programs train the same model
    table.py     what is printed
    __main__.py  the command line, and the rounds

Modules that import PyTorch or JAX are imported in separate processes, so neither has to be installed.
"""
