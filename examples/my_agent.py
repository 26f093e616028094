"""An agent of one's own: it mutates its best architecture so far, and keeps the better one."""

import numpy as np

import nats_gym


class HillClimber:
    def __init__(self, space, streams):
        self.space, self.streams = space, streams
        self.best = self.asked = space.sample(streams, (streams.runs,))  # choices (runs, n)
        self.score = np.zeros(streams.runs)  # percent

    def ask(self):
        return self.asked

    def tell(self, outcome):
        better = outcome.accuracy > self.score
        self.score = np.where(better, outcome.accuracy, self.score)
        self.best = np.where(better[:, None], self.asked, self.best)
        self.asked = self.space.mutate(self.best, self.streams)


result = nats_gym.search("tss", "cifar10", HillClimber, epochs=12, runs=500)
print("mean and std over runs, percent:", result.summary()["full_schedule_valid_accuracy"])
