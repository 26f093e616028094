"""Settings of Stable-Baselines3's algorithms that fit these environments."""

from __future__ import annotations

from typing import Any

#: PPO over 1,024 native environments (``nats_gym.envs.make_sb3``): four rollouts of an
#: architecture's six steps, large batches. SB3's own settings (batches of 64, rollouts of 2,048
#: steps in every environment) spend nearly all time on gradients of tiny batches.
PPO_SETTINGS: dict[str, Any] = {
    "n_steps": 24,
    "batch_size": 4096,
    "n_epochs": 4,
    "learning_rate": 1e-3,
    "gamma": 1.0,
    "gae_lambda": 0.95,
    "ent_coef": 0.01,
}

#: PPO on OneShot environments (256 native copies): an episode is one step, so there is nothing to
#: bootstrap, and an update after every four architectures of a copy.
PPO_ONE_SHOT_SETTINGS: dict[str, Any] = {
    **PPO_SETTINGS,
    "n_steps": 4,
    "batch_size": 512,
    "learning_rate": 3e-3,
    "gae_lambda": 1.0,
}

#: PPO on Edit environments (256 native copies, 50 steps an episode): what a change is worth shows
#: at once, so returns are discounted.
PPO_EDIT_SETTINGS: dict[str, Any] = {
    **PPO_SETTINGS,
    "n_steps": 50,
    "batch_size": 3200,
    "gamma": 0.9,
}

#: PPO on Budgeted environments (64 native copies): an episode has about a thousand steps, so a
#: rollout is a part of one, and a decision is credited within about five architectures.
PPO_BUDGETED_SETTINGS: dict[str, Any] = {
    **PPO_SETTINGS,
    "n_steps": 96,
    "batch_size": 1536,
    "gamma": 0.97,
}

#: sb3-contrib's RecurrentPPO on the same (32 copies, ``MlpLstmPolicy``): what it remembers from one
#: architecture to the next is the search.
RECURRENT_PPO_SETTINGS: dict[str, Any] = {
    **PPO_BUDGETED_SETTINGS,
    "batch_size": 768,
    "learning_rate": 2e-3,
    "policy_kwargs": {"lstm_hidden_size": 64, "enable_critic_lstm": False, "shared_lstm": True},
}

#: PPO over tasks of which whole searches are episodes (``NATS-…-Tasks-Budgeted-v0`` with
#: ``max_evaluations`` of some tens, 256 native copies): a rollout is four architectures of each.
META_PPO_SETTINGS: dict[str, Any] = {
    **PPO_BUDGETED_SETTINGS,
    "n_steps": 24,
    "batch_size": 2048,
    "ent_coef": 0.003,
}

#: RecurrentPPO on the same (64 copies, ``MlpLstmPolicy``): its memory lasts for a search, as RL²'s
#: does for a trial.
META_RECURRENT_PPO_SETTINGS: dict[str, Any] = {
    **RECURRENT_PPO_SETTINGS,
    "n_steps": 60,
    "batch_size": 960,
    "gamma": 0.99,
    "ent_coef": 0.003,
}

#: PPO within a budget of about a hundred evaluations, on one environment: short rollouts, each
#: used many times.
PPO_BUDGET_SETTINGS: dict[str, Any] = {
    **PPO_SETTINGS,
    "n_steps": 48,
    "batch_size": 48,
    "n_epochs": 10,
    "learning_rate": 3e-3,
    "ent_coef": 0.0,
}

#: MaskablePPO within such a budget: PPO's, whose updates it shares.
MASKABLE_PPO_BUDGET_SETTINGS: dict[str, Any] = dict(PPO_BUDGET_SETTINGS)

#: A2C within such a budget: an update every two architectures, with their whole returns. Its
#: first updates precede any useful value estimate; faster rates settle on what came first.
A2C_BUDGET_SETTINGS: dict[str, Any] = {
    "n_steps": 12,
    "learning_rate": 2e-3,
    "gamma": 1.0,
    "gae_lambda": 1.0,
    "ent_coef": 0.01,
}

#: DQN within such a budget: a gradient step for every decision after ten architectures, the
#: target network never older than five; exploration ends at 0.8 of the budget.
DQN_BUDGET_SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-3,
    "buffer_size": 10_000,
    "learning_starts": 60,
    "batch_size": 128,
    "gamma": 1.0,
    "train_freq": 1,
    "gradient_steps": 1,
    "target_update_interval": 30,
    "exploration_fraction": 0.8,
    "exploration_final_eps": 0.05,
}
