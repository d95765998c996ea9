"""mosec: a worker class with ``forward``, batched by the server. Flags are mosec's own (``--port``)."""

from __future__ import annotations

from collections.abc import Sequence

from mosec import Server, Worker

from perf.peers.workload import Model, told


class Classifier(Worker):  # type: ignore[misc]
    """Takes the request's body as it is."""

    def __init__(self) -> None:
        self._model = Model(told())

    def deserialize(self, data: bytes) -> bytes:
        return data

    def serialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: Sequence[bytes]) -> list[bytes]:
        return self._model.answers(data)


if __name__ == "__main__":
    workload = told()
    server = Server()
    server.append_worker(
        Classifier, num=workload.workers, max_batch_size=workload.batch_max, max_wait_time=workload.wait_ms
    )
    server.run()
