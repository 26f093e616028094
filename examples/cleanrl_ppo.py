"""PPO in one file, in CleanRL's manner, on the native vector environment.

python examples/cleanrl_ppo.py [updates]
"""

import sys

import gymnasium as gym
import numpy as np
import torch
from torch import nn

import nats_gym  # noqa: F401 - registers the environments

torch.set_num_threads(1)
torch.manual_seed(0)
NUM_ENVS, STEPS, EPOCHS, BATCH, CLIP, ENTROPY = 512, 21, 4, 2048, 0.2, 0.01

envs = gym.make_vec("NATS-SSS-cifar10-v0", num_envs=NUM_ENVS)  # NEXT_STEP autoreset
width, k = envs.single_observation_space.shape[0], envs.single_action_space.n
actor = nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, k))
critic = nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, 1))
adam = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=2e-3)
obs = torch.tensor(envs.reset(seed=0)[0])
ended = np.zeros(NUM_ENVS, bool)
for update in range(int(sys.argv[1]) if len(sys.argv) > 1 else 100):
    rollout, rewards, ends, resets, returns = [], [], [], [], []
    for _ in range(STEPS):
        with torch.no_grad():
            policy, value = torch.distributions.Categorical(logits=actor(obs)), critic(obs)[:, 0]
        action = policy.sample()
        resets.append(ended)  # this step only resets them: it is no transition
        rollout.append((obs, action, policy.log_prob(action), value))
        new, reward, terminated, truncated, infos = envs.step(action.numpy())
        ended = terminated | truncated
        rewards.append(torch.tensor(reward, dtype=torch.float32))
        ends.append(torch.tensor(ended))
        obs = torch.tensor(new)
    following = critic(obs)[:, 0].detach()
    for reward, end, reset in zip(rewards[::-1], ends[::-1], resets[::-1], strict=True):
        following = torch.where(torch.tensor(reset), following, reward + following * ~end)
        returns.append(following)  # undiscounted; episodes are five steps long
    kept = ~torch.tensor(np.array(resets))
    b_obs, b_action, b_log, b_value = (torch.stack(x)[kept] for x in zip(*rollout, strict=True))
    b_return = torch.stack(returns[::-1])[kept]
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(b_obs)).split(BATCH):
            policy = torch.distributions.Categorical(logits=actor(b_obs[rows]))
            advantage = b_return[rows] - b_value[rows]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            ratio = (policy.log_prob(b_action[rows]) - b_log[rows]).exp()
            gain = torch.min(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)
            error = (critic(b_obs[rows])[:, 0] - b_return[rows]) ** 2
            loss = -gain.mean() + 0.5 * error.mean() - ENTROPY * policy.entropy().mean()
            adam.zero_grad(), loss.backward(), adam.step()
    if update % 20 == 0:
        print(f"update {update}: mean return {b_return.mean():.4f}")
best = envs.unwrapped.shared.figure("accuracy").max() / 100
print(f"at last {b_return.mean():.4f}; the best architecture's mean is {best:.4f}")
