"""The fast size of an experiment, with small networks and few data beside it."""

import dataclasses

_SMALL = {
    "hidden": (8, 8),
    "plain_hidden": (8,),
    "compact": (8,),
    "compact_delan": (8,),
    "trajectories": 40,
}


def fast_size(experiment):
    """Settings by name: what a run does, in little of the time that it takes."""
    known = {field.name for field in dataclasses.fields(experiment.settings)}
    return {"fast": True} | {name: x for name, x in _SMALL.items() if name in known}
