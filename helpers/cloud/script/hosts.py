"""The workers of a job, which SM_HOSTS names, and what they exchange while they train together.

They listen on `PORT`. Where their names do not resolve, as in a rehearsal, WORKSHOP_HOST_ADDRESSES
has their addresses: "algo-1=127.0.0.1:5001,algo-2=127.0.0.1:5002". TensorFlow's server listens on
every interface and has no option for less: that is what a job's private network is for.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from helpers.common import WorkshopError, tf

PORT = 2222  # of every worker, TensorFlow's usual one
ADDRESSES = "WORKSHOP_HOST_ADDRESSES"
LOST = (
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError,
    tf.errors.CancelledError, tf.errors.DeadlineExceededError,
)  # what TensorFlow raises when another worker is gone # fmt: skip


def cluster(
    names: Sequence[str], name: str, environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Returns the value of TF_CONFIG for a worker."""
    addresses = {host: f"{host}:{PORT}" for host in names}
    if given := environment.get(ADDRESSES):
        addresses = dict(part.strip().partition("=")[::2] for part in given.split(","))
    task = {"type": "worker", "index": list(names).index(name)}
    return {"cluster": {"worker": [addresses[host] for host in names]}, "task": task}


class Hosts:
    """The workers that train together. All must make the same calls, in the same order.

    Make it before TensorFlow does anything else; it waits until all workers are there.
    """

    def __init__(self, names: Sequence[str], name: str):
        self.names, self.name = list(names), name
        self.number, self.count = self.names.index(name), len(self.names)
        os.environ["TF_CONFIG"] = json.dumps(cluster(names, name))
        print(f"{name}: waiting for {', '.join(self.names)}", flush=True)
        gpus = tf.config.list_physical_devices("GPU")
        tf.config.set_visible_devices(gpus[:1], "GPU")  # one replica for each worker
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        # A thread looks every 30 s whether all live. At the end TensorFlow would wait for it.
        self.strategy.extended._check_health_thread = None
        self._sums = tf.function(self.sums)

    @property
    def is_first(self) -> bool:
        """Whether this worker keeps the run."""
        return self.number == 0

    def sums(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the sum of each tensor over all workers; for use within a `tf.function`."""

        def on_replica(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
            placed = [tf.identity(tensor) for tensor in tensors]  # on the device of the replica
            return tf.distribute.get_replica_context().all_reduce("SUM", placed)

        sums = self.strategy.run(on_replica, args=(tensors,))
        return [self.strategy.experimental_local_results(total)[0] for total in sums]

    def add(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the sum of each array over all workers: float64, the same on each."""
        sums = self._sums([tf.constant(array, tf.float64) for array in arrays])
        return [total.numpy() for total in sums]

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """Returns the values of each worker: float64 (workers, values)."""
        table = np.zeros((self.count, len(values)))
        table[self.number] = values
        return self.add([table])[0]

    def of_first(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the first worker's arrays; the others pass arrays of the same shapes."""
        return self.add(arrays if self.is_first else [np.zeros_like(array) for array in arrays])

    def share(self, value: Any) -> Any:
        """Returns the first worker's value, which must fit into JSON."""
        text = json.dumps(value).encode() if self.is_first else b""
        length = int(self.gather([len(text)])[0, 0])
        (codes,) = self.of_first([np.frombuffer(text.ljust(length), np.uint8)])
        return json.loads(codes.astype(np.uint8).tobytes())

    def wait(self) -> None:
        """Returns when all workers have come here."""
        with told_when_lost(self):
            self.gather([0])


@contextmanager
def told_when_lost(hosts: Hosts) -> Iterator[None]:
    """Turns what TensorFlow raises when another worker is gone into a message."""
    try:
        yield
    except LOST as error:
        lost = f"{hosts.name}: lost another host of {', '.join(hosts.names)}. Read why on that host"
        fix = "the same command with the same checkpoints goes on after the last whole epoch."
        raise WorkshopError(f"{lost}; {fix}") from error
