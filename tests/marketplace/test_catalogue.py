"""The catalogue reads cards from files, directories and nodes; whatever is wrong is refused and the rest is listed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.replica_state import new_replica
from dropbeard.cli.main import run
from dropbeard.codec.client import encode_to_client
from dropbeard.daemon.inbox import Inbox
from dropbeard.marketplace.catalogue import gather
from dropbeard.signing.curve import CurveSecret
from dropbeard.signing.keys import write_private_key
from dropbeard.transport.clients import ClientListener
from dropbeard.transport.zap import ZapHandler
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.group import Endpoints, Group
from dropbeard.types.group_card import SignedCard, cards_to_toml
from tests.agreement.pieces import KEYS, SECRET, START, owner
from tests.marketplace.signed_groups import GROUP, owner_key, signed

POLL_MS = 20


@contextmanager
def serving(
    endpoint: str, secret: CurveSecret, shown: bytes, allowed: frozenset[bytes] | None = None
) -> Iterator[None]:
    """A node's clients' socket and inbox, without a group around them."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    zap = ZapHandler(context, {"clients": allowed})
    listener = ClientListener(context, endpoint, secret)
    inbox = Inbox(new_replica(KEYS.group, owner(0), SECRET, START, KEYS.checker), shown)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            zap.socket.poll(POLL_MS)
            zap.answer_all()
            for heard in listener.receive():
                for found in inbox.from_client(heard.client, heard.data, heard.inputs):
                    assert isinstance(found, SendClient)
                    listener.send(found.client, encode_to_client(found.message))
        listener.close()
        zap.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        context.term()


def save(path: Path, *cards: SignedCard) -> str:
    path.write_text(cards_to_toml(cards), encoding="utf-8")
    return str(path)


def reachable(tmp_path: Path, secret: CurveSecret) -> Group:
    """The group with one owner whose node is on this machine."""
    endpoint = f"ipc://{tmp_path}/clients"
    ends = Endpoints(f"ipc://{tmp_path}/votes", f"ipc://{tmp_path}/lanes", endpoint, f"ipc://{tmp_path}/catchup")
    return replace(GROUP, owners=(replace(GROUP.owners[0], curve_key=secret.public, endpoints=ends), *GROUP.owners[1:]))


def test_files_and_directories_are_read_and_what_is_none_is_refused(tmp_path: Path) -> None:
    card = signed((0, 1))
    save(tmp_path / "a.card", card)
    (tmp_path / "b.card").write_text("nothing")
    (tmp_path / "c.txt").write_text("not looked at")
    (tmp_path / "empty").mkdir()
    found = gather([str(tmp_path), str(tmp_path / "empty"), str(tmp_path / "nowhere.card")])
    assert [listed.signed for listed in found.cards] == [card]
    assert len(found.refused) == 3
    for name, line in zip(("b.card", "empty", "nowhere.card"), found.refused, strict=True):
        assert name in line


def test_a_card_that_contradicts_its_genesis_is_refused_and_the_others_listed(tmp_path: Path) -> None:
    good, other = signed((0, 1)), replace(signed(()).card, f=0)
    source = save(tmp_path / "two.card", good, SignedCard(other, ()))
    found = gather([source], [GROUP])
    assert [(listed.signed, listed.proved) for listed in found.cards] == [(good, True)]
    (line,) = found.refused
    assert "are not the genesis'" in line


def test_any_node_is_asked_by_address_and_key(tmp_path: Path) -> None:
    secret, endpoint, card = CurveSecret.generate(), f"ipc://{tmp_path}/node", signed((1, 2))
    with serving(endpoint, secret, cards_to_toml([card]).encode()):
        found = gather([f"{endpoint}#{secret.public.hex()}"], [GROUP])
    assert ([listed.signed for listed in found.cards], found.refused) == ([card], [])
    assert found.cards[0].source == endpoint


def test_the_nodes_of_a_genesis_are_asked_and_it_proves_their_groups_card(tmp_path: Path) -> None:
    secret = CurveSecret.generate()
    group = reachable(tmp_path, secret)
    (tmp_path / "genesis.toml").write_text(genesis_to_toml(group))
    card = signed((0, 3), group)
    with serving(group.owners[0].endpoints.clients, secret, cards_to_toml([card]).encode()):
        found = gather([str(tmp_path / "genesis.toml")])
    assert [(listed.signed, listed.proved, listed.endorsed) for listed in found.cards] == [(card, True, True)]


def test_a_node_that_shows_no_cards_or_sends_what_are_none_lists_nothing(tmp_path: Path) -> None:
    secret = CurveSecret.generate()
    for number, shown in enumerate((b"", b"\xff", b"format = 1")):
        endpoint = f"ipc://{tmp_path}/node{number}"
        with serving(endpoint, secret, shown):
            found = gather([f"{endpoint}#{secret.public.hex()}"])
        assert found.cards == []
        assert len(found.refused) == bool(shown)


def test_a_closed_groups_node_answers_its_clients_and_no_stranger(tmp_path: Path) -> None:
    secret, client, endpoint = CurveSecret.generate(), CurveSecret.generate(), f"ipc://{tmp_path}/node"
    source = f"{endpoint}#{secret.public.hex()}"
    with serving(endpoint, secret, cards_to_toml([signed((1, 2))]).encode(), frozenset((client.public,))):
        assert len(gather([source], key=client).cards) == 1
        found = gather([source], timeout_s=0.5)
    assert found.cards == []
    assert "open to this client" in found.refused[0]


def test_the_commands_make_sign_and_list_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "genesis.toml").write_text(genesis_to_toml(GROUP))
    genesis, first, second = (str(tmp_path / name) for name in ("genesis.toml", "one.card", "both.card"))
    for number in (0, 2):
        write_private_key(tmp_path / f"owner{number}.key", owner_key(number))
    terms = ["--price", "250", "--slo-p99-ms", "300", "--valid-until", "2099-12-31"]
    assert run(["group", "card", genesis, *terms, "--owner-key", str(tmp_path / "owner0.key"), "-o", first]) == 0
    assert "signatures 1; 1 more make it endorsed" in capsys.readouterr().out
    add = ["group", "card", genesis, "--sign", first, "--owner-key", str(tmp_path / "owner2.key"), "-o", second]
    assert run(add) == 0
    assert "signatures 2; endorsed" in capsys.readouterr().out
    assert run(add) == 1
    assert "exists; name another file" in capsys.readouterr().err
    assert run(["groups", first, second, "--group", genesis, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["groups"]
    assert (row["signers"], row["endorsed"], row["keys"], row["valid"]) == (
        ["owner 0", "owner 2"],
        True,
        "genesis",
        True,
    )
    assert (row["price_answer"], row["price_late"], row["slo_p99_ms"], row["task"]) == (250, 250, 300, "simulated")
    assert [owner["name"] for owner in row["owners"]] == [f"owner {i}" for i in range(4)]
    assert run(["groups", first, "--endorsed"]) == 0
    assert run(["groups", second, "--task", "other"]) == 0
    assert capsys.readouterr().out == "no group card of this kind\n" * 2
    assert run(["groups", second, "--endorsed", "--task", "simulated"]) == 0
    assert "keys as the card says, not proved" in capsys.readouterr().out
    assert run(["groups", str(tmp_path / "nothing.card")]) == 1


def test_a_card_is_not_made_without_its_terms_nor_signed_with_a_strangers_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dropbeard.signing.ecdsa_p256 import PrivateKey

    (tmp_path / "genesis.toml").write_text(genesis_to_toml(GROUP))
    write_private_key(tmp_path / "stranger.key", PrivateKey.generate())
    command = ["group", "card", str(tmp_path / "genesis.toml"), "--owner-key", str(tmp_path / "stranger.key")]
    output, terms = ["-o", str(tmp_path / "x.card")], ["--slo-p99-ms", "300", "--valid-until", "2099-12-31"]
    assert run([*command, *output]) == 1
    assert run([*command, *output, "--price", "1", *terms]) == 1
    assert run([*command, *output, "--price", "-1", *terms]) == 1
    errors = capsys.readouterr().err.splitlines()
    for part, line in zip(("say --price", "no owner key", "answer is -1"), errors, strict=True):
        assert part in line
    assert not (tmp_path / "x.card").exists()


def test_usage_takes_its_prices_from_an_endorsed_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.audit.recorded_ledgers import world, write_genesis, write_state

    made = world()
    genesis = write_genesis(made, tmp_path)
    assert made.keys.group.id == GROUP.id
    node = write_state(made.replicas[0].stored(), tmp_path / "node")
    command = ["usage", "--ledger", str(node), "--group", str(genesis), "--month", "2027-01", "--json", "--card"]
    assert run([*command, save(tmp_path / "two.card", signed((0, 1)))]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["prices"]["card"] == signed((0, 1)).card.digest.hex()
    assert found["total"]["amount"] == 250 * found["total"]["agreed"] + 100 * found["total"]["late"]
    assert run([*command, save(tmp_path / "one.card", signed((0,)))]) == 1
    assert "that 2 owners signed" in capsys.readouterr().err
