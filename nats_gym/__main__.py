"""``python -m nats_gym`` is ``nats-gym``."""

from nats_gym.cli import main

if __name__ == "__main__":
    main()
