"""Runs the checks of tests/gpu, without pytest, in a process that a broken device may end.

    python scripts/gpu_checking/proof.py DEVICE FOLDER NAME…

prints a line of JSON for each check that is named.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest import SkipTest

ROOT = Path(__file__).resolve().parent.parent.parent
#: Where the checks lie.
CHECKS = ROOT / "tests" / "gpu"
#: Begins the lines that are answers: others may print too.
_MARK = "@check "
#: Seconds after which a check is ended with its process.
LONGEST = 180.0

Outcome = dict[str, Any]


def find_checks(folder: Path = CHECKS) -> dict[str, Callable[[Any], None]]:
    """The checks of a folder by name, ``file.function`` or ``file.function[case]``."""
    for place in (ROOT, ROOT / "tests", folder):
        if str(place) not in sys.path:
            sys.path.insert(0, str(place))
    found: dict[str, Callable[[Any], None]] = {}
    for path in sorted(folder.glob("test_*.py")):
        module = import_module(path.stem)
        for name, check in vars(module).items():
            if not name.startswith("test_") or not callable(check):
                continue
            full = f"{path.stem.removeprefix('test_gpu_')}.{name.removeprefix('test_')}"
            if not hasattr(check, "cases"):
                found[full] = check
                continue
            for case in check.cases:
                found[f"{full}[{_word(case)}]"] = partial(_with_case, check, case)
    return found


def _with_case(check: Callable[..., None], case: Any, place: Any) -> None:
    check(place, case)


def _word(case: Any) -> str:
    return " ".join(map(str, case)) if isinstance(case, tuple) else str(case)


def run_check(name: str, check: Callable[[Any], None], place: Any) -> Outcome:
    """Run a check; what became of it, however it ended."""
    start, outcome, reason, detail = perf_counter(), "passed", "", ""
    try:
        check(place)
    except SkipTest as error:
        outcome, reason = "left out", str(error)
    except Exception as error:
        outcome = "failed"
        said = str(error).strip().splitlines() or [""]
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {said[0]}"
        detail = traceback.format_exc()[-4000:]
    seconds = round(perf_counter() - start, 3)
    return {
        "check": name,
        "outcome": outcome,
        "reason": reason[:500],
        "seconds": seconds,
        "detail": detail,
    }


def prove(
    device: str, names: list[str], longest: float = LONGEST, folder: Path = CHECKS
) -> Iterator[Outcome]:
    """Run checks in a child process, and in another where that one ends; yield as they are done.

    A check that ends its process, breaks the device for it or takes too long has failed; the others
    go on in a new one.

    Args:
        device: name of it.
        names: of the checks, from :func:`find_checks`.
        longest: seconds that one may take.
        folder: where they lie.
    """
    left = list(names)
    while left:
        for outcome in _in_a_child(device, left, longest, folder):
            yield outcome
            left.remove(outcome["check"])


def _in_a_child(device: str, names: list[str], longest: float, folder: Path) -> Iterator[Outcome]:
    """Outcomes up to the end of the process; of the check that ended it, too."""
    command = [sys.executable, str(Path(__file__).resolve()), device, str(folder), *names]
    left, overdue = list(names), False
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None

        def end() -> None:
            nonlocal overdue
            overdue = True
            process.kill()

        start = perf_counter()
        watch = threading.Timer(longest, end)
        watch.start()
        try:
            for line in process.stdout:
                if not line.startswith(_MARK):
                    continue
                watch.cancel()
                outcome = json.loads(line[len(_MARK) :])
                left.remove(outcome["check"])
                yield outcome
                start = perf_counter()
                watch = threading.Timer(longest, end)
                watch.start()
        finally:
            watch.cancel()
            if left:  # whoever asked has had enough
                process.kill()
        code = process.wait()
        if not left or (code == BROKEN and len(left) < len(names)):
            return
        errors.seek(0)
        yield {
            "check": left[0],
            "outcome": "failed",
            "reason": f"took longer than {longest:g} s"
            if overdue
            else f"its process ended with {code}",
            "seconds": round(perf_counter() - start, 3),
            "detail": errors.read()[-2000:],
        }


#: Exit code of a process whose device answers no more.
BROKEN = 75


def main() -> int:
    """Run the checks that the command line names."""
    device, folder, *names = sys.argv[1:]
    import torch

    checks = find_checks(Path(folder))
    from gpu_place import Place

    warnings.simplefilter("default")
    if device == "cpu":
        torch.set_num_threads(1)
    for name in names:
        with tempfile.TemporaryDirectory() as empty:
            place = Place(torch.device(device), Path(empty), miniature=device == "cpu")
            outcome = run_check(name, checks[name], place)
        print(_MARK + json.dumps(outcome), flush=True)
        if outcome["outcome"] == "failed":
            try:
                torch.ones(2, device=device).sum().item()
            except RuntimeError:
                return BROKEN
    return 0


if __name__ == "__main__":
    sys.exit(main())
