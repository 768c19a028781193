"""The jaxtyping aliases of the package, in the one place that declares them."""

from typing import Any, TypeAlias

from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Scalar as JaxScalar

Key: TypeAlias = PRNGKeyArray
Scalar: TypeAlias = JaxScalar
Inputs: TypeAlias = Float[Array, "batch *input"]
Targets: TypeAlias = Float[Array, "batch classes"]
Outputs: TypeAlias = Float[Array, "batch classes"]
Activity: TypeAlias = Float[Array, "batch *units"]
Updates: TypeAlias = PyTree
"""Shaped like the weights of a model (`metaplastic.models.weights(model)`)."""
RuleState: TypeAlias = Any
"""Whatever a rule carries between steps: feedback weights, running activities; a pytree."""
