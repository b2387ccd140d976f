"""Whether a run can go on exactly with the options and the text that it is given."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from microgpt.checkpoint.saved import MODEL_FILE, SavedState
from microgpt.config import SIZES, TrainConfig
from microgpt.errors import MicrogptError
from microgpt.model.architecture import Architecture
from microgpt.terminal.invocation import pasteable
from microgpt.text.opening import IN_MEMORY, STANDARD_INPUT, text_name
from microgpt.text.reading import Text
from microgpt.training.differences import said

# The options that may change when a run is resumed, because no step depends on them. The text is compared by
# its hash, and not by its name.
MAY_CHANGE = frozenset(
    {"file", "out", "weights", "backend", "threads", "memory_cap", "eval_every", "sample_every", "snapshots"}
)


def from_weights(config: TrainConfig, run: Path) -> str:
    """The command for a new run with these options that begins with the last weights of a run's directory."""
    config = config.reopened()
    # without learned positions, a model may go on with chunks of another length
    words: list[object] = [] if config.positions == "learned" else ["--seq-len", config.seq_len]
    for field in dataclasses.fields(TrainConfig):
        value = getattr(config, field.name)
        # the other sizes are those of the weights, and the new run gets a directory of its own
        if field.name not in {"file", "weights", "out", *SIZES} and value != field.default:
            words += [f"--{field.name.replace('_', '-')}", value]
    file = "FILE" if Path(config.file) == IN_MEMORY else Path(config.file)
    return pasteable("train", file, "--from", run / MODEL_FILE, *words)


def check_text_is_there(config: TrainConfig, run: Path) -> None:
    """Raise MicrogptError, which says how to resume the run with its text in another place, if there is no
    file of this name."""
    file = Path(config.file)
    if file == IN_MEMORY:
        raise MicrogptError(
            "the text of this run was in memory: save it as a UTF-8 file, and name that, "
            + pasteable("train", "FILE", "--resume", run)
        )
    if file != STANDARD_INPUT and not file.exists():
        raise MicrogptError(
            f"there is no file {text_name(file)}, which this run reads: if its text lies elsewhere now, "
            + pasteable("train", "NEW_PATH", "--resume", run)
        )


def other_additions(state: SavedState, n_shards: int) -> str | None:
    """What to say of a run of an earlier version that goes on with another order of additions; else None."""
    if state.added_as_a_tree or n_shards < 4:  # of up to three shards both orders are the same
        return None
    return (
        "this run was begun by an earlier version, which added the gradients of a batch in another order:"
        f" from step {state.step} on, losses may differ in their last digits from what they would have been"
    )


def check_resumable(state: SavedState, architecture: Architecture, config: TrainConfig, text: Text) -> None:
    """Raise MicrogptError, with every difference, unless a run with these options goes on exactly, and there
    is something left to do."""
    old, new = state.config.resolved(), config.resolved()
    run = state.path.parent
    new_run = from_weights(dataclasses.replace(config, positions=state.config.positions), run)
    constant = old.schedule == new.schedule == "constant"
    free = MAY_CHANGE | {"steps", "min_lr"} if constant else MAY_CHANGE
    different = []
    for field in dataclasses.fields(TrainConfig):
        before, after = getattr(old, field.name), getattr(new, field.name)
        # what is left open, or a name of a layout, means something else only if another option does
        same_words = getattr(state.config, field.name) == getattr(config, field.name)
        if field.name not in free and before != after and not same_words:
            why = f", which the {new.schedule} schedule depends on" if field.name == "steps" else ""
            different.append(f"{said(field.name, before, after)}{why}")
    if state.notes.get("text_sha256") != text.sha256:
        known, sha256 = state.notes.get("text_characters"), str(state.notes.get("text_sha256"))
        length = f"{known:,} characters, " if type(known) is int else ""
        different.append(
            f"the text {new.file} ({len(text.ids) + text.n_skipped:,} characters, "
            f"SHA-256 {text.sha256[:8]}) is not the one "
            f"that it was trained on, {old.file} ({length}SHA-256 {sha256[:8]}): if that lies elsewhere now, "
            + pasteable("train", "NEW_PATH", "--resume", run)
        )
    elif state.architecture != architecture and not different:
        different.append("the model's sizes have changed")
    if constant and new.steps < state.step:
        different.append(f"--steps {new.steps} is less than the {state.step} that are done")
    if different:
        raise MicrogptError(
            f"this run cannot be resumed exactly: {'; '.join(different)}; "
            f"resume it as it was, or begin a new run with its weights: {new_run}"
        )
    if state.step >= new.steps and not state.progress.evaluation_due:
        further = (
            "to go on, add --steps with a larger number"
            if constant
            else f"its {new.schedule} schedule has come to its end; to go on with a new one: {new_run}"
        )
        raise MicrogptError(f"all {new.steps} steps of this run are done; {further}")
