"""Training states on disk, by orbax: written whole or not at all, newest kept."""

import pathlib
from typing import Any

from jaxphys.types import PyTree


def _manager(directory):
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(
        max_to_keep=2, enable_async_checkpointing=False
    )
    return ocp.CheckpointManager(pathlib.Path(directory).absolute(), options=options)


def exists(directory: str | pathlib.Path) -> bool:
    """Whether a directory holds a finished checkpoint."""
    return (
        pathlib.Path(directory).is_dir()
        and _manager(directory).latest_step() is not None
    )


def save(
    directory: str | pathlib.Path, step: int, state: PyTree, notes: dict[str, Any]
):
    """Write a state and notes (what JSON can hold) under a step number."""
    import orbax.checkpoint as ocp

    with _manager(directory) as manager:
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), notes=ocp.args.JsonSave(notes)
        )
        manager.save(step, args=items, force=True)


def restore(directory: str | pathlib.Path, like: PyTree) -> tuple[PyTree, dict]:
    """The newest state and its notes; `like` gives structure, shapes and dtypes."""
    import orbax.checkpoint as ocp

    with _manager(directory) as manager:
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(like), notes=ocp.args.JsonRestore()
        )
        restored = manager.restore(manager.latest_step(), args=items)
    return restored.state, restored.notes
