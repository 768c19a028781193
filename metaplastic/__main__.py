"""`python -m metaplastic`."""

import sys

from metaplastic.cli.__main__ import main

sys.exit(main())
