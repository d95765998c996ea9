"""A node's sockets, and whom they connect: they follow the group from epoch to epoch (rule 8.4).

Owners of an epoch that is over are heard and spoken to until retention has passed since its last block: who is behind
learns from us how it ended. For as long a node whose own owner left shows its clients their certificates.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import zmq

from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.daemon.epoch_files import EpochsFile
from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.identity import Identity, Keys
from dropbeard.daemon.vitals import Sockets
from dropbeard.errors import KeyInvalid, OwnerLeft
from dropbeard.signing.curve import CurveSecret
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.transport.clients import ClientListener
from dropbeard.transport.options import listening_at
from dropbeard.transport.peers import PeerLink
from dropbeard.transport.zap import ZapHandler
from dropbeard.types.group import GENESIS_EPOCH, Group, Owner
from dropbeard.types.ids import Epoch
from dropbeard.types.membership import following_group

log = logging.getLogger("dropbeard.node")

CHANNELS: Final = ("votes", "lanes", "catchup")
NEVER_US: Final = 1 << 62


class EpochKeys:
    """Which of a node's keys an epoch gives it."""

    def __init__(self, state: ReplicaState, keys: Keys) -> None:
        self._state = state
        self._keys = keys

    def signing(self, epoch: Epoch) -> PrivateKey:
        """The key that signs in the present epoch; KeyInvalid when it is not here, and nothing is then signed."""
        assert epoch == self._state.group.epoch, "a replica signs in the epoch that it is in"
        found = self.identity()
        assert found is not None, "who is no member signs nothing"
        return found.node_key

    def identity(self) -> Identity | None:
        """This node in the present epoch; None when its owner is not in it."""
        owner = self._state.group.owner(self._state.me)
        if owner is None:
            return None
        found = self._keys.identity(owner)
        if found is None:
            raise KeyInvalid(
                f"epoch {self._state.group.epoch} gives owner {owner.name} another node key; name its files under "
                "[keys], as next_node and next_curve or as node and curve"
            )
        return found


class Wiring:
    """Votes, lanes, catching up, clients, and who may connect."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        genesis: Group,
        state: ReplicaState,
        files: NodeFiles,
        keys: EpochKeys,
        identity: Identity,
    ) -> None:
        self._state, self._files, self._keys = state, files, keys
        self._genesis = genesis
        self.identity = keys.identity() or identity
        """As whom it listens: its owner in the present epoch, or in the last one that it served."""
        self._epochs = EpochsFile(genesis, files.state)
        self._groups: dict[Epoch, Group] = {GENESIS_EPOCH: genesis}
        self._retire_us = 0
        self._learn()
        seat, curve, listen, peers = self.identity.owner, self.identity.curve, files.config.listen, self._peers()
        allowed = frozenset(owner.curve_key for owner in peers)
        zap = ZapHandler(context, {**dict.fromkeys(CHANNELS, allowed), "clients": self._clients(peers)})
        votes, lanes, catchup = (PeerLink(context, peers, seat, curve, channel, listen) for channel in CHANNELS)
        clients = ClientListener(context, listening_at(seat.endpoints.clients, listen), curve)
        self.sockets = Sockets(votes, lanes, catchup, clients, zap)
        self.polled = self._polled()
        """Every socket that the loop waits on; another list after ``follow`` said so."""

    def _learn(self) -> None:
        """Groups of the epochs that the replica has passed."""
        for epoch, given in sorted(self._state.successions.items()):
            following = Epoch(epoch + 1)
            if following not in self._groups:
                self._groups[following] = following_group(self._groups[epoch], given.configuration)
        self._epochs.keep(self._state.successions.values())
        self._epoch = self._state.group.epoch

    def _peers(self) -> list[Owner]:
        """Whom to hear and to speak to: the owners of now first, then those of epochs that are not long over."""
        state = self._state
        found = {owner: None for owner in state.group.owners if owner.id != state.me}
        self._retire_us = NEVER_US
        for epoch, given in sorted(state.successions.items(), reverse=True):
            until_us = given.last.time + state.group.parameters.retention_us
            if until_us > state.wall:
                self._retire_us = min(self._retire_us, until_us)
                found.update((owner, None) for owner in self._groups[epoch].owners if owner.id != state.me)
        return list(found)

    def _clients(self, peers: Sequence[Owner]) -> frozenset[bytes] | None:
        """Who gets through the handshake of the clients' socket: anyone, or in a closed group its clients, and the
        owners' nodes, whose doctors ask which genesis is served."""
        rules = self._genesis.clients
        if rules is None or not rules.is_closed:
            return None
        owners = (*peers, *self._state.group.owners)
        return frozenset((*rules.allow, *(owner.curve_key for owner in owners)))

    def follow(self) -> bool:
        """After a turn: into the epoch that the replica is in; are other sockets to be polled now?"""
        self._epochs.settle()
        dropped = [link.drop_older() for link in self.sockets.links]
        if self._state.group.epoch == self._epoch and self._state.wall < self._retire_us:
            if any(dropped):
                self.polled = self._polled()
            return any(dropped)
        if self._state.group.epoch != self._epoch:
            self._learn()
            self._take_seat(self._keys.identity() or self.identity)
        peers, seat, curve = self._peers(), self.identity.owner, self.identity.curve
        for channel, link in zip(CHANNELS, self.sockets.links, strict=True):
            self.sockets.zap.allow(channel, frozenset(owner.curve_key for owner in peers))
            link.follow(peers, seat, curve)
        self.sockets.zap.allow("clients", self._clients(peers))
        self.polled = self._polled()
        return True

    def _take_seat(self, identity: Identity) -> None:
        group = self._state.group
        log.info("epoch-entered epoch=%d owners=%s", group.epoch, ",".join(owner.name for owner in group.owners))
        before, self.identity = self.identity, identity
        if _place(before) != _place(identity):
            endpoint = listening_at(identity.owner.endpoints.clients, self._files.config.listen)
            self.sockets.clients.move(endpoint, identity.curve)

    def serves_until_us(self) -> int | None:
        """Of a node whose owner left: until when it shows old certificates, in microseconds since 1970; else None."""
        state = self._state
        served = [epoch for epoch, group in self._groups.items() if group.owner(state.me) is not None]
        if state.is_member or not served or max(served) not in state.successions:
            return None
        return state.successions[max(served)].last.time + state.group.parameters.retention_us

    def end_if_left(self) -> None:
        """OwnerLeft once nobody is owed anything by a node whose owner is not in the group any more."""
        until_us = None if self._state.is_member else self.serves_until_us()
        if until_us is not None and self._state.wall >= until_us:
            name = self.identity.owner.name
            raise OwnerLeft(f"{name} left the group, and retention has passed since: this node has nothing left to do")

    def _polled(self) -> list[zmq.Socket[bytes]]:
        links = [socket for link in self.sockets.links for socket in link.sockets()]
        return [self.sockets.zap.socket, self.sockets.clients.socket, *links]

    def close(self) -> None:
        """Close every socket."""
        for link in self.sockets.links:
            link.close()
        self.sockets.clients.close()
        self.sockets.zap.close()


def _place(identity: Identity) -> tuple[str, CurveSecret]:
    return identity.owner.endpoints.clients, identity.curve
