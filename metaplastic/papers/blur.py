"""BLUR (Sandler et al., ICML 2021): genomes of update rules, meta-trained and transferred."""

from ._blur_asymmetry import asymmetry
from ._blur_generalisation import activations, curriculum, generalisation, normalisation
from ._blur_images import ablation, images, mnist, states
from ._blur_toy import depth, synapses, toy
from .base import Paper

PAPER = Paper(
    title="Meta-Learning Bidirectional Update Rules",
    authors=(
        "Mark Sandler, Max Vladymyrov, Andrey Zhmoginov, Nolan Miller, Andrew Jackson, "
        "Tom Madams, Blaise Agüera y Arcas"
    ),
    year=2021,
    link="https://arxiv.org/abs/2104.04657",
    bibtex="""@inproceedings{sandler2021bidirectional,
  title={Meta-Learning Bidirectional Update Rules},
  author={Sandler, Mark and Vladymyrov, Max and Zhmoginov, Andrey and Miller, Nolan and
    Jackson, Andrew and Madams, Tom and Ag{\\"u}era y Arcas, Blaise},
  booktitle={International Conference on Machine Learning}, year={2021}}""",
    experiments=(
        *(toy(), depth(), synapses(), asymmetry(), images(), mnist(), states(), ablation()),
        *(generalisation(), normalisation(), activations(), curriculum()),
    ),
)
