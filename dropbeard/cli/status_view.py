"""A node's status as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dropbeard.audit.disclosed import Agreement
from dropbeard.types.durations import time_text
from dropbeard.types.status import ChainPart, DiskPart, EnginePart, NodeStatus, RequestsPart

NOT_KNOWN = "not known"


def lines(status: NodeStatus, agreement: Agreement) -> Iterator[str]:
    """One screen."""
    health = "DEGRADED" if status.problems else "HEALTHY"
    up = time_text(status.uptime_us)
    yield f"{health}  {status.owner} of {status.group} ({status.group_id[:12]})  up {up}, start {status.boot}"
    for problem in status.problems:
        yield f"  problem: {problem}"
    yield from _chain(status.chain)
    yield from _peers(status.chain)
    yield from _requests(status.requests)
    yield from _engine(status.engine)
    yield from _convictions(status.chain)
    yield from _rest(status, agreement)


def _chain(chain: ChainPart) -> Iterator[str]:
    idle = "" if chain.idle_us is None else f", last block {time_text(chain.idle_us)} ago"
    doing = ", catching up" if chain.catching_up else ""
    yield f"epoch {chain.epoch}  view {chain.view} led by {chain.leader}  height {chain.height}{idle}"
    if chain.owners:
        sizes = f"n = {len(chain.owners)}, f = {chain.faults}, answers = {chain.answers}"
        yield f"owners of this epoch: {', '.join(chain.owners)} ({sizes})"
    yield f"{chain.lag} blocks behind{doing}, {chain.failures} failed views in a row"


def lane_texts(chain: ChainPart) -> dict[str, str]:
    """By owner: batches of its lane in the final cut, and held above it."""
    return {lane.owner: f"{lane.final}+{lane.held - lane.final}" for lane in chain.lanes}


def _peers(chain: ChainPart) -> Iterator[str]:
    lanes = lane_texts(chain)
    models = {model.owner: model for model in chain.models}
    rows = [("owner", "link", "heard", "round trip", "height", "lane", "model")]
    named = {peer.owner: peer for peer in chain.peers}
    for model in chain.models:
        owner, peer = model.owner, named.get(model.owner)
        held = f"v{models[owner].version} {models[owner].digest[:12]} since {models[owner].since_height}"
        if peer is None:
            rows.append((owner, "self", "-", "-", str(chain.height), lanes.get(owner, "-"), held))
            continue
        heard = "never" if peer.heard_us_ago is None else f"{time_text(peer.heard_us_ago)} ago"
        height = "-" if peer.height is None else str(peer.height)
        link = "up" if peer.connected else "down"
        link = f"{link}, wire {peer.wire}" if not peer.understood else f"{link}, {peer.presence}"
        rows.append((owner, link, heard, time_text(peer.round_trip_us), height, lanes.get(owner, "-"), held))
    yield from _table(rows)


def _requests(requests: RequestsPart) -> Iterator[str]:
    yield (
        f"requests: {requests.per_second:g}/s, {requests.open} open here, {requests.at_engine} at the engine of "
        f"{requests.credits} it takes, {requests.records} open in the ledger"
    )
    if requests.outcomes:
        yield "  since the start: " + ", ".join(f"{count} {name}" for name, count in requests.outcomes.items())
    rows = [("stage", "last minute", "p50", "p99")]
    rows += [(row.stage, str(row.recent), time_text(row.p50_us), time_text(row.p99_us)) for row in requests.stages]
    yield from _table(rows)


def _engine(engine: EnginePart) -> Iterator[str]:
    versions = ", ".join(map(str, engine.loaded)) or "none"
    state = "ready" if engine.ready else "not ready"
    yield f"engine: {state}, {engine.model} on {engine.backend}, loaded versions: {versions}, lost {engine.lost} times"
    if engine.next_version is not None:
        yield f"  version {engine.next_version} is being loaded"
    if engine.update_failure is not None:
        yield f"  the update was not loaded: {engine.update_failure}"
    starts = engine.starts
    if starts is not None:
        wait = f", waits {starts.wait_s:g} s" if starts.phase == "waiting" else ""
        failed = f", {starts.failed_in_row} failed in a row{wait}" if starts.failed_in_row else ""
        yield f"  {starts.starts} starts{failed}: {starts.phase}" + (
            f"; last failure: {starts.last_failure}" if starts.last_failure else ""
        )
    for row in engine.figures:
        mean = row.inputs / max(1, row.batches)
        yield (
            f"  version {row.version}: {row.queued} queued, {row.inputs} inputs in {row.batches} batches "
            f"(mean {mean:.1f}), {time_text(row.busy_us)} in the model "
            f"({time_text(row.copied_us)} of it copying), {row.shed} shed, {row.refused} refused, "
            f"{row.failed} failed"
        )


def _convictions(chain: ChainPart) -> Iterator[str]:
    for mark in chain.marked:
        yield f"marked: {mark.owner} for {mark.offence} since height {mark.height}"
    for piece in chain.evidence:
        where = "in the ledger" if piece.in_ledger else "not yet in the ledger"
        yield f"evidence held: {piece.owner} for {piece.offence}, {where}"
    if not chain.marked and not chain.evidence:
        yield "nobody is marked, no evidence is held"


def _rest(status: NodeStatus, agreement: Agreement) -> Iterator[str]:
    rate = NOT_KNOWN if agreement.rate is None else f"{100 * agreement.rate:.1f} %"
    refused = f", {agreement.refused} files refused" if agreement.refused else ""
    yield f"agreement with the group: {rate} ({agreement.decided} disclosed certificates that say{refused})"
    yield _disk(status.disk)
    keys = status.keys
    ends = "" if keys.epoch_ends_at is None else f", the epoch ends at height {keys.epoch_ends_at}"
    kept = "; owner.key lies beside the configuration: keep it offline" if keys.owner_key_here else ""
    yield f"keys: node {keys.node_key}, transport {keys.curve_key}, no expiry{ends}{kept}"
    for what, counts in (("not taken", status.dropped), ("not sent", status.not_sent)):
        if counts:
            yield f"messages {what}: " + ", ".join(f"{count} {name}" for name, count in counts.items())


def _disk(disk: DiskPart) -> str:
    share = 100 * disk.free_bytes / max(1, disk.total_bytes)
    return (
        f"disk: {disk.free_bytes >> 20} MiB free ({share:.0f} %), journal {disk.journal_bytes >> 20} MiB in "
        f"{disk.records} records, sync p50 {time_text(disk.sync.p50_us)}, p99 {time_text(disk.sync.p99_us)}"
    )


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
