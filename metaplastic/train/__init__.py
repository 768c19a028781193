"""Training of one network design with one rule."""

from .fit import Outcome as Outcome, Reporter as Reporter, fit as fit
from .options import TrainOptions as TrainOptions
from .run import resume as resume, run as run
from .trainer import Trainer as Trainer
