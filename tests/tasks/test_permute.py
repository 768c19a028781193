"""Inputs in another order: the same values, one order in a lifetime, others in other lifetimes."""

import dataclasses
import math

import jax
import jax.random as jr
import numpy as np
import pytest

from metaplastic import _registry


@pytest.mark.parametrize("name", ["plane_functions", "labelled_batches"])
def test_one_order_a_lifetime(name):
    task = _registry.load("tasks", name)().load()
    other, keys = dataclasses.replace(task, permute=True), jr.split(jr.key(0), 8)
    plain, turned = (jax.jit(jax.vmap(own.sample))(keys) for own in (task, other))
    orders = set()
    for life in range(8):
        x, seen, asked, also = (
            np.asarray(own[life]).reshape(-1, math.prod(task.input_shape))
            for own in (plain.stream.x, turned.stream.x, plain.query.x, turned.query.x)
        )
        order = [int(np.flatnonzero((x == seen[:, [to]]).all(0))[0]) for to in range(x.shape[1])]
        np.testing.assert_array_equal(x[:, order], seen)
        np.testing.assert_array_equal(np.sort(asked, -1), np.sort(also, -1))
        orders.add(tuple(order))
        np.testing.assert_array_equal(plain.stream.y[life], turned.stream.y[life])
    assert len(orders) > 1
