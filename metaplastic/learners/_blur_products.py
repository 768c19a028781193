"""The products of BLUR: activities by mixed synapses, and activities by activities.

Both may mix states before the large product or after it, with the same result. Few states and
small layers are faster in one product of all states at once, whose mixing touches weights alone;
otherwise that one would do `states` times the work.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

Activity = Float[Array, "batch _ _"]
"""[batch, states, units]."""
Flat = Float[Array, "batch _"]
"""[batch, states * units]: an activity in one row an example. What is elementwise is computed in
this form, on a CPU twice as fast as over few states and few units."""
Synapses = Float[Array, "channels _ _"]
"""[channels, units below, units above]."""
_SMALL = 20_000
"""Numbers in the weights of all states at once, up to which they are formed."""


def flat(activity: Activity) -> Flat:
    """In one row an example."""
    return activity.reshape(activity.shape[0], -1)


def by_state(activity: Flat, states: int) -> Activity:
    """The inverse of `flat`."""
    return activity.reshape(activity.shape[0], states, -1)


def send(
    activity: Activity, mixer: Float[Array, "rows states"], w: Float[Array, "channels from to"]
) -> Flat:
    """sum_{i,d} w_ij^c mixer^{cd} a_i^d; one channel serves all rows."""
    _, states, units = activity.shape
    rows, above = mixer.shape[0], w.shape[2]
    if mixer.size * units * above <= _SMALL:
        joint = jnp.einsum("cd,cij->dicj", mixer, jnp.broadcast_to(w, (rows, *w.shape[1:])))
        joint = joint.reshape(states * units, rows * above)
        return flat(activity) @ joint
    mixed = jnp.einsum("cd,bdi->cbi", mixer, activity)
    return flat((mixed @ w).swapaxes(0, 1))


def correlate(
    below: Activity,
    above: Activity,
    read_below: Float[Array, "rows _"],
    read_above: Float[Array, "rows _"],
) -> Float[Array, "rows _ _"]:
    """mean_batch (sum_e read^{ce} a_i^e) (sum_d read^{cd} a_j^d), a matrix for each row c."""
    batch, states, units = below.shape
    pairs, rows = states * above.shape[1], len(read_below)
    if pairs <= rows or pairs * units * above.shape[2] <= _SMALL:
        gram = (flat(below).T @ flat(above) / batch).reshape(*below.shape[1:], *above.shape[1:])
        reads = read_below[:, :, None] * read_above[:, None]
        return jnp.einsum("ced,eidj->cij", reads, gram)
    a = jnp.einsum("ce,bei->cib", read_below, below)
    return a @ jnp.einsum("cd,bdj->cbj", read_above, above) / batch
