"""RLlib's PPO with a runner in a process of its own.

pip install . 'ray[rllib]'; python examples/rllib_ppo.py [iterations]

Remote runners know an environment that a package registers by the package's name before the id.
"""

import sys

import ray
from ray.rllib.algorithms.ppo import PPOConfig

import nats_gym

if __name__ == "__main__":
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    ray.init(num_cpus=2, include_dashboard=False)
    config = (
        PPOConfig()
        .environment("nats_gym:NATS-TSS-cifar10-v0")
        .env_runners(num_env_runners=1, num_envs_per_env_runner=16)
        .training(train_batch_size_per_learner=960, minibatch_size=480, num_epochs=4, gamma=1.0)
        .debugging(seed=0)
    )
    algorithm = config.build_algo()
    for iteration in range(iterations):
        found = algorithm.train()["env_runners"]
        print(f"{iteration}: mean accuracy {100 * found['episode_return_mean']:.2f}")
    algorithm.stop()
    ray.shutdown()
    best = nats_gym.load_table("tss", "cifar10").best()[1]
    print(f"the best architecture's mean is {best:.2f}")
