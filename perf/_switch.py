"""A wide area between network namespaces, where the kernel has no netem: ``python -m perf._switch`` (needs root).

Each place gets a namespace without a name and in it a TUN device; one process reads all of them and writes each packet
to where it goes once its delay is over. It takes its matrix as JSON in the first line of standard input, answers with
the descriptors of the namespaces, ``stat`` with the bytes of each link, and ends when its input ends. Nothing is left
then, however it or its parent ended: a namespace without a name goes with the last process that holds it.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

PREFIX: Final = (10, 251, 0)
CLONE_NEWNET: Final = 0x40000000
TUNSETIFF: Final = 0x400454CA
TUN_WITHOUT_HEADER: Final = 0x1001
PACKETS_AT_ONCE_MAX: Final = 64
PACKET_BYTES_MAX: Final = 65_536
QUEUED_MAX: Final = 200_000
"""Packets under way; more are dropped, as a router would."""

POLL_S: Final = 0.2
_libc = ctypes.CDLL(None, use_errno=True)


def address(place: int) -> str:
    """Of a place."""
    return ".".join(str(part) for part in (*PREFIX, place + 1))


def place_of(packet: bytes, places: int) -> int | None:
    """Where an IPv4 packet goes; None for anything else."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[16:19] != bytes(PREFIX):
        return None
    place = packet[19] - 1
    return place if 0 <= place < places else None


def make_place(place: int, home: int) -> tuple[int, int]:
    """A namespace and the TUN device in it, as descriptors; ``home`` is the namespace to come back to."""
    _checked(_libc.unshare(CLONE_NEWNET), "unshare")
    try:
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"tun0", TUN_WITHOUT_HEADER))
        for command in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{address(place)}/24", "dev", "tun0"),
            ("link", "set", "tun0", "up", "txqueuelen", "10000"),
        ):
            subprocess.run(["ip", *command], check=True, capture_output=True, timeout=10)
    finally:
        _checked(_libc.setns(home, CLONE_NEWNET), "setns")
    return namespace, device


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


class Switch:
    """Packets between devices, each held for the delay of its link."""

    def __init__(self, devices: Sequence[int], one_way_ms: Sequence[Sequence[float]]) -> None:
        self._devices = devices
        self._delays_s = [[ms / 1000 for ms in row] for row in one_way_ms]
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._number = 0
        self.bytes: Counter[tuple[int, int]] = Counter()
        self.dropped = 0

    def take(self, place: int) -> None:
        """What a place sends."""
        for _ in range(PACKETS_AT_ONCE_MAX):
            try:
                packet = os.read(self._devices[place], PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            goes_to = place_of(packet, len(self._devices))
            if goes_to is None:
                continue
            if len(self._under_way) >= QUEUED_MAX:
                self.dropped += 1
                continue
            self.bytes[place, goes_to] += len(packet)
            self._number += 1
            due = time.monotonic() + self._delays_s[place][goes_to]
            heapq.heappush(self._under_way, (due, self._number, goes_to, packet))

    def deliver(self) -> float:
        """Hand over what is due; seconds until the next packet is."""
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, place, packet = heapq.heappop(self._under_way)
            try:
                os.write(self._devices[place], packet)
            except OSError:
                self.dropped += 1
        return self._under_way[0][0] - now if self._under_way else POLL_S


def main() -> int:
    """Until standard input ends."""
    one_way_ms = json.loads(sys.stdin.readline())
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        places = [make_place(number, home) for number in range(len(one_way_ms))]
    except (OSError, subprocess.SubprocessError) as wrong:
        print(json.dumps({"failed": str(wrong)}), flush=True)
        return 1
    print(json.dumps({"namespaces": [namespace for namespace, _ in places]}), flush=True)
    switch = Switch([device for _, device in places], one_way_ms)
    poll = select.epoll()
    by_device = {device: number for number, (_, device) in enumerate(places)}
    for source in (*by_device, sys.stdin.fileno()):
        poll.register(source, select.EPOLLIN)
    while True:
        wait_s = switch.deliver()
        for source, _ in poll.poll(min(wait_s, POLL_S)):
            if source in by_device:
                switch.take(by_device[source])
                continue
            if not os.read(source, 4096):
                return 0
            rows = [[*link, count] for link, count in sorted(switch.bytes.items())]
            print(json.dumps({"bytes": rows, "dropped": switch.dropped}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
