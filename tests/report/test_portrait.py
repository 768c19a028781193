"""Reading portraits."""

import numpy as np
import pytest

from metaplastic._errors import MetaplasticError
from metaplastic.report.portrait import FILE, read_portrait


def test_sections_and_names(tmp_path):
    assert read_portrait(tmp_path) == {}
    np.savez(tmp_path / FILE, **{"lifetime/state/0.trace": np.ones(2), "about/seed": 3})
    found = read_portrait(tmp_path)
    assert list(found) == ["lifetime", "about"]
    np.testing.assert_array_equal(found["lifetime"]["state/0.trace"], 1)


def test_damaged_and_pickled_files_are_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(MetaplasticError, match="is damaged"):
        read_portrait(tmp_path)
    np.savez(tmp_path / FILE, bad=np.asarray([{}], object))
    with pytest.raises(MetaplasticError, match="is damaged"):
        read_portrait(tmp_path)
