"""Packages that only parts of nats-gym need, and how it is said at once that one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from nats_gym.errors import MissingPackage, shown

#: By import name: what pip is asked for, and the extra of nats-gym that brings it, "" for what
#: nats-gym itself depends on.
PACKAGES = {
    "gdown": ("gdown>=6.3", "download"),
    "mo_gymnasium": ("mo-gymnasium>=1.3", "multi-objective"),
    "moviepy": ("moviepy>=1.0.3", "render"),
    "onnx": ("onnx>=1.18", "onnx"),
    "onnxruntime": ("onnxruntime>=1.20", "onnx"),
    "onnxscript": ("onnxscript>=0.7", "onnx"),
    "optuna": ("optuna>=4", "optuna"),
    "pooch": ("pooch>=1.8", "train"),
    "pygame": ("pygame>=2.5", "render"),
    "ray": ("ray>=2.30", "ray"),
    "sb3_contrib": ("sb3-contrib>=2.6", "maskable"),
    "scikit_posthocs": ("scikit-posthocs>=0.17", "study"),
    "scipy": ("scipy>=1.11.1", ""),
    "sklearn": ("scikit-learn>=1.4", ""),
    "torchrl": ("torchrl>=0.14", "torchrl"),
}


def require(module: str, what: str, otherwise: str = "") -> None:
    """Raise now what an import would raise later, with the command that brings the package.

    Args:
        module: as it is imported; one of ``PACKAGES``. It is looked for, not imported.
        what: what needs it, as the message begins.
        otherwise: what helps besides, as the message ends.

    Raises:
        MissingPackage: if it is not installed.
    """
    try:
        missing = find_spec(module) is None
    except ImportError:
        missing = True
    except ValueError:  # imported already, by other means than a finder
        missing = False
    if missing:
        package, extra = PACKAGES[module]
        bringing = f" (nats-gym's extra {shown(extra)})" if extra else ""
        raise MissingPackage(
            f"{what} needs {package}: pip install '{package}'{bringing}{otherwise}"
        )
