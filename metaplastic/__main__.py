"""`metaplastic` and `python -m metaplastic`."""

import os
import sys

from metaplastic.cli import _output
from metaplastic.cli.__main__ import main


def run() -> None:
    """`main`, and an end at once where it was interrupted.

    The interpreter would otherwise be taken down under threads that still compile a program, and
    crash; what is to be kept has been written by then.
    """
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if status == _output.INTERRUPTED:
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    run()
