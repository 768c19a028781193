"""Training of a network with a rule, and meta-training of a learner."""

from .fit import Outcome as Outcome, Reporter as Reporter, fit as fit
from .meta_fit import MetaOutcome as MetaOutcome, meta_fit as meta_fit
from .meta_options import MetaOptions as MetaOptions
from .meta_trainer import MetaTrainer as MetaTrainer
from .options import TrainOptions as TrainOptions
from .run import resume as resume, run as run
from .trainer import Trainer as Trainer
