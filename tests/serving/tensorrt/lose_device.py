"""An engine whose GPU is lost under it, in a process of its own: after a kernel's wild store CUDA answers nothing more.

The argument names a model that has a plan. Prints what was seen, one word a line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from dropbeard.daemon.new_group import read_labels
from dropbeard.errors import EngineFailed
from dropbeard.serving.backends import make_engine
from dropbeard.serving.manifest import load_manifest
from dropbeard.serving.tensorrt.device import cuda_thread
from dropbeard.serving.tensorrt.libraries import load_libraries
from dropbeard.types.genesis_file import task_schema

WILD_STORE = b"""
.version 6.4
.target sm_75
.address_size 64
.visible .entry wild_store()
{
    .reg .b64 %at;
    .reg .b32 %value;
    mov.u64 %at, 64;
    mov.u32 %value, 1;
    st.global.u32 [%at], %value;
    ret;
}
"""


def attempt(work: Callable[[], Any]) -> None:
    """Say whether it answers, or that the device was lost."""
    try:
        work()
    except EngineFailed as wrong:
        say("lost" if "lost" in str(wrong) else str(wrong))
    else:
        say("answers")


def say(word: str) -> None:
    """On a line of its own."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(model: str) -> None:
    """Answer, lose the device, ask again, end."""
    manifest = load_manifest(model)
    engine = make_engine("tensorrt", manifest, task_schema(manifest.task, read_labels(None)), batch_max=4)
    engine.load()
    images = [np.zeros((3, manifest.input.size, manifest.input.size), np.float32)]
    attempt(lambda: engine.logits(images))
    libraries = load_libraries()

    def wild_store() -> None:
        kernel = libraries.cuda.module_from_buffer(WILD_STORE).get_function("wild_store")
        kernel(block=(1, 1, 1), grid=(1, 1))
        libraries.cuda.Context.synchronize()

    attempt(lambda: cuda_thread(libraries, 0).call(wild_store))
    attempt(lambda: engine.logits(images))
    attempt(engine.check)
    engine.unload()
    say("ends")


if __name__ == "__main__":
    main(*sys.argv[1:])
