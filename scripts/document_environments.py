"""Write docs/environments from the docstrings of the environment classes.

python scripts/document_environments.py [--check]

With ``--check`` nothing is written; the exit code is 1 if a page is not what it should be.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from pathlib import Path

import gymnasium as gym

import nats_gym.envs
from nats_gym.registration import (
    BENCHMARKS,
    ENVIRONMENTS,
    FAMILIES,
    OPEN_DATASETS,
    TASK_ENVIRONMENTS,
    TASK_FAMILIES,
    family_of,
)
from nats_gym.rewards import __doc__ as rewards_text
from nats_gym.spaces import get_space

FOLDER = Path(__file__).parent.parent / "docs" / "environments"
#: Of each family: its page, and what it is called.
PAGES = {
    "{}-v0": ("building.md", "Building one architecture"),
    "{}-Budgeted-v0": ("budgeted.md", "Searching within a budget"),
    "{}-OneShot-v0": ("one-shot.md", "All decisions at once"),
    "{}-Edit-v0": ("edit.md", "Changing one decision at a time"),
    "mo-{}-v0": ("multi-objective.md", "Several objectives"),
    "{}-Tasks-v0": ("tasks.md", "A task each episode"),
    "{}-Tasks-Budgeted-v0": ("tasks-budgeted.md", "Searching one task after another"),
}
INDEX = """# Environments

Made by `scripts/document_environments.py` from the docstrings.

{pages}

## Native vector environments

`gym.make_vec(id, num_envs=1024)` makes copies that step together in numpy and do to the bit what
scalar ones do. Gymnasium refuses `vector_kwargs` and `wrappers` beside a native vector
environment, and `max_episode_steps` is no option of ours: pass options themselves, wrap what comes
back, or take Gymnasium's own vector of scalar environments: `vectorization_mode="sync"` or
`"async"`.

| Gymnasium 1.4's vector wrapper | NEXT_STEP | SAME_STEP | DISABLED |
|---|---|---|---|
| `RecordEpisodeStatistics`, `RecordVideo`, `DictInfoToList` | yes | yes | yes |
| `TransformReward`, `ClipReward` | yes | yes | yes |
| `NormalizeReward` | see below | from 1.4 on | see below |
| `FlattenObservation`, `RescaleObservation`, `TransformObservation` | yes | no | yes |
| our `DictVectorObservation`, `MultiDiscreteVectorObservation` | yes | no | yes |
| `NormalizeObservation` | yes | no | no |

Wrappers that change observations refuse `SAME_STEP`, because they would leave `final_obs` as it
was.

`NormalizeReward` divides rewards by the spread of discounted returns; where it does not restart
these at an episode's end, the spread is off. Under `SAME_STEP` it restarts them since 1.4;
before, it carried the last episode's on, and 1.3 skipped the first step of each episode. Under
`NEXT_STEP` it does not, in 1.4 either: the next episode starts from the last reward, or after
truncation (`Edit`'s horizon) from the whole return. Under `DISABLED` a `reset_mask` restarts the
returns of all copies. In every mode the step that terminates an episode counts its own reward
alone. Stable-Baselines3's `VecNormalize` restarts them rightly.

`RecordEpisodeStatistics` and `NormalizeReward` fail on the vector rewards of `mo-` environments;
MO-Gymnasium's `MORecordEpisodeStatistics` counts them in `NEXT_STEP`; in `SAME_STEP` it leaves out
the first step of every episode but the first (1.3.2), and so counts five steps of six.

For Stable-Baselines3, `nats_gym.envs.make_sb3(id, num_envs=1024)` adapts the native environment,
action masks included.

TorchRL's `GymWrapper` takes the scalar environment, and the native one with
`autoreset_mode="Disabled"` or `"SameStep"`; it refuses `NEXT_STEP`. `GymEnv(id)` works by id, with
`mo-` too, and `ActionMask` with the masks of `info` (`tests/test_libraries.py`, TorchRL 0.14.1);
`examples/torchrl_gym.py` shows both wrappers:

```python
# Needs the extra torchrl.
import gymnasium as gym
import nats_gym
from torchrl.envs import GymWrapper

one = GymWrapper(gym.make("NATS-TSS-cifar10-v0"))
many = GymWrapper(gym.make_vec("NATS-TSS-cifar10-v0", num_envs=64, autoreset_mode="Disabled"))
```

RLlib's remote runners know the ids as `nats_gym:NATS-…` alone (`examples/rllib_ppo.py`); RL
Baselines3 Zoo takes `--gym-packages nats_gym` and `--conf-file examples/rl_zoo.yml`; skrl's
`wrap_env` takes scalar and native environments. Native ones have `call`, `get_attr` and
`set_attr`, as Gymnasium's own do, for what is a copy's own (`render`, `action_masks`) and for what
all share.

## Observations

The flat observation of each page is the default. `nats_gym.envs.DictObservation`,
`MultiDiscreteObservation` and `GraphObservation` turn it into a `Dict`, one integer a decision, or
a Gymnasium `GraphInstance`; `DictVectorObservation` and `MultiDiscreteVectorObservation` do so for
native vector environments.

## Rewards

{rewards}

## Your own parts

`nats_gym.testing.check_evaluator` checks an evaluator of yours, `check_space` a space,
`check_reward` a reward, `check_vector_env` a vector environment against looped scalar ones.
[Real training](../training.md) says how evaluators are made and named.
"""


def docstring(name: str, level: int) -> str:
    """Docstring of an environment class, its headings ``level`` deeper."""
    text = inspect.cleandoc(getattr(nats_gym.envs, name).__doc__)
    text = re.sub(r":class:`~?(?:nats_gym\.envs\.)?(\w+)`", r"`nats_gym.envs.\1`", text)
    lines = ("#" * level + line if line.startswith("#") else line for line in text.splitlines())
    return "\n".join(lines)


def page(family: str) -> str:
    """The page of a family."""
    scalar, vector = {**FAMILIES, **TASK_FAMILIES}[family]
    of_tasks = {one: made for one, made in TASK_ENVIRONMENTS.items() if family_of(one) == family}
    ids = [one for one in (*ENVIRONMENTS, *of_tasks) if family_of(one) == family]
    own = [env_id for env_id in OPEN_DATASETS if family_of(env_id) == family]
    lines = [f"# {PAGES[family][1]}", "", *(f"- `{env_id}`" for env_id in ids)]
    lines += [f"- `{env_id}`: on images of your own, `dataset=`" for env_id in own]
    lines.append(f"- `{family.format('NAS')}`: in any space, `space=`")
    shown = {one: made["space"] for one, made in of_tasks.items()} or {
        family.format(name): space
        for name, (space, dataset) in BENCHMARKS.items()
        if dataset == "cifar10"
    }
    first = "tasks" if of_tasks else "CIFAR-10"
    lines += ["", f"| {first} | action space | observation space |", "|---|---|---|"]
    for env_id, space in shown.items():
        env, title = gym.make(env_id), get_space(space).title
        lines.append(f"| {title} | `{env.action_space}` | `{env.observation_space}` |")
    lines += ["", f"`nats_gym.envs.{scalar}`", "", docstring(scalar, 0), ""]
    lines += [f"## Native vector environment: `nats_gym.envs.{vector}`", "", docstring(vector, 1)]
    return "\n".join(lines) + "\n"


def index() -> str:
    """The page that leads to the others."""
    pages = "\n".join(
        f"- [{title}]({name}): "
        + ", ".join(
            f"`{family.format(one)}`"
            for one in (
                ("NATS-TSS", "NATS-SSS", "NAS")
                if family in TASK_FAMILIES
                else ("NATS-…", "NASBench101-cifar10", "NAS")
            )
        )
        for family, (name, title) in PAGES.items()
    )
    text = inspect.cleandoc(rewards_text or "").partition("\n\n")[2].replace("``", "`")
    return INDEX.format(pages=pages, rewards=text.replace(":data:", "").replace(":class:", ""))


def pages() -> dict[Path, str]:
    """Every page by its path."""
    warnings.simplefilter("ignore")
    made = {FOLDER / name: page(family) for family, (name, _) in PAGES.items()}
    return {FOLDER / "README.md": index(), **made}


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    stale = []
    for path, text in pages().items():
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; run make docs")


if __name__ == "__main__":
    main()
