"""``python -m nats_gym`` is ``nats-gym``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C is answered from the first import on."""
    try:
        from nats_gym.cli import main as run
    except KeyboardInterrupt:
        print("nats-gym: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
