"""Where the program begins: what must be settled before anything else is imported."""

import os
import signal
import sys

# During the first imports Ctrl-C ends the program silently: an exception would be a traceback from an import.
# Only the program itself imports this module.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """The console script."""
    from microgpt.terminal import interruption, streams

    interruption.leave_at_once()
    streams.prepare()
    # BLAS's own threads make products this small slower, and take memory. What the user has set is kept.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from microgpt.cli.app import app

    try:
        app()
        code: int | str | None = 0
    except SystemExit as leaving:
        code = leaving.code
    interruption.ignore()
    code = streams.finish(code if isinstance(code, int) else int(code is not None))
    if code == interruption.INTERRUPTED:
        os._exit(code)  # a thread may still compile, which would keep the interpreter from ending
    sys.exit(code)


if __name__ == "__main__":
    main()
