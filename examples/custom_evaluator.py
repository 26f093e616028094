"""An evaluator of one's own: the widest network that stays below a number of parameters."""

import gymnasium as gym
import numpy as np

import nats_gym
from nats_gym.evaluators import Outcome


class WideButSmall:
    def evaluate(self, index, epochs, trial_keys):  # arrays (batch,)
        space = nats_gym.get_space("sss")
        params = space.params(space.choices(index), "cifar10")  # millions
        accuracy = np.where(params < 0.2, 100 * params / 0.2, 0.0)  # percent
        return Outcome(accuracy, seconds=np.ones(len(index)), provenance="made up")


if __name__ == "__main__":
    envs = gym.make_vec("NATS-SSS-cifar10-OneShot-v0", num_envs=512, evaluator=WideButSmall())
    envs.reset(seed=0)
    infos = envs.step(envs.action_space.sample())[4]
    best = infos["accuracy"].argmax()
    print(f"best of 512: {infos['arch'][best]}, {infos['accuracy'][best]:.1f} points")
