"""Search algorithms: each in one readable file, importable by name.

By name, one algorithm each:

======================  ========================================================
``random``              uniform, independent architectures
``reinforce``           a categorical per decision, trained by policy gradient
``rea``                 regularized evolution
``scalarised-rea``      likewise, of several objectives by weights drawn anew
``nsga2``               evolution of several objectives by dominance
``local-search``        climbing to local optima, with restarts
``bandit``              a bandit per decision, Thompson sampling or UCB
``largest``             zero-cost baseline: the largest architectures first
``bananas``             an ensemble predicts accuracies, the best guesses are evaluated
``few-shot``            a Bayesian line predicts them, from other data sets' tables too
``transfer``            what other data sets' tables rank first
``tpe``                 Optuna's tree-structured Parzen estimator (extra ``optuna``)
``successive-halving``  short trainings of many, long ones of the best
``hyperband``           the same, with more or less halving in turn
``asha``                the same, for workers that wait for nobody
``bohb``                Hyperband's, proposed by a kernel density estimate
``ppo``                 Stable-Baselines3's PPO in the environment
``ppo-weights``         likewise, of several objectives: a training for each weight
``a2c``, ``dqn``        its A2C and DQN
``maskable-ppo``        sb3-contrib's (extra ``maskable``)
``controller``          a policy that learned to search, on other data sets, before it is asked to
``darts`` … ``tunas``   weight sharing: see :mod:`nats_gym.agents.weight_sharing`
======================  ========================================================

Four kinds. An *ask/tell agent* needs no gradient through an environment and is batched over
independent runs::

    class MyAgent:
        def __init__(self, space, streams): ...      # streams.runs runs, one random stream each
        def ask(self): ...                           # choices (runs, n)
        def tell(self, outcome, evaluation): ...     # what evaluations of these numbers scored

Outcomes are arrays of ``(runs,)``, and so are the numbers, which count what was asked for from 0.
Where several workers evaluate beside each other, answers come in another order than questions. An
agent with ``tell(self, outcome)``, which is told of its last question, searches with one worker.
A run's answer is its best observed architecture, unless the agent has ``recommend(self)``, which
returns the numbers ``(runs,)`` of the evaluations that it trusts most.

A *multi-fidelity agent* is told the number of rungs of a ladder of schedules, too, as ``rungs=``,
and says how far each architecture is trained::

    class MyAgent:
        continuing = "difference"                    # what going on with a training costs
        def __init__(self, space, streams, rungs): ...
        def ask(self): ...                           # a Question: choices, rung, continues
        def tell(self, outcome, evaluation): ...     # which evaluations these outcomes answer

:func:`nats_gym.testing.check_agent` holds agents of these two kinds to what a search counts on.

An *environment agent* learns in a Gymnasium environment, one run at a time::

    class MyAgent:
        def learn(self, env, budget, seed): ...      # until info["clock"] has reached the budget

With ``evaluations=None`` among the arguments of ``learn``, it can be told to stop after so many.
One that says ``learns_in_copies = True`` can have several workers: ``env`` is then a native vector
environment of as many copies (``autoreset_mode`` SAME_STEP), whose seconds add up to the clock.

A *weight-sharing search* trains one supernet for real, on the data set itself; the architecture
that it stands for after each epoch is looked up in the table. It is what ``SupernetSearch`` makes
when it is called with a data set.

``nats_gym.search`` takes a name of :data:`AGENTS`, ``"my_module:MyAgent"``, the folder of a trained
controller (:mod:`nats_gym.agents.controller`), or whatever makes an agent when it
is called: a class, ``functools.partial(PPOAgent, settings)``, a function. What it is called with
tells its kind. What takes ``among`` besides is told the architectures of a partial
table, choices ``(m, n)``, and asks for no others; what does not can fail there.

An agent with a parameter ``objectives`` weighs several: its option of that name names figures, by
default accuracy and FLOPs, and each answer has them, ``outcome.objectives (runs, m)``, each to be
maximised; one that learns in an environment is given ``mo-NAS-v0``, whose rewards are such vectors.

An agent with an attribute ``prior_tables``, ``"none"`` or ``"others"``, learns from other data
sets' tables. Its option ``prior`` is their names, by default none or all others; it is made with
their accuracies as ``prior=``, percent ``(tables, arch)``; see :mod:`nats_gym.tables.prior`.

An agent that takes ``guide`` lets a score of all architectures guide it: its options are ``score``,
the name of a figure, ``prefer``, ``warmup`` and ``proposals``, and it is made with a
:class:`~nats_gym.agents.guide.Guide` of them; see there.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from nats_gym import checks
from nats_gym.checks import word
from nats_gym.errors import InvalidInput, UnknownOption, said, shown, unknown_option
from nats_gym.files.writing import lacking
from nats_gym.spaces import ArchitectureSpace

from .interface import AskTellAgent, EnvironmentAgent, MultiFidelityAgent, Question
from .settings import (
    A2C_BUDGET_SETTINGS,
    DQN_BUDGET_SETTINGS,
    MASKABLE_PPO_BUDGET_SETTINGS,
    META_PPO_SETTINGS,
    META_RECURRENT_PPO_SETTINGS,
    PPO_BUDGET_SETTINGS,
    PPO_BUDGETED_SETTINGS,
    PPO_EDIT_SETTINGS,
    PPO_ONE_SHOT_SETTINGS,
    PPO_SETTINGS,
    RECURRENT_PPO_SETTINGS,
)
from .weight_sharing import METHODS

_HOMES = {
    "random": ".random_search:RandomSearch",
    "reinforce": ".reinforce:Reinforce",
    "ppo": ".ppo:PPOAgent",
    "ppo-weights": ".ppo_weights:PPOOverWeights",
    "rea": ".regularized_evolution:RegularizedEvolution",
    "scalarised-rea": ".scalarised_evolution:ScalarisedEvolution",
    "nsga2": ".nsga2:Nsga2",
    "local-search": ".local_search:LocalSearch",
    "bandit": ".bandit:Bandit",
    "largest": ".largest:Largest",
    "bananas": ".bananas:Bananas",
    "few-shot": ".few_shot:FewShot",
    "transfer": ".transfer:Transfer",
    "successive-halving": ".successive_halving:SuccessiveHalving",
    "hyperband": ".hyperband:Hyperband",
    "asha": ".asha:Asha",
    "bohb": ".bohb:Bohb",
    "tpe": ".tpe:Tpe",
    "a2c": ".a2c:A2CAgent",
    "dqn": ".dqn:DQNAgent",
    "maskable-ppo": ".maskable_ppo:MaskablePPOAgent",
    "controller": ".controller:ShippedController",
}

#: Kinds of agents, and what each is made with: in order, then by name.
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "environment": ((), ()),
    "ask-tell": (("space", "streams"), ()),
    "multi-fidelity": (("space", "streams"), ("rungs",)),
    "weight-sharing": (
        ("dataset",),
        ("epochs", "seed", "budget", "among", "checkpoint", "progress"),
    ),
}

#: What ``prior_tables`` of an agent may be.
PRIORS = ("none", "others")

#: Options of agents that take a guide.
GUIDE_OPTIONS = ("score", "prefer", "warmup", "proposals")

#: Names of the agents.
AGENTS: tuple[str, ...] = (*_HOMES, *METHODS)


def get_agent(name: str) -> Any:
    """Return what makes the agent called ``name``: its class, mostly.

    Raises:
        InvalidInput: for an unknown name; it lists the known ones.
    """
    try:
        name = word(name, "agent", AGENTS)
    except InvalidInput as error:
        raise InvalidInput(
            f"{error} One of your own is named 'module:Class', or a controller's folder."
        ) from None
    if name in METHODS:
        from .weight_sharing.supernet_search import SupernetSearch

        return functools.partial(SupernetSearch, name)
    module, cls = _HOMES[name].split(":")
    return getattr(import_module(module, __name__), cls)


def find_agent(agent: object) -> tuple[str, Callable[..., Any]]:
    """Return an agent's name, for results, and what makes it.

    Args:
        agent: a name; ``"my_module:MyAgent"``; the folder of a trained controller; or what makes
            an agent; see the module.

    Raises:
        InvalidInput: for anything else, or what cannot be imported.
    """
    if isinstance(agent, str):
        lacks = lacking(str.__str__(agent), "controller.json")
        if lacks == "":
            from .controller import ControllerAgent

            return agent, functools.partial(ControllerAgent, agent)
        if ":" not in agent:
            if lacks and agent not in AGENTS:
                raise InvalidInput(f"no controller in {shown(agent)}: {lacks}")
            return agent, get_agent(agent)
        return agent, checks.imported_maker(agent, "agent")
    if not callable(agent):
        raise InvalidInput(
            f"an agent is one of {', '.join(AGENTS)}, or a class or function that makes one; "
            f"got {shown(agent)}"
        )
    return _name_of(agent), agent


def kind_of(factory: Callable[..., Any], options: Iterable[str] = (), name: str = "") -> str:
    """Which of :data:`KINDS` of agents ``factory`` makes, by what it is called with.

    Args:
        factory: what makes an agent.
        options: names of keyword arguments that it is called with besides.
        name: what to call it in messages; its own if empty.

    Raises:
        InvalidInput: if it can be called in no such way, or not with these options.
    """
    options = _names(options)
    name = checks.text(name, "an agent's name") or _name_of(factory)
    kind = next((kind for kind in KINDS if _takes(factory, kind)), None)
    if kind is None:
        raise InvalidInput(
            "an agent is made with (space, streams), to ask and tell, with (space, streams, "
            "rungs=) to do so on several rungs, without arguments, to learn, or as SupernetSearch "
            f"is, to train a supernet; {shown(factory)} takes none of these"
        )
    own = _options(factory, kind)
    for option in options:
        if option not in own and not _takes(factory, kind, option):
            if own:
                why = "it goes by no score" if option in GUIDE_OPTIONS else ""
                raise unknown_option(option, own, name, why)
            raise UnknownOption(
                f"{name} takes no options (got an unexpected keyword argument {shown(option)})"
            )
    return kind


def _options(factory: Callable[..., Any], kind: str) -> list[str]:
    """Names of what an agent of a kind can be told besides."""
    given, by_name = KINDS[kind]
    parameters = list(inspect.signature(factory).parameters)[len(given) :]
    own = [name for name in parameters if name not in (*by_name, "among", "guide")]
    return [*own, *(GUIDE_OPTIONS if takes_guide(factory) else ())]


def chooses_among(factory: Callable[..., Any]) -> bool:
    """Whether its agents can be told among which architectures to choose, by ``among=``."""
    return _takes(factory, kind_of(factory), "among")


def plays_one_by_one(factory: Callable[..., Any]) -> bool:
    """Whether its runs are played one after the other: no time is lost by parting them."""
    if kind_of(factory) in ("environment", "weight-sharing"):
        return True
    return not getattr(_unwrap(factory), "batched", True)


def continuing_of(factory: Callable[..., Any]) -> str:
    """What going on with a training costs a multi-fidelity agent that says nothing else."""
    return str(_said_of(factory, "continuing", "difference"))


def recommends(factory: Callable[..., Any]) -> bool:
    """Whether its agents say themselves what they answer, by ``recommend()``."""
    return callable(_said_of(factory, "recommend", None))


def learns_in_copies(factory: Callable[..., Any]) -> bool:
    """Whether an agent learns in several copies of an environment, too, for several workers."""
    return _said_of(factory, "learns_in_copies", False) is True


def prior_of(factory: Callable[..., Any]) -> str | None:
    """Which tables are an agent's prior where nothing is said; None if it takes no prior."""
    default = _said_of(factory, "prior_tables", None)
    return None if default is None else checks.word(default, "default of a prior", PRIORS)


def objectives_of(factory: Callable[..., Any]) -> tuple[bool, Any]:
    """Whether its agents weigh several objectives, and which where nothing is said."""
    if "objectives" not in _options(factory, kind_of(factory)):
        return False, None
    default = inspect.signature(factory).parameters["objectives"].default
    return True, None if default is inspect.Parameter.empty else default


def takes_guide(factory: Callable[..., Any]) -> bool:
    """Whether a score can guide its agents, by ``guide=``."""
    if not callable(factory):  # Python would quote it whole
        return False
    try:
        return "guide" in inspect.signature(factory).parameters
    except Exception:  # what is given answers as it likes
        return False


def learned_on(
    factory: Callable[..., Any], options: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Names of the tasks that an agent was trained on before the search; none of most agents.

    Args:
        factory: what makes the agent.
        options: keyword arguments that it is called with besides.
    """
    tell = _said_of(factory, "learned_on", None)
    if not callable(tell):
        return ()
    made = functools.partial(factory, **(options or {}))
    return tuple(tell(*made.args, **made.keywords))


def trained_for(factory: Callable[..., Any]) -> Callable[..., str] | None:
    """What names the trained policy that serves a search; None of agents that have one or none."""
    found = _said_of(factory, "trained_for", None)
    return found if callable(found) else None


def results_for_model(factory: Callable[..., Any], space: ArchitectureSpace) -> int:
    """Results of one rung before which an agent that fits a model has none; 0 for the others."""
    space = checks.instance(space, ArchitectureSpace, "a space")
    least = _said_of(factory, "results_for_model", None)
    return int(least(space)) if least is not None else 0


def _said_of(factory: Any, name: str, default: Any) -> Any:
    """What makes an agent, or what it wraps, says of it."""
    try:
        return getattr(_unwrap(factory), name, default)
    except Exception as error:  # what is given answers as it likes
        raise InvalidInput(f"{name} of agent {shown(factory)}: {said(error)}") from error


def _names(options: Iterable[str]) -> list[str]:
    """Names of keyword arguments, of a list or of a dictionary."""
    found = checks.as_list([*options] if type(options) in (dict, type({}.keys())) else options)
    if found is None or not all(issubclass(type(name), str) for name in found):
        raise InvalidInput(f"options are names, got {shown(options)}")
    return found


def _unwrap(factory: Any) -> Any:
    return _unwrap(factory.func) if isinstance(factory, functools.partial) else factory


def _takes(factory: Callable[..., Any], kind: str, *options: str) -> bool:
    if not callable(factory):  # Python would quote it whole
        return False
    given, by_name = KINDS[kind]
    told = dict.fromkeys((*by_name, *options))
    try:
        inspect.signature(factory).bind(*given, **told)
    except Exception:  # what is given answers as it likes
        return False
    return True


def _name_of(factory: Any) -> str:
    if isinstance(factory, functools.partial):
        # Results record this name: its length stays what it was.
        settings = [shown(value, 121) for value in factory.args]
        settings += [f"{name}={shown(value, 121)}" for name, value in factory.keywords.items()]
        return f"{_name_of(factory.func)}({', '.join(settings)})"
    try:
        named = factory if hasattr(factory, "__qualname__") else type(factory)
        return f"{named.__module__}:{named.__qualname__}"
    except Exception:  # what is given answers as it likes
        return shown(factory)


__all__ = [
    "A2C_BUDGET_SETTINGS",
    "AGENTS",
    "DQN_BUDGET_SETTINGS",
    "GUIDE_OPTIONS",
    "KINDS",
    "MASKABLE_PPO_BUDGET_SETTINGS",
    "META_PPO_SETTINGS",
    "META_RECURRENT_PPO_SETTINGS",
    "PPO_BUDGETED_SETTINGS",
    "PPO_BUDGET_SETTINGS",
    "PPO_EDIT_SETTINGS",
    "PPO_ONE_SHOT_SETTINGS",
    "PPO_SETTINGS",
    "RECURRENT_PPO_SETTINGS",
    "AskTellAgent",
    "EnvironmentAgent",
    "MultiFidelityAgent",
    "Question",
    "chooses_among",
    "continuing_of",
    "find_agent",
    "get_agent",
    "kind_of",
    "learned_on",
    "learns_in_copies",
    "objectives_of",
    "plays_one_by_one",
    "prior_of",
    "recommends",
    "results_for_model",
    "takes_guide",
    "trained_for",
]
