"""Runs the checks of tests/gpu, without pytest, in a process that a broken device may end.

    python scripts/gpu_checking/proof.py DEVICE FOLDER

prints a line of JSON for each check that a line of its standard input names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import Queue
from time import perf_counter
from typing import IO, Any
from unittest import SkipTest

ROOT = Path(__file__).resolve().parent.parent.parent
#: Where the checks lie.
CHECKS = ROOT / "tests" / "gpu"
#: Begins the lines that are answers: others may print too.
_MARK = "@check "
#: Seconds after which a check is ended with its process.
LONGEST = 180.0
# Parts of the names of checks that translate, start processes or train for seconds.
_LONG = ("fused", "compiled", "processes", "memory", "learnt", "evaluator", "captured")

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
    device: str,
    names: list[str],
    longest: float = LONGEST,
    folder: Path = CHECKS,
    side_by_side: int = 1,
) -> Iterator[Outcome]:
    """Run checks in child processes, and in others where those end; yield as they are done.

    A check that ends its process, breaks the device for it or takes too long has failed; the others
    go on in a new one.

    Args:
        device: name of it.
        names: of the checks, from :func:`find_checks`.
        longest: seconds that one may take.
        folder: where they lie.
        side_by_side: so many at once.
    """
    # What takes long is begun first, or one process goes on alone at the end.
    left = deque(sorted(names, key=_is_quick) if side_by_side > 1 else names)
    answers: Queue[Outcome | Exception | None] = Queue()
    command = [sys.executable, str(Path(__file__).resolve()), device, str(folder)]
    provers = [_Prover(command, left, answers, longest) for _ in range(side_by_side)]
    for prover in provers:
        prover.start()
    working = len(provers)
    try:
        while working:
            answer = answers.get()
            if isinstance(answer, Exception):
                raise answer
            if answer is None:
                working -= 1
            else:
                yield answer
    finally:
        for prover in provers:  # whoever asked may have had enough
            prover.stop()


def _is_quick(name: str) -> bool:
    return not any(word in name for word in _LONG)


class _Prover(threading.Thread):
    """Has checks that nobody has begun run in a child process.

    Args:
        command: of the child.
        left: names of the checks.
        answers: where outcomes go, None once nothing is left.
        longest: seconds that a check may take.
    """

    def __init__(
        self,
        command: list[str],
        left: deque[str],
        answers: Queue[Outcome | Exception | None],
        longest: float,
    ) -> None:
        super().__init__(daemon=True)
        self._command, self._left, self._answers = command, left, answers
        self._longest = longest
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> None:
        """See the class."""
        try:
            while self._left and not self._stopped:
                self._in_a_child()
        except Exception as error:
            self._answers.put(error)
        self._answers.put(None)

    def stop(self) -> None:
        """End it and its child."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
        self.join()

    def _in_a_child(self) -> None:
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            self._process = process
            usable = True
            while usable and not self._stopped:
                try:
                    name = self._left.popleft()
                except IndexError:
                    break
                outcome = self._ask(process, name, errors)
                usable = outcome.pop("usable")
                self._answers.put(outcome)
            if self._stopped:
                process.kill()

    def _ask(self, process: subprocess.Popen[str], name: str, errors: IO[str]) -> Outcome:
        """Have the child run a check."""
        assert process.stdin is not None
        assert process.stdout is not None
        overdue = False

        def end() -> None:
            nonlocal overdue
            overdue = True
            process.kill()

        start = perf_counter()
        watch = threading.Timer(self._longest, end)
        watch.start()
        try:
            process.stdin.write(name + "\n")
            process.stdin.flush()
            for line in process.stdout:
                if line.startswith(_MARK):
                    found: Outcome = json.loads(line[len(_MARK) :])
                    return found
        except BrokenPipeError:  # it has ended before it was asked
            with suppress(BrokenPipeError):
                process.stdin.close()
        finally:
            watch.cancel()
        code = process.wait()
        errors.seek(0)
        return {
            "check": name,
            "outcome": "failed",
            "reason": f"took longer than {self._longest:g} s"
            if overdue
            else f"its process ended with {code}",
            "seconds": round(perf_counter() - start, 3),
            "detail": errors.read()[-2000:],
            "usable": False,
        }


def main() -> int:
    """Run the checks that the standard input names."""
    device, folder = sys.argv[1:]
    import torch

    checks = find_checks(Path(folder))
    from gpu_place import Place

    warnings.simplefilter("default")
    torch.set_num_threads(1)  # the networks are too small for more
    for line in sys.stdin:
        name = line.rstrip("\n")
        with tempfile.TemporaryDirectory() as empty:
            place = Place(torch.device(device), Path(empty), miniature=device == "cpu")
            outcome = run_check(name, checks[name], place)
        outcome["usable"] = outcome["outcome"] != "failed" or _answers(device)
        print(_MARK + json.dumps(outcome), flush=True)
    return 0


def _answers(device: str) -> bool:
    """Whether a device still does what it is told."""
    import torch

    try:
        torch.ones(2, device=device).sum().item()
    except RuntimeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
