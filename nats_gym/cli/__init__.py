"""The command line: ``nats-gym search | study | train | predict | … | data``.

Bad input is one line on standard error and exit code 2.
"""

from . import building, data, searching, showing, studies, training
from .searching import default_folder
from .terminal import app, main

__all__ = [
    "app",
    "building",
    "data",
    "default_folder",
    "main",
    "searching",
    "showing",
    "studies",
    "training",
]
