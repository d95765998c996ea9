"""A node's recorded core runs again and does the same; a changed recording or core is found out."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from dropbeard.agreement import voting
from dropbeard.agreement.events import Event, Now
from dropbeard.agreement.turn import Turn
from dropbeard.cli.main import run
from dropbeard.daemon.recording import FILES, MAGIC, Recorder
from dropbeard.daemon.replaying import ReplayDiverged, replay
from dropbeard.errors import DropbeardError
from dropbeard.simulator.options import options_for
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.settling import is_settled
from dropbeard.simulator.world import World

REAL_KEYS = options_for(20, 4, "none")


def recorded(directory: Path, turns: int) -> int:
    """Record replica 1 of a schedule with real keys; how many turns it had."""
    world = World(REAL_KEYS)
    replica = world.replicas[1]
    recorder = Recorder(directory, replica.turn.state, turns)
    plain: Turn = replica.turn
    plain._signer, plain._writer = recorder.signer(plain._signer), recorder.writer(plain._writer)
    count = 0
    plain_run = SimulatedReplica.run

    def overheard(self: SimulatedReplica, events: Sequence[Event]) -> object:
        nonlocal count
        now: Now = world.now_of(self.owner, self.seat)
        outcome = plain_run(self, events)
        if self is replica and self.turn is plain and outcome is not None:
            recorder.note(events, now)
            count += 1
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimulatedReplica, "run", overheard)
        world.run(is_settled)
    assert world.oracle.found == []
    recorder.close()
    return count


def test_a_recorded_core_does_the_same_again(tmp_path: Path) -> None:
    count = recorded(tmp_path, 1_000_000)
    turns = list(replay(tmp_path / FILES[0]))
    assert len(turns) == count - 1
    assert {"Notarize", "Finalize", "LanePromise"} <= {kind for turn in turns for kind in turn.signed}
    assert turns[-1].height > 0
    assert len(list(replay(tmp_path / FILES[0], until=9))) == 9


def test_two_files_take_turns_and_only_the_last_turns_are_kept(tmp_path: Path) -> None:
    count = recorded(tmp_path, 50)
    newer, older = sorted(([*replay(tmp_path / name)] for name in FILES), key=lambda rows: -rows[0].number)
    assert newer[-1].number == count - 1
    assert older[-1].number + 1 == newer[0].number
    assert 50 <= len(newer) + len(older) <= 100
    assert all((tmp_path / name).stat().st_mode & 0o777 == 0o600 for name in FILES)


def test_a_core_that_votes_otherwise_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path, 1_000_000)
    monkeypatch.setattr(voting, "_may_finalize", lambda round_, header: False)
    with pytest.raises(ReplayDiverged, match="turn"):
        list(replay(tmp_path / FILES[0]))


def test_a_recording_that_asks_for_anything_but_plain_data_is_refused(tmp_path: Path) -> None:
    for evil in (pickle.dumps(os.getpid), pickle.dumps(Path("/"))):
        file = tmp_path / "evil"
        file.write_bytes(MAGIC + len(evil).to_bytes(4, "little") + evil)
        with pytest.raises(DropbeardError, match="damaged or of another release"):
            list(replay(file))


def test_a_recording_that_was_cut_short_is_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    recorded(tmp_path, 1_000_000)
    whole = (tmp_path / FILES[0]).read_bytes()
    turns = len(list(replay(tmp_path / FILES[0])))
    (tmp_path / FILES[0]).write_bytes(whole[:-3])
    assert len(list(replay(tmp_path / FILES[0]))) == turns - 1


def test_the_command_replays_and_says_in_one_line_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(tmp_path, 1_000_000)
    assert run(["replay", str(tmp_path / FILES[0]), "--until", "5"]) == 0
    assert "5 turns went the same way again" in capsys.readouterr().out
    (tmp_path / "other").write_bytes(b"something else")
    assert run(["replay", str(tmp_path / "other")]) != 0
    assert capsys.readouterr().err.count("\n") == 1
