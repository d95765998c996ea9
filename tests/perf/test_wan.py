"""The emulated wide area: matrices, packets, connections, and what is made of the certificates' block times."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from dropbeard.errors import DropbeardError
from perf._load import Load, raw_inputs
from perf._observed import passing_group
from perf._relay import hex_address, inode_of, owner_of
from perf._sites import ROUND_TRIPS_MS, WITHIN_ONE_SITE_MS, cloud_sites, even_sites
from perf._switch import Switch, address, place_of
from perf._wide import Emulator, WideGroup, wide_area
from perf.ordering import ENGINE
from perf.wan import FOUR_REGIONS, THREE_REGIONS, mean_wait

ONE_WAY_MS = 60.0


def packet_to(place: int, data: bytes = b"") -> bytes:
    return b"\x45" + bytes(15) + socket.inet_aton(address(place)) + data


def test_four_nodes_on_three_sites_have_two_of_them_in_one_site_and_a_client_as_far_from_all() -> None:
    sites = even_sites(4, 3, 20.0)
    assert sites.one_way_ms[0] == (0.0, 20.0, 20.0, WITHIN_ONE_SITE_MS, 20.0)
    assert [sites.one_way_ms[sites.client][node] for node in sites.nodes] == [20.0] * 4


@pytest.mark.parametrize("regions", [THREE_REGIONS, FOUR_REGIONS])
def test_regions_of_the_cloud_are_half_a_published_round_trip_apart_both_ways(regions: tuple[str, ...]) -> None:
    sites = cloud_sites(4, regions)
    for a in range(len(regions)):
        for b in range(a):
            pair = min(regions[a], regions[b]), max(regions[a], regions[b])
            assert sites.one_way_ms[a][b] == sites.one_way_ms[b][a] == ROUND_TRIPS_MS[pair] / 2
    assert sites.one_way_ms[sites.client][0] == WITHIN_ONE_SITE_MS


def test_round_trips_are_named_in_one_order() -> None:
    assert all(a < b for a, b in ROUND_TRIPS_MS)


def test_a_packet_goes_to_the_place_of_its_address_and_nothing_else_is_one() -> None:
    assert place_of(packet_to(2), 4) == 2
    assert place_of(packet_to(4), 4) is None
    assert place_of(b"\x60" + packet_to(2)[1:], 4) is None
    assert place_of(b"\x45" + bytes(15) + b"\x7f\x00\x00\x01", 4) is None
    assert place_of(b"\x45", 4) is None


def test_a_switch_holds_a_packet_for_the_delay_of_its_link_and_counts_its_bytes() -> None:
    near, inner_near = socket.socketpair(type=socket.SOCK_DGRAM)
    far, inner_far = socket.socketpair(type=socket.SOCK_DGRAM)
    with near, inner_near, far, inner_far:
        for end in (far, inner_near, inner_far):
            end.setblocking(False)
        switch = Switch([inner_near.fileno(), inner_far.fileno()], [[0.0, ONE_WAY_MS], [ONE_WAY_MS, 0.0]])
        packet = packet_to(1, b"hello")
        near.send(packet)
        switch.take(0)
        assert switch.deliver() > 0
        with pytest.raises(BlockingIOError):
            far.recv(100)
        time.sleep(ONE_WAY_MS / 1000)
        switch.deliver()
        assert far.recv(100) == packet
        assert switch.bytes == {(0, 1): len(packet)}


def test_the_process_at_the_other_end_of_a_connection_is_found() -> None:
    program = (
        "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-c", program, str(port), "/somewhere/alice.toml"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdin is not None
            theirs = int(process.stdout.readline())
            table = Path("/proc/net/tcp").read_text()
            local, remote = hex_address("127.0.0.1", theirs), hex_address("127.0.0.1", port)
            inode = inode_of(table, local, remote)
            assert inode is not None
            assert owner_of(inode, frozenset({"alice", "bob"})) == "alice"
            assert owner_of(inode, frozenset({"bob"})) is None
            process.stdin.close()


def relayed(direct_clients: bool) -> tuple[float, bytes]:
    """Seconds until what was sent through a relay came back from an echo, and what came."""
    host, behind = "127.77.0.1", "127.77.0.2"
    with socket.create_server((behind, 0)) as server:
        port = server.getsockname()[1]

        def echo() -> None:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

        threading.Thread(target=echo, daemon=True).start()
        asked: dict[str, object] = {"one_way_ms": [[0.0, ONE_WAY_MS], [ONE_WAY_MS, 0.0]], "places": {"alice": 0}}
        asked |= {"listeners": [[host, behind, port, "alice"]], "direct_clients": direct_clients}
        relay = Emulator("perf._relay", asked)
        try:
            with socket.create_connection((host, port), timeout=10) as client:
                sent = os.urandom(3_000_000)
                threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
                started, came = time.monotonic(), b""
                while len(came) < len(sent):
                    came += client.recv(1 << 20)
                took = time.monotonic() - started
            assert relay.bytes() == {(1, 0): len(sent), (0, 1): len(sent)}
            assert came == sent
            return took, came
        finally:
            relay.stop()


def test_a_relay_passes_on_every_byte_and_not_before_the_delay_of_each_way() -> None:
    took, _ = relayed(direct_clients=False)
    assert took >= 2 * ONE_WAY_MS / 1000


def test_what_clients_hold_back_themselves_passes_whole_and_the_way_back_is_delayed() -> None:
    took, _ = relayed(direct_clients=True)
    assert took >= ONE_WAY_MS / 1000


def test_an_emulation_that_cannot_be_made_says_why() -> None:
    listeners = [["192.0.2.1", "127.0.0.1", 1, "alice"]]
    with pytest.raises(DropbeardError, match="assign"):
        Emulator("perf._relay", {"one_way_ms": [[0.0]], "places": {}, "direct_clients": False, "listeners": listeners})


def test_the_wait_of_somebody_who_comes_at_any_moment_is_half_of_even_intervals_and_more_of_uneven_ones() -> None:
    assert mean_wait([40.0, 40.0]) == 20.0
    assert mean_wait([10.0, 70.0]) == pytest.approx(31.25)
    assert mean_wait([]) == 0.0


@pytest.mark.system
def test_a_group_whose_nodes_are_far_apart_certifies_after_five_delays_and_leaves_no_emulation_behind() -> None:
    with (
        wide_area(even_sites(4, 3, 20.0), "relay") as area,
        passing_group(partial(WideGroup, area=area), ENGINE) as local,
        area.client(),
        Load(local, raw_inputs(4)) as load,
    ):
        sample = load.open(20.0, 2.0, 0.0)
        load.drain(10.0)
        assert all(count > 0 for count in area.bytes().values()) and len(area.bytes()) >= 4 * 3
    assert sample.certified > 10 and sample.failed == 0
    assert min(sample.latencies_ms) >= 5 * 20.0 - 1
