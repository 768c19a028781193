import math

import jax.numpy as jnp
import pytest

from metaplastic.models import draw, standard_deviation
from metaplastic.models._initialisers import INITIALISERS

SHAPES = [(200, 150), (5, 5, 40, 30)]


def expected(name, shape):
    """Standard deviations written out for the two shapes."""
    fan_in, fan_out = (200, 150) if len(shape) == 2 else (5 * 5 * 40, 5 * 5 * 30)
    return {
        "he_uniform": math.sqrt(6 / fan_in) / math.sqrt(3),
        "he_normal": math.sqrt(2 / fan_in),
        "xavier_uniform": math.sqrt(6 / (fan_in + fan_out)) / math.sqrt(3),
        "xavier_normal": math.sqrt(2 / (fan_in + fan_out)),
        "lecun_normal": math.sqrt(1 / fan_in),
        "fan_out_normal": math.sqrt(1 / fan_out),
        "fan_in": 1 / math.sqrt(fan_in) / math.sqrt(3),
        "zeros": 0.0,
    }[name]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", INITIALISERS)
def test_standard_deviations(name, shape, getkey):
    deviation = expected(name, shape)
    assert math.isclose(standard_deviation(name, shape), deviation, rel_tol=1e-12)
    drawn = draw(name, shape, key=getkey())
    assert drawn.shape == shape
    assert math.isclose(float(drawn.std()), deviation, rel_tol=0.03)
    assert abs(float(drawn.mean())) <= 0.03 * deviation
    largest = float(jnp.abs(drawn).max())
    if name.endswith("normal"):
        assert largest > 3 * deviation
    else:
        assert largest <= 1.0001 * math.sqrt(3) * deviation
