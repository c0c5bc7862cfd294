"""What many workers do who share one file system and one scheduler: a formula, and a simulation that knows queues.

A worker takes a file, reads it, fits it and writes its products, one after the other. Alone it is as quick as was
measured; together, workers get no more bytes a second than the file system gives, and the scheduler hands out one file
after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: What a worker does, in this order; the first and the last but one are shared with others.
_WAITS, _READS, _FITS, _WRITES = range(4)
#: Of a simulated run, its beginning and its end are left out: workers are in step there, or have nothing left to do.
_FROM, _TO = 0.25, 0.75


@dataclass(frozen=True)
class Costs:
    """Of one exposure, for one worker.

    Attributes
    ----------
    read_bytes, written_bytes : float
    read, fit, write : float
        In s, alone on its file system.
    schedule : float
        In s of the scheduler, of which there is one.
    """

    read_bytes: float
    written_bytes: float
    read: float
    fit: float
    write: float
    schedule: float

    @property
    def seconds(self) -> float:
        """What a worker needs for one file."""
        return self.read + self.fit + self.write

    def seconds_at(self, bandwidth: float) -> float:
        """Return the same on a file system of so many bytes a second, which no worker reads or writes faster than."""
        return max(self.read, self.read_bytes / bandwidth) + self.fit + max(self.write, self.written_bytes / bandwidth)

    @property
    def moved(self) -> float:
        """Bytes that are read and written for one file."""
        return self.read_bytes + self.written_bytes


def files_per_second(costs: Costs, workers: int, bandwidth: float) -> float:
    """Return what the slowest of workers, file system (bytes/s) and scheduler lets through."""
    return min(workers / (costs.seconds_at(bandwidth) + costs.schedule), bandwidth / costs.moved, 1 / costs.schedule)


def saturating_workers(costs: Costs, bandwidth: float) -> float:
    """Return how many workers keep the file system, or the scheduler, busy."""
    return min(bandwidth / costs.moved, 1 / costs.schedule) * (costs.seconds_at(bandwidth) + costs.schedule)


def simulate(costs: Costs, workers: int, bandwidth: float, *, files_per_worker: int = 12, seed: int = 1) -> float:
    """Return the files a second that `workers` fit in a simulation, event by event.

    Fits take a tenth more or less, so that workers do not stay in step; whoever reads or writes gets the same share of
    the bandwidth as the others, and never more than it can take alone.
    """
    random = np.random.default_rng(seed)
    # The shares of each phase that are left, and how fast one goes on alone.
    alone = np.array([1 / costs.schedule, 1 / costs.read, 1 / costs.fit, 1 / costs.write])
    sizes = np.array([0.0, costs.read_bytes, 0.0, costs.written_bytes])
    left, phase = np.ones(workers), np.full(workers, _WAITS)
    queue, now, done = list(range(workers)), 0.0, []
    begun, wanted = 0, workers * files_per_worker
    while len(done) < wanted:
        speed = alone[phase]
        moving = (phase == _READS) | (phase == _WRITES)
        if moving.any():
            share = bandwidth / np.count_nonzero(moving)
            speed[moving] = np.minimum(speed[moving], share / sizes[phase[moving]])
        speed[phase == _WAITS] = 0.0
        if queue and begun < wanted:
            speed[queue[0]] = alone[_WAITS]
        with np.errstate(divide="ignore"):
            times = np.where(speed > 0, left / speed, np.inf)
        worker = int(times.argmin())
        now += times[worker]
        left -= speed * times[worker]
        if phase[worker] == _WAITS:
            queue.pop(0)
            begun += 1
        if phase[worker] == _WRITES:
            done.append(now)
            queue.append(worker)
        phase[worker] = (phase[worker] + 1) % len(alone)
        left[worker] = random.uniform(0.9, 1.1) if phase[worker] == _FITS else 1.0
    first, last = (round(share * wanted) for share in (_FROM, _TO))
    return float((last - first) / (done[last - 1] - done[first - 1]))
