"""Checks for those who plug in their own: an evaluator, a native vector environment.

Call them in a test of yours. They return nothing when all is well, and raise at the first thing
that is not, with one sentence on what was found and what is expected.

>>> from nats_gym.testing import check_evaluator, check_vector_env
>>> check_evaluator(MyEvaluator(), "tss", "cifar10")                                # doctest: +SKIP
>>> check_vector_env(MyVectorEnv(num_envs=5), SyncVectorEnv([MyEnv] * 5))           # doctest: +SKIP
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.envs import ConstructionEnv
from nats_gym.errors import EvaluatorError, InvalidInput, NatsGymError, shown
from nats_gym.evaluators import Evaluator, Outcome, StreamingEvaluator, checked
from nats_gym.evaluators.protocol import answered
from nats_gym.simulation.schedule import Epochs, check_epochs
from nats_gym.spaces import get_space

Bools = NDArray[np.bool_]
AnyVectorEnv = VectorEnv[Any, Any, Any]


class VectorEnvError(NatsGymError, AssertionError):
    """A native vector environment does not do what looped scalar environments do."""


# ── evaluators ───────────────────────────────────────────────────────────────────────────────


def check_evaluator(
    evaluator: Evaluator,
    space: str = "tss",
    dataset: str = "cifar10",
    *,
    epochs: Epochs | None = None,
    index: ArrayLike | None = None,
    deterministic: bool = True,
    picklable: bool = False,
) -> None:
    """Check that an evaluator of yours can answer for environments and searches.

    It is asked for a batch of many (one architecture thrice in it), for batches of one, for the
    many in another order and as a strided view, and in one episode of an environment. Of each
    outcome its type is checked; accuracy and seconds: float64, ``(batch,)``, finite, accuracy in
    0…100 percent, seconds from 0; provenance: words; metrics: ``(batch,)``. What it was given and
    what it returned before must stay as it was. One that streams is also asked for two by
    ``stream``: its trials, identity and provenance are looked at, and that every position is
    answered once, as ``evaluate`` answers it.

    Args:
        evaluator: yours.
        space, dataset: what it answers for.
        epochs: the schedule to ask for; the space's full one by default.
        index: official indices to ask for, ``(n,)``; 16 of the whole space by default. Some
            ``2·n + 10`` evaluations are made: give one or two to an evaluator that trains.
        deterministic: an architecture and its trial key decide the accuracy, whatever is asked
            beside it, before it and in which order, as a table does it. False for an evaluator
            that trains.
        picklable: it can be sent to other processes, and answers the same there.

    Raises:
        EvaluatorError: at the first thing that is wrong; an exception of the evaluator's own is
            its cause.
        InvalidInput: for other arguments, and for what is no evaluator at all.
        NotInTable: if it is a table's, and the table lacks the schedule.

    Warns:
        UserWarning: if no accuracy is above 1: fractions, where percent is expected?
    """
    architectures, dataset = get_space(space), get_dataset(dataset).name
    space = architectures.name
    deterministic = checks.switch(deterministic, "deterministic")
    picklable = checks.switch(picklable, "picklable")
    epochs = check_epochs(epochs, architectures.full_epochs_on(dataset))
    rng = np.random.default_rng(0)
    if index is None:
        index = rng.choice(architectures.size, 16, replace=False)
    index = np.atleast_1d(architectures.check_index(index)).ravel()
    if not len(index):
        raise InvalidInput("index holds at least one architecture, got none")
    env = ConstructionEnv(space, dataset, epochs=epochs, evaluator=evaluator)

    # The first architecture thrice: with one key twice, and with another.
    many = np.concatenate([index, index[:1], index[:1]])
    keys = rng.integers(2**64, size=len(many), dtype=np.uint64)
    keys[-1] = keys[0]
    what = f"a batch of {len(many)}"
    outcome = _ask(evaluator, many, epochs, keys, what)
    if (outcome.accuracy <= 1.0).all():
        warnings.warn(
            f"no accuracy of {what} is above 1: accuracies are percent, 0…100, not fractions",
            stacklevel=2,
        )
    kept = deepcopy(outcome)
    expected = kept.accuracy
    if deterministic and expected[-1] != expected[0]:
        raise _differs(f"{what}, which has it twice,", many[0], expected[-1], expected[0])

    asked = [("a batch of one", np.array([i])) for i in range(min(3, len(index)))]
    asked.append(("the batch in another order", rng.permutation(len(many))))
    for what, order in asked:
        # Strided views, as a slice of someone's array is.
        some, some_keys = np.repeat(many[order], 2)[::2], np.repeat(keys[order], 2)[::2]
        again = _ask(evaluator, some, epochs, some_keys, what)
        if deterministic:
            _check_equal(some, again.accuracy, expected[order], what)
    if checks.follows(evaluator, StreamingEvaluator):
        _check_stream(
            evaluator, many[:2], epochs, keys[:2], expected[:2] if deterministic else None
        )
    for name in ("accuracy", "seconds", "metrics"):
        if _difference(getattr(outcome, name), getattr(kept, name)):
            raise EvaluatorError(
                f"{name} of an outcome changed when evaluate was called again: return fresh arrays"
            )
    if picklable:
        _check_pickle(
            evaluator, many[:2], epochs, keys[:2], expected[:2] if deterministic else None
        )

    env.reset(seed=0)
    for choice in architectures.digits(index[0]):
        try:
            env.step(choice)
        except Exception as error:
            raise EvaluatorError(
                f"an episode of a {space} {dataset} environment failed: {_told(error)}"
            ) from error


def _ask(
    evaluator: Evaluator,
    index: NDArray[np.int64],
    epochs: Epochs,
    keys: NDArray[np.uint64],
    what: str,
) -> Outcome:
    given, given_keys = index.copy(), keys.copy()
    try:
        outcome = evaluator.evaluate(index, epochs, keys)
    except Exception as error:
        raise EvaluatorError(f"evaluate failed on {what}: {_told(error)}") from error
    for name, now, before in (("index", index, given), ("trial_keys", keys, given_keys)):
        if not np.array_equal(now, before):
            raise EvaluatorError(f"evaluate wrote into {name}, which is its caller's, on {what}")
    _check_outcome(outcome, index, what)
    return outcome


def _check_outcome(outcome: Outcome, index: NDArray[np.int64], what: str) -> None:
    if not isinstance(outcome, Outcome):
        raise EvaluatorError(
            f"evaluate returned a {type(outcome).__name__} for {what}; it returns a "
            "nats_gym.evaluators.Outcome(accuracy, seconds)"
        )
    for name, high, allowed in (
        ("accuracy", 100.0, "percent, 0…100"),
        ("seconds", np.inf, "finite and not below 0"),
    ):
        values = getattr(outcome, name)
        _check_column(name, values, len(index), what)
        if values.dtype != np.float64:
            raise EvaluatorError(f"{name} of {what} is {values.dtype}, not float64")
        wrong = ~(np.isfinite(values) & (values >= 0) & (values <= high))
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise EvaluatorError(
                f"{name} of architecture {index[place]} in {what} is {values[place]}; "
                f"it is {allowed}"
            )
    for name in ("provenance", "seconds_provenance"):
        word = getattr(outcome, name)
        if not isinstance(word, str) or not word:
            raise EvaluatorError(f"{name} of {what} is a word, got {shown(word)}")
    if not isinstance(outcome.metrics, dict):
        kind = type(outcome.metrics).__name__
        raise EvaluatorError(f"metrics of {what} are a {kind}; they are a dictionary")
    for name, values in outcome.metrics.items():
        if not isinstance(name, str):
            raise EvaluatorError(f"a metric of {what} is named by a string, got {shown(name)}")
        _check_column(f"metric {shown(name)}", values, len(index), what)
    checked(outcome, len(index))


def _check_stream(
    evaluator: StreamingEvaluator,
    index: NDArray[np.int64],
    epochs: Epochs,
    keys: NDArray[np.uint64],
    expected: NDArray[np.float64] | None,
) -> None:
    what = "the stream"
    if not isinstance(evaluator.identity, str):
        raise EvaluatorError(f"identity is a string, got {shown(evaluator.identity)}")
    provenance = evaluator.provenance
    words = isinstance(provenance, tuple) and [isinstance(word, str) for word in provenance]
    if words != [True, True]:
        raise EvaluatorError(
            f"provenance is a pair of words, of accuracies and seconds, got {shown(provenance)}"
        )
    given, given_keys = index.copy(), keys.copy()
    try:
        trials = evaluator.trials_of(index, keys)
    except Exception as error:
        raise EvaluatorError(f"trials_of failed: {_told(error)}") from error
    _check_column("trials_of", trials, len(index), f"a batch of {len(index)}")
    if trials.dtype.kind not in "iu":
        raise EvaluatorError(f"trials_of returns whole numbers, got {trials.dtype}")
    try:
        answers = dict(answered(len(index), evaluator.stream(index, epochs, trials)))
    except EvaluatorError:
        raise
    except Exception as error:
        raise EvaluatorError(f"stream failed: {_told(error)}") from error
    for name, now, before in (("index", index, given), ("trial_keys", keys, given_keys)):
        if not np.array_equal(now, before):
            raise EvaluatorError(f"trials_of or stream wrote into {name}, which is its caller's")
    if expected is not None:
        accuracy = np.array([answers[position].accuracy for position in range(len(index))])
        _check_equal(index, accuracy, expected, what)


def _check_column(name: str, values: Any, batch: int, what: str) -> None:
    if not isinstance(values, np.ndarray):
        raise EvaluatorError(f"{name} of {what} is a {type(values).__name__}, not a numpy array")
    if values.shape != (batch,):
        raise EvaluatorError(f"{name} of {what} has shape {values.shape}, not ({batch},)")


def _check_pickle(
    evaluator: Evaluator,
    index: NDArray[np.int64],
    epochs: Epochs,
    keys: NDArray[np.uint64],
    expected: NDArray[np.float64] | None,
) -> None:
    try:
        copy = pickle.loads(pickle.dumps(evaluator))
    except Exception as error:
        raise EvaluatorError(f"the evaluator does not pickle: {_told(error)}") from error
    what = "its pickled copy's batch"
    outcome = _ask(copy, index, epochs, keys, what)
    if expected is not None:
        _check_equal(index, outcome.accuracy, expected, what)


def _check_equal(
    index: NDArray[np.int64],
    accuracy: NDArray[np.float64],
    expected: NDArray[np.float64],
    what: str,
) -> None:
    for place in np.flatnonzero(accuracy != expected)[:1]:
        raise _differs(what, index[place], accuracy[place], expected[place])


def _differs(what: str, index: Any, accuracy: Any, expected: Any) -> EvaluatorError:
    return EvaluatorError(
        f"accuracy of architecture {index} in {what} is {accuracy}, and was {expected} by the "
        "same trial key before; pass deterministic=False if that is meant, as of real training"
    )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# ── vector environments ──────────────────────────────────────────────────────────────────────


def check_vector_env(
    native: AnyVectorEnv, looped: AnyVectorEnv, *, steps: int = 200, seed: int = 0
) -> None:
    """Check that a native vector environment does what looped scalar environments do.

    Both are seeded alike (``seed``, then a list of seeds, then none) and take the same random
    actions, those that ``infos["action_mask"]`` admits where there is one. In DISABLED mode ended
    environments and others are reset by ``options={"reset_mask": …}``. Everything returned has to
    be equal, NaN to NaN: observations with their types and shapes, rewards in the looped ones'
    precision, ends, and infos where their masks (``"_name"``) say so, ``final_obs`` and
    ``final_info`` included. ``final_obs`` may be an array of observations or batched like them.
    What was returned, and the actions given, must not change afterwards.

    Args:
        native: the vector environment to check.
        looped: its scalar environments in Gymnasium's ``SyncVectorEnv`` (of vector rewards: in
            ``mo_gymnasium.wrappers.vector.MOSyncVectorEnv``), in the same autoreset mode.
        steps: how long each of the three rollouts is.
        seed: of the environments and the actions.

    Raises:
        VectorEnvError: at the first difference; it names the step, the environment and what
            differs. An exception of the native environment's is its cause.
        InvalidInput: for other arguments, and if ``looped`` itself fails.

    Warns:
        UserWarning: if no episode ended, so that autoreset was not checked.
    """
    for name, env in (("native", native), ("looped", looped)):
        if not isinstance(env, VectorEnv):
            raise InvalidInput(f"{name} is a gymnasium.vector.VectorEnv, got {shown(env)}")
    steps, seed = checks.integer(steps, "steps"), checks.seed(seed, "seed")
    if native is looped:
        raise InvalidInput("native and looped are one environment; compare two")
    n = looped.num_envs
    if getattr(native, "num_envs", None) != n:
        raise InvalidInput(f"native has num_envs={getattr(native, 'num_envs', None)}, looped {n}")
    mode = _check_declarations(native, looped)

    pair = _Pair(native, looped)
    policy = _RandomPolicy(looped.single_action_space, n, seed)
    rng = np.random.default_rng(seed)
    ended_once = False
    seeds = [seed + 11 + 3 * i for i in reversed(range(n))]
    for start, label, note in (
        (seed, f"reset(seed={seed})", f" (seeds {seed}…{seed + n - 1})"),
        (seeds, f"reset(seed={shown(seeds)})", ""),
        (None, "reset() without a seed", ""),
    ):
        policy.look(pair.reset(label + note, start)[1], np.ones(n, bool))
        for step in range(1, steps + 1):
            *_, terminated, truncated, infos = pair.step(f"step {step} after {label}", policy.act())
            policy.look(infos, np.ones(n, bool))
            ended = terminated | truncated
            ended_once |= bool(ended.any())
            if mode is AutoresetMode.DISABLED and ended.any():
                mask = ended | (rng.random(n) < 0.2)
                again = None if rng.random() < 0.5 else int(rng.integers(2**31))
                where = f"reset(seed={again}, options={{'reset_mask': {mask.tolist()}}})"
                where = f"{where} after step {step} after {label}"
                policy.look(pair.reset(where, again, mask)[1], mask)
    if not ended_once:
        warnings.warn(
            f"no episode ended in 3 × {steps} steps, so autoreset was not checked: raise steps",
            stacklevel=2,
        )


def _check_declarations(native: AnyVectorEnv, looped: AnyVectorEnv) -> AutoresetMode:
    """Spaces and autoreset mode are declared, and are those of the looped; returns the mode."""
    mode = looped.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        raise InvalidInput(
            f"looped.metadata['autoreset_mode'] is an AutoresetMode, got {shown(mode)}"
        )
    declared = native.metadata.get("autoreset_mode")
    if declared != mode:
        raise VectorEnvError(
            f"native.metadata['autoreset_mode'] is {shown(declared)}, looped's {mode}"
        )
    for name in ("single_observation_space", "single_action_space"):
        mine, theirs = getattr(native, name, None), getattr(looped, name)
        if mine != theirs:
            raise VectorEnvError(f"{name} is {shown(mine)}, looped's {shown(theirs)}")
    for kind in ("observation_space", "action_space"):
        batched = batch_space(getattr(looped, f"single_{kind}"), looped.num_envs)
        mine = getattr(native, kind, None)
        if mine != batched:
            raise VectorEnvError(
                f"{kind} is {shown(mine)}; batch_space(single_{kind}, {looped.num_envs}) is "
                f"{shown(batched)}"
            )
    return mode


class _RandomPolicy:
    """Random actions for all environments, those that the last infos admit."""

    def __init__(self, single: spaces.Space[Any], num_envs: int, seed: int) -> None:
        self._single = deepcopy(single)  # whoever owns it keeps its random state
        self._single.seed(seed)
        self._masks: list[Any] = [None] * num_envs

    def look(self, infos: dict[str, Any], which: Bools) -> None:
        """Note the masks of some environments."""
        masks = infos.get("action_mask")
        present = infos.get("_action_mask", which)
        for i in np.flatnonzero(which):
            self._masks[i] = masks[i] if masks is not None and present[i] else None

    def act(self) -> Any:
        """A batch of actions, a fresh one."""
        try:
            actions = [self._single.sample(self._as_sampled(mask)) for mask in self._masks]
        except (AssertionError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"infos['action_mask'] of looped is no mask for {self._single}: {_told(error)}"
            ) from error
        batch: Any = create_empty_array(self._single, len(actions))
        return concatenate(self._single, actions, batch)

    def _as_sampled(self, mask: Any) -> Any:
        """A mask as the space's ``sample`` takes it: for MultiDiscrete one for each component."""
        if mask is None or not isinstance(self._single, spaces.MultiDiscrete):
            return mask
        if isinstance(mask, np.ndarray) and mask.ndim == 1 and mask.dtype != object:
            ends = np.cumsum(self._single.nvec)
            mask = [mask[end - n : end] for n, end in zip(self._single.nvec, ends, strict=True)]
        return tuple(np.asarray(part, np.int8) for part in mask)


_RESET = ("observation", "infos")
_STEP = ("observation", "reward", "terminated", "truncated", "infos")


class _Pair:
    """Two vector environments that take the same calls; their answers are compared."""

    def __init__(self, native: AnyVectorEnv, looped: AnyVectorEnv) -> None:
        self._native, self._looped = native, looped
        self._single = looped.single_observation_space
        self._everyone = np.ones(looped.num_envs, bool)
        self._last: tuple[str, tuple[Any, ...], tuple[Any, ...]] | None = None

    def reset(self, where: str, seed: int | list[int] | None, mask: Bools | None = None) -> Any:
        """Reset both, all environments or those of ``mask``; what looped answered."""

        def call(env: AnyVectorEnv, mask: Bools | None) -> Any:
            options = None if mask is None else {"reset_mask": mask}
            return env.reset(seed=deepcopy(seed), options=options)  # type: ignore[arg-type]

        return self._both(where, call, mask, "reset_mask", _RESET)

    def step(self, where: str, actions: Any) -> Any:
        """Step both; what looped answered."""
        return self._both(where, lambda env, taken: env.step(taken), actions, "actions", _STEP)

    def _both(
        self,
        where: str,
        call: Callable[[AnyVectorEnv, Any], Any],
        argument: Any,
        name: str,
        parts: tuple[str, ...],
    ) -> Any:
        given = deepcopy(argument)
        try:
            mine = call(self._native, given)
        except Exception as error:
            raise VectorEnvError(f"{where} failed: {_told(error)}") from error
        if _difference(given, argument):
            raise VectorEnvError(f"{where} wrote into the {name} that it was given")
        try:
            theirs = call(self._looped, argument)
        except Exception as error:
            raise InvalidInput(f"{where} of looped failed: {_told(error)}") from error
        if not isinstance(mine, tuple) or len(mine) != len(parts):
            raise VectorEnvError(
                f"{where} returned a {type(mine).__name__}"
                f"{f' of {len(mine)}' if isinstance(mine, tuple) else ''}; "
                f"it returns a tuple of {', '.join(parts)}"
            )
        self._check_fresh(where, mine)
        for part, one, two in zip(parts, mine, theirs, strict=True):
            if part == "observation":
                self._compare_observations(where, part, one, two)
            elif part == "infos":
                self._compare_infos(where, part, one, two)
            else:
                self._compare_figures(where, part, one, two)
        return theirs

    def _check_fresh(self, where: str, mine: tuple[Any, ...]) -> None:
        """Nothing that was returned before has changed since."""
        if self._last:
            before, returned, copies = self._last
            names = _RESET if len(copies) == len(_RESET) else _STEP
            for name, value, copy in zip(names, returned, copies, strict=True):
                if _difference(value, copy):
                    raise VectorEnvError(
                        f"{where} changed the {name} that {before} had returned: "
                        "return fresh arrays"
                    )
        self._last = where, mine, deepcopy(mine)

    def _compare_observations(self, where: str, part: str, mine: Any, theirs: Any) -> None:
        if _layout(mine) != _layout(theirs):
            raise VectorEnvError(
                f"{where}: {part}s are {_layout(mine)}, looped's {_layout(theirs)}"
            )
        if _difference(mine, theirs):
            for i in range(self._looped.num_envs):
                one, two = _of(self._single, mine, i), _of(self._single, theirs, i)
                _expect_equal(f"{where}, environment {i}: {part}", one, two)

    def _compare_figures(self, where: str, part: str, mine: Any, theirs: Any) -> None:
        if (
            not isinstance(mine, np.ndarray)
            or mine.shape != theirs.shape
            or mine.dtype.kind != theirs.dtype.kind  # float32 may stand for float64
        ):
            raise VectorEnvError(f"{where}: {part} is {_layout(mine)}, looped's {_layout(theirs)}")
        for i, (one, two) in enumerate(zip(mine.astype(theirs.dtype), theirs, strict=True)):
            _expect_equal(f"{where}, environment {i}: {part}", one, two)

    def _compare_infos(
        self, where: str, path: str, mine: Any, theirs: dict[str, Any], whose: Bools | None = None
    ) -> None:
        """Compare infos, and those within them, of the environments that have them."""
        if not isinstance(mine, dict):
            raise VectorEnvError(
                f"{where}: {path} is a {type(mine).__name__}; it is a dictionary, as looped's"
            )
        for name in theirs:
            if name not in mine:
                raise VectorEnvError(f"{where}: {path} lacks {shown(name)}, which looped's has")
        for name in mine:
            if name not in theirs:
                raise VectorEnvError(f"{where}: {path} has {shown(name)}, which looped's lacks")
        masks = [f"_{name}" for name in theirs if f"_{name}" in theirs]
        for name in masks:
            here = f"{path}[{shown(name)}]"
            if _layout(mine[name]) != _layout(theirs[name]):
                raise VectorEnvError(
                    f"{where}: {here} is {_layout(mine[name])}, looped's {_layout(theirs[name])}"
                )
            _expect_equal(f"{where}: {here}", mine[name], theirs[name])
        for name in theirs:
            if name in masks:
                continue
            here = f"{path}[{shown(name)}]"
            mask = theirs.get(f"_{name}", self._everyone if whose is None else whose)
            if isinstance(theirs[name], dict) and name != "final_obs":
                self._compare_infos(where, here, mine[name], theirs[name], mask)
                continue
            for i in np.flatnonzero(mask).tolist():
                one, two = (self._entry(where, here, of[name], i) for of in (mine, theirs))
                _expect_equal(f"{where}, environment {i}: {here}", one, two)
                if name == "final_obs" and _layout(one) != _layout(two):
                    raise VectorEnvError(
                        f"{where}, environment {i}: {here} is {_layout(one)}, "
                        f"looped's {_layout(two)}"
                    )

    def _entry(self, where: str, path: str, values: Any, i: int) -> Any:
        """What ``values`` hold of environment ``i``."""
        try:
            if not path.endswith("['final_obs']") or (_is_array(values) and values.dtype == object):
                return values[i]
            return _of(self._single, values, i)  # batched as observations are
        except (IndexError, KeyError, TypeError):
            raise VectorEnvError(
                f"{where}: {path} has nothing for environment {i}: {shown(values)}"
            ) from None


def _of(single: spaces.Space[Any], batch: Any, i: int) -> Any:
    """Observation of environment ``i`` in a batch of them."""
    if isinstance(single, spaces.Dict):
        return {name: _of(space, batch[name], i) for name, space in single.items()}
    if isinstance(single, spaces.Tuple):
        return tuple(_of(space, part, i) for space, part in zip(single, batch, strict=True))
    return batch[i]


class _Difference(NamedTuple):
    place: str
    mine: Any
    theirs: Any


def _expect_equal(what: str, mine: Any, theirs: Any) -> None:
    different = _difference(mine, theirs)
    if different:
        raise VectorEnvError(
            f"{what}{different.place} is {shown(different.mine)}, "
            f"looped's is {shown(different.theirs)}"
        )


def _difference(mine: Any, theirs: Any, place: str = "") -> _Difference | None:
    """Where two values differ first, nested ones too; None if they are equal, NaN to NaN."""
    pairs: Iterable[tuple[Any, Any, Any]]
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        if mine.keys() != theirs.keys():
            return _Difference(place, mine, theirs)
        pairs = ((name, mine[name], value) for name, value in theirs.items())
    elif isinstance(mine, (tuple, list)) and isinstance(theirs, (tuple, list)):
        if len(mine) != len(theirs):
            return _Difference(place, mine, theirs)
        pairs = ((i, one, two) for i, (one, two) in enumerate(zip(mine, theirs, strict=True)))
    elif _is_array(mine) and _is_array(theirs) and object in (mine.dtype, theirs.dtype):
        if mine.shape != theirs.shape:
            return _Difference(place, mine, theirs)
        pairs = ((i, one, theirs[i]) for i, one in np.ndenumerate(mine))
    else:
        return _difference_of_arrays(mine, theirs, place)
    for key, one, two in pairs:
        found = _difference(one, two, f"{place}[{_index(key)}]")
        if found:
            return found
    return None


def _difference_of_arrays(mine: Any, theirs: Any, place: str) -> _Difference | None:
    try:
        one, two = np.asarray(mine), np.asarray(theirs)
    except ValueError:  # a ragged list, and what is none
        return _Difference(place, mine, theirs)
    numbers = [array.dtype.kind in "biufc" for array in (one, two)]
    if one.shape != two.shape or numbers[0] != numbers[1]:
        return _Difference(place, mine, theirs)
    if one.dtype == object and not one.shape:  # single things that numpy does not know
        return None if mine is theirs or mine == theirs else _Difference(place, mine, theirs)
    unequal = np.asarray(one != two)
    if one.dtype.kind in "fc" and two.dtype.kind in "fc":
        unequal &= ~(np.isnan(one) & np.isnan(two))
    if not unequal.any():
        return None
    first = tuple(np.argwhere(unequal)[0].tolist())
    place += f"[{_index(first)}]" if first else ""
    return _Difference(place, one[first].item(), two[first].item())


def _index(key: Any) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else repr(key)


def _is_array(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.ndim > 0


def _layout(value: Any) -> str:
    """Types and shapes of a batch of observations, in words."""
    if isinstance(value, Mapping):
        parts = ", ".join(f"{shown(name)}: {_layout(part)}" for name, part in sorted(value.items()))
        return f"{{{parts}}}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_layout, value))})"
    if isinstance(value, (np.ndarray, np.generic, int, float)):
        array = np.asarray(value)
        return f"{array.dtype} {array.shape}"
    return type(value).__name__
