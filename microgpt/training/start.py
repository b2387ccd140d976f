"""How a run begins: anew, with the weights of another run, or where it stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, UsageError, shown_path

if TYPE_CHECKING:  # what is wrong with the options is said before anything heavy is imported
    from microgpt.training.output import Output
    from microgpt.training.reporter import Reporter, Result


def start(
    options: Mapping[str, Any],
    reporter: Reporter,
    *,
    resume: Path | None = None,
    extend_vocabulary: bool = False,
    content: bytes | None = None,
    output: Output | None = None,
) -> Result:
    """A run with these options of TrainConfig, as far as they were given.

    resume             the run directory to go on in, or its optimizer.safetensors; what was not given is as
                       it was
    extend_vocabulary  with weights: add the text's new characters to those that they know
    content, output    of a new run, as for `run.train`

    Raises UsageError for options that cannot be meant, and MicrogptError like `run.train`.
    """
    if extend_vocabulary and "weights" not in options:
        raise UsageError("--extend-vocabulary is for a run with the weights of another one: add --from RUN")
    if resume is not None:
        return _resume(resume, options, reporter)
    if "weights" in options:
        return _begin_with_weights(
            options, reporter, extend_vocabulary=extend_vocabulary, content=content, output=output
        )
    settings = _checked(options)
    from microgpt.training import run

    return run.train(settings, reporter, content=content, output=output)


def _resume(resume: Path, options: Mapping[str, Any], reporter: Reporter) -> Result:
    for name, option in (("out", "--out"), ("weights", "--from")):
        if name in options:
            raise UsageError(f"--resume goes on in the directory of the run: leave {option} away")
    if not resume.exists():
        raise MicrogptError(f"there is no run {shown_path(resume)}")
    from microgpt.checkpoint import saved as checkpoint
    from microgpt.training import run
    from microgpt.training.directory import reopen
    from microgpt.training.output import files

    with files(reopen(resume if resume.is_dir() else resume.parent), reporter.note) as output:
        saved = checkpoint.load_state(resume)
        if resume.is_file() and resume.name != checkpoint.STATE_FILE:
            raise MicrogptError(
                f"{shown_path(resume)} is a copy; a run goes on from the {checkpoint.STATE_FILE} of its own "
                "directory"
            )
        settings = _checked(
            {**dataclasses.asdict(saved.config), **options},
            "a resumed run keeps the sizes that it began with",
        )
        return run.train(settings, reporter, resumed=saved, output=output)


def _begin_with_weights(
    options: Mapping[str, Any],
    reporter: Reporter,
    *,
    extend_vocabulary: bool,
    content: bytes | None,
    output: Output | None,
) -> Result:
    from microgpt.checkpoint import saved as checkpoint
    from microgpt.training import run
    from microgpt.training.warm_start import options_of

    weights = checkpoint.load_model(Path(options["weights"]))
    reporter.note(
        f"beginning with {shown_path(weights.path)}, the weights of step {weights.notes.get('step')}"
    )
    settings = _checked({**options_of(weights), **options}, "the sizes are those of the weights")
    return run.train(
        settings,
        reporter,
        content=content,
        weights=weights,
        extend_vocabulary=extend_vocabulary,
        output=output,
    )


def _checked(options: Mapping[str, Any], hint: str = "") -> TrainConfig:
    """The options as a whole: what is wrong with them is wrong usage."""
    if "file" not in options:
        raise UsageError("which text? microgpt train FILE")
    try:
        return TrainConfig(**options)
    except MicrogptError as error:
        raise UsageError(f"{error}; {hint}" if hint else str(error)) from None
