"""Contrastive meta-learning (Zucchet et al., NeurIPS 2022): learners that settle, and a contrast.

The paper's own numbers are not quoted: none was at hand in a form that can be trusted. Ours stand
beside reference algorithms that were meta-trained in the same way, and beside numbers of those
algorithms that others quote.
"""

from ._cml_beta import beta
from ._cml_few_shot import few_shot
from ._cml_regularisation import regularisation
from ._cml_sinusoid import sinusoid
from ._cml_spiking import spiking
from ._cml_wheel import wheel
from .base import Paper

PAPER = Paper(
    title="A contrastive rule for meta-learning",
    authors="Nicolas Zucchet, Simon Schug, Johannes von Oswald, Dominic Zhao, João Sacramento",
    year=2022,
    link="https://arxiv.org/abs/2104.01677",
    bibtex="""@inproceedings{zucchet2022contrastive,
  title={A contrastive rule for meta-learning},
  author={Zucchet, Nicolas and Schug, Simon and von Oswald, Johannes and Zhao, Dominic and
    Sacramento, Jo{\\~a}o},
  booktitle={Advances in Neural Information Processing Systems}, volume={35}, year={2022}}""",
    experiments=(beta(), sinusoid(), *regularisation(), wheel(), *few_shot(), spiking()),
)
