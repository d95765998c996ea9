"""Get an earlier answer again, by the client's key and the request alone: python earlier.py GENESIS PICTURE KEY

The group keeps what was agreed until its retention has passed (ten minutes unless its genesis says otherwise); a
certificate that you saved stays valid for ever.
"""

import sys
from pathlib import Path

from dropbeard import Client
from dropbeard.signing.curve import CurveSecret, write_curve_secret
from dropbeard.types.certificates import decode_certificate


def main(genesis: str, picture: str, key: str) -> None:
    if not Path(key).exists():
        write_curve_secret(Path(key), CurveSecret.generate())
    with Client.from_group(genesis, key, timeout=30) as group:
        saved = group.infer(picture).certificate.save(picture + ".dbcert")

    # Later, perhaps in another process: the same key, and the request out of the saved certificate.
    request = decode_certificate(saved.read_bytes()).request()
    with Client.from_group(genesis, key) as group:
        again = group.fetch(request)
        print(f"request {again.request_id[:16]} was agreed at height {again.height}: {again.label or 'undecided'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
