"""Plain FastAPI: one process, a thread for each batch that may run at once, no batching. The port is the argument."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI, Request, Response

from perf.peers.workload import Model, told

workload = told()
models = [Model(workload) for _ in range(workload.workers)]
pool = ThreadPoolExecutor(workload.workers)
free = list(models)
app = FastAPI()


def answer(given: bytes) -> bytes:
    model = free.pop()
    try:
        return model.answers([given])[0]
    finally:
        free.append(model)


@app.get("/health")  # type: ignore[untyped-decorator]
async def health() -> str:
    return "ok"


@app.post("/predict")  # type: ignore[untyped-decorator]
async def predict(request: Request) -> Response:
    given = await request.body()
    found = await asyncio.get_running_loop().run_in_executor(pool, answer, given)
    return Response(content=found, media_type="application/octet-stream")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
