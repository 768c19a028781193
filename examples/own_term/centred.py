"""A term of one's own for the rule `pool`: the pseudo-gradient without the mean of the errors.

    metaplastic meta online --rule pool --rule.terms pseudo_gradient ./centred.py:centred \
        --task few_shot --task.held images --task.labels own
"""

from metaplastic.rules.pool import term


@term("-(e - mean e) x^T")
def centred(s):
    return -(s.e - s.e.mean(-1, keepdims=True)), s.x
