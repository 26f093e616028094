"""An agent of one's own: local search from a random start, batched over runs."""

import numpy as np

import nats_gym


class HillClimber:
    """Mutates its best architecture so far and keeps the better of the two."""

    def __init__(self, space, streams):
        self.space, self.streams = space, streams
        self.best = space.sample(streams, (streams.runs,))  # digits (runs, n)
        self.score = np.full(streams.runs, -np.inf)  # (runs,)

    def ask(self):
        started = np.isfinite(self.score)[:, None]
        self.asked = np.where(started, self.space.mutate(self.best, self.streams), self.best)
        return self.asked

    def tell(self, outcome):
        better = outcome.accuracy > self.score
        self.score = np.where(better, outcome.accuracy, self.score)
        self.best = np.where(better[:, None], self.asked, self.best)


if __name__ == "__main__":
    for agent in (HillClimber, "random"):
        result = nats_gym.search("tss", "cifar10", agent, epochs=12, runs=500)
        accuracy = result.full_schedule_accuracy()
        print(f"{result.arguments['agent']}: {accuracy.mean():.2f} ± {accuracy.std():.2f} %")
