"""The hash inside the JavaScript verifier is BLAKE3, whatever the length."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from blake3 import blake3

from dropbeard.verification.browser.page import verifier_script

NODE = shutil.which("node")
NODE_TIMEOUT_S = 60
LENGTHS = (0, 1, 63, 64, 65, 1_023, 1_024, 1_025, 2_048, 2_049, 3_072, 4_097, 5_120, 7_169, 16_384, 31_744, 102_400)


def input_of(length: int) -> bytes:
    return bytes(at % 251 for at in range(length))


@pytest.mark.skipif(NODE is None, reason="node is not installed here")
@pytest.mark.parametrize("context", ["dropbeard 1 input", "a context that is longer than a block of 64 bytes, " * 30])
def test_its_digest_is_blake3_in_key_derivation_mode(context: str) -> None:
    code = f"""{verifier_script()}
    const [context, lengths] = {json.dumps([context, LENGTHS])};
    const digests = lengths.map((length) => {{
        const data = Uint8Array.from({{length}}, (_, at) => at % 251);
        return Buffer.from(DropbeardVerifier.digest(context, data)).toString("hex");
    }});
    console.log(JSON.stringify(digests));
    """
    done = subprocess.run(
        [str(NODE), "-"], input=code, capture_output=True, text=True, timeout=NODE_TIMEOUT_S, check=True
    )
    expected = [blake3(input_of(length), derive_key_context=context).hexdigest() for length in LENGTHS]
    assert json.loads(done.stdout) == expected
