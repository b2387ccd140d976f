"""How a run begins: anew, with the weights of another run, or where it stopped."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt.config import SIZES, TrainConfig
from microgpt.errors import MicrogptError, UsageError, shown, shown_path
from microgpt.recipes import RECIPES

# almost two years
MOST_MINUTES = 1_000_000

if TYPE_CHECKING:  # what is wrong with the options is said before anything heavy is imported
    from microgpt.checkpoint.saved import SavedModel
    from microgpt.machine.team import Team
    from microgpt.text.reading import Text
    from microgpt.training.output import Output
    from microgpt.training.reporter import Reporter, Result


def start(
    options: Mapping[str, Any],
    reporter: Reporter,
    *,
    minutes: float | None = None,
    recipe: str | None = None,
    resume: Path | None = None,
    extend_vocabulary: bool = False,
    content: bytes | None = None,
    output: Output | None = None,
    team: Team | None = None,
) -> Result:
    """Start a run with those options of TrainConfig that the user has given.

    minutes            for a new run: choose those that were not given so that training takes this time
    recipe             a name in RECIPES, of options that a new run has unless they are given otherwise
    resume             the run directory to go on in, or the optimizer.safetensors in it; options that are not
                       given stay what they were
    extend_vocabulary  with `weights` among the options: add the text's new characters to those they know
    content, output    for a new run, as `train` has them
    team               as `train` has it

    Raises UsageError for options that make no sense together, and MicrogptError like `train`.
    """
    if recipe is not None and recipe not in RECIPES:
        raise UsageError(f"--recipe {shown(recipe)}: there is {', '.join(RECIPES)}")
    if recipe is not None and resume is not None:
        raise UsageError("--resume goes on with the options of the run: leave --recipe away")
    others = RECIPES[recipe] if recipe is not None else {}
    if extend_vocabulary and "weights" not in options:
        raise UsageError("--extend-vocabulary is for a run with the weights of another one: add --from RUN")
    if minutes is not None:
        _check_minutes(minutes, options, resume)
        if team is not None:
            raise UsageError("--minutes measures a single process: with mpiexec, give --steps")
    if resume is not None:
        return _resume(resume, options, reporter, team)
    if "weights" in options:
        return _begin_with_weights(
            options,
            reporter,
            others,
            minutes,
            extend_vocabulary=extend_vocabulary,
            content=content,
            output=output,
            team=team,
        )
    if "file" not in options:
        raise UsageError("which text? microgpt train FILE")
    options = {**others, **_with_replicas(options, team)}
    config = _checked(options if minutes is None else _without_chosen(options))
    from microgpt.training.train import read_for, train

    if minutes is None:
        return train(config, reporter, content=content, output=output, team=team)
    text = read_for(config, content)
    return _train_for(minutes, text, config, options, reporter, output)


def _check_minutes(minutes: float, options: Mapping[str, Any], resume: Path | None) -> None:
    if not 0 < minutes < MOST_MINUTES:
        raise UsageError(f"--minutes must be more than 0 and below {MOST_MINUTES:,}, not {minutes:g}")
    if "steps" in options:
        raise UsageError("--minutes chooses the steps: give one of --minutes and --steps")
    if options.get("local_steps") is not None or options.get("replicas") is not None:
        raise UsageError(
            "--minutes measures a single process that trains one model: with --local-steps, give --steps"
        )
    if resume is not None:
        raise UsageError(
            "--resume goes on with the steps that the run has: leave --minutes away, or begin a new run with "
            f"its weights: microgpt train FILE --from {shown_path(resume)} --minutes {minutes:g}"
        )


def _with_replicas(options: Mapping[str, Any], team: Team | None) -> Mapping[str, Any]:
    """One replica for each process, where local steps are wanted and nothing else is said."""
    if team is None or "local_steps" not in options or "replicas" in options:
        return options
    return {**options, "replicas": team.size}


def _without_chosen(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that can be checked before those are chosen that they depend on."""
    checkable = {"val_fraction": 0.1, **options}
    if "d_model" not in options:
        checkable.pop("heads", None)
    return checkable


def _train_for(
    minutes: float,
    text: Text,
    checked: TrainConfig,
    given: Mapping[str, Any],
    reporter: Reporter,
    output: Output | None,
    weights: SavedModel | None = None,
) -> Result:
    """Choose the options that are not given for this time, and train with them."""
    from microgpt.training.directory import claim
    from microgpt.training.ladder import NoSizeError
    from microgpt.training.output import files
    from microgpt.training.plan import reasons
    from microgpt.training.speed import plan_for
    from microgpt.training.train import train

    with contextlib.ExitStack() as stack:
        if output is None:  # before anything is measured: nobody should wait for a directory that is taken
            output = stack.enter_context(files(claim(checked.out, checked.default_out), reporter.note))
        try:
            plan, speed = plan_for(60 * minutes, text, given, reporter)
        except NoSizeError as error:
            raise UsageError(f"{error}; no size that --minutes may choose goes with these options") from None
        for line in reasons(plan, minutes, given, speed):
            reporter.note(line)
        return train(plan.config, reporter, text=text, weights=weights, output=output)


def _resume(resume: Path, options: Mapping[str, Any], reporter: Reporter, team: Team | None) -> Result:
    for name, option in (("out", "--out"), ("weights", "--from")):
        if name in options:
            raise UsageError(f"--resume goes on in the directory of the run: leave {option} away")
    if not resume.exists():
        raise MicrogptError(f"there is no run {shown_path(resume)}")
    from microgpt.checkpoint import saved as checkpoint
    from microgpt.training.directory import reopen
    from microgpt.training.output import files
    from microgpt.training.resuming import check_text_is_there
    from microgpt.training.train import train

    directory = resume if resume.is_dir() else resume.parent
    with files(reopen(directory), reporter.note) as output:
        saved = checkpoint.load_state(resume)
        if resume.is_file() and resume.name != checkpoint.STATE_FILE:
            raise MicrogptError(
                f"{shown_path(resume)} is a copy; a run goes on from the {checkpoint.STATE_FILE} of its own "
                "directory"
            )
        before = dataclasses.asdict(saved.config)
        if saved.config.replicas is None:
            options = _with_replicas(options, team)
        config = _checked(options, before, "a resumed run keeps the sizes that it began with")
        check_text_is_there(config, directory)
        return train(config, reporter, resumed=saved, output=output, team=team)


def _begin_with_weights(
    options: Mapping[str, Any],
    reporter: Reporter,
    others: Mapping[str, Any],
    minutes: float | None,
    *,
    extend_vocabulary: bool,
    content: bytes | None,
    output: Output | None,
    team: Team | None,
) -> Result:
    if "file" not in options:
        raise UsageError("which text? microgpt train FILE --from RUN")
    from microgpt.checkpoint import saved as checkpoint
    from microgpt.training.train import read_for, train
    from microgpt.training.warm_start import check_alike, options_of

    weights = checkpoint.load_model(Path(options["weights"]))
    reporter.note(
        f"beginning with {shown_path(weights.path)}, the weights of step {weights.notes.get('step')}"
    )
    before = {**others, **options_of(weights)}
    options = _with_replicas(options, team)
    config = _checked(options, before, "the sizes are those of the weights")
    if minutes is not None:
        check_alike(weights.architecture, config.architecture(weights.architecture.vocabulary_size))
        text = read_for(config, content, weights, extend_vocabulary=extend_vocabulary)
        return _train_for(minutes, text, config, {**before, **options}, reporter, output, weights)
    return train(
        config,
        reporter,
        content=content,
        weights=weights,
        extend_vocabulary=extend_vocabulary,
        output=output,
        team=team,
    )


def _checked(
    options: Mapping[str, Any], before: Mapping[str, Any] | None = None, hint: str = ""
) -> TrainConfig:
    """The options as a whole, after those of `before`. Raises UsageError, which ends in the hint where other
    sizes than those of `before` are what is wrong."""
    before = before or {}
    try:
        return TrainConfig(**{**before, **options})
    except MicrogptError as error:
        others = {name: value for name, value in options.items() if name not in SIZES}
        sizes_are_wrong = before and _is_valid({**before, **others})
        raise UsageError(f"{error}; {hint}" if sizes_are_wrong else str(error)) from None


def _is_valid(options: Mapping[str, Any]) -> bool:
    try:
        TrainConfig(**options)
    except MicrogptError:
        return False
    return True
