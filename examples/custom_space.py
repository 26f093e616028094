"""A space of one's own, small MLPs trained on digits: searched by REA, then by SB3's PPO."""

import itertools
import sys

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO
from torch import nn

import nats_gym
from nats_gym.agents.regularized_evolution import RegularizedEvolution
from nats_gym.evaluators.registry import make_evaluator
from nats_gym.streams import RunStreams, run_keys

WIDTHS = "4", "8", "16", "32", "64"


class SmallMLPs(nats_gym.ArchitectureSpace):
    name = "small-mlps"
    decisions = dict(  # noqa: C408, RUF012
        depth=("1", "2", "3"), first=WIDTHS, second=WIDTHS, third=WIDTHS,
        activation=("ReLU", "Tanh", "GELU"), dropout=("0.0", "0.1", "0.3"),
    )  # fmt: skip

    def network(self, choices, dataset):  # images of digits are (batch, 3, 8, 8)
        depth, *widths, act, dropout = self.string(choices).item().split(":")
        sizes, layers = [3 * 8 * 8, *map(int, widths[: int(depth)])], [nn.Flatten()]
        for before, size in itertools.pairwise(sizes):
            layers += [nn.Linear(before, size), getattr(nn, act)(), nn.Dropout(float(dropout))]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], 10))


if __name__ == "__main__":
    trainings = int(sys.argv[1]) if len(sys.argv) > 1 else 200  # of each search
    space = nats_gym.register_space(SmallMLPs)
    evaluator = make_evaluator("train", space.name, "digits", recipe={"learning_rate": 0.05})
    agent = RegularizedEvolution(space, RunStreams(run_keys([0])))  # one run
    for key in range(trainings):
        index = space.index(agent.ask())  # (1,)
        agent.tell(evaluator.evaluate(index, 4, np.array([key], np.uint64)))
    print(f"REA's population: {agent.accuracy.mean():.1f} % on average, from 4 epochs each")

    env = gym.make("NAS-v0", space=space, dataset="digits", evaluator=evaluator)
    ppo = PPO("MlpPolicy", env, n_steps=30, batch_size=30, learning_rate=3e-3, gamma=1.0, seed=0)
    obs = ppo.learn(6 * trainings).get_env().reset()
    for _ in range(6):
        obs, _, _, infos = ppo.get_env().step(ppo.predict(obs, deterministic=True)[0])
    print(f"PPO's choice: {infos[0]['arch']}, {infos[0]['accuracy']:.1f} %")
