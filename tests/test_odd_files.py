"""Every kind of broken or odd file ends in words that say what to do, or is read right.

Nothing in between: no number is invented, no error is one of NumPy or Python alone.
"""

import re
import warnings

import pytest
from odd_files import FILES

from jaxphys import data


@pytest.mark.parametrize("kind", FILES)
def test_an_odd_file_is_told_or_read_right(kind, tmp_path):
    name, contents, outcome = FILES[kind]
    path = tmp_path / name
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    if isinstance(outcome, str):
        with pytest.raises(ValueError, match=re.escape(outcome)) as raised:
            data.read_trajectories(path)
        assert name in str(raised.value)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = data.look(data.read_trajectories(path))
    if isinstance(outcome, tuple):
        told = [what for what, cure in found.warnings if cure]
        assert any(outcome[1] in what for what in told)
    else:
        assert outcome(found.trajectories)


def test_there_are_forty_kinds_and_more_and_no_two_are_the_same():
    assert len(FILES) >= 40
    assert len({(name, str(contents)) for name, contents, _ in FILES.values()}) == (
        len(FILES)
    )
