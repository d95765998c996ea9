"""The sans-IO protocol of one replica: events in, effects out. ``replica.handle`` is its one dispatch.

The rules that this package carries out, shortened from docs/protocol.md, each with its module. n replicas, one per
owner, f of them Byzantine, n >= 3f+1; q = ceil((n+f+1)/2).

Requests and lanes
2.1  One id is one request: a retry is answered, never run twice (``requests``).
2.2  A request is admitted when it fits group, task, time and bounds; otherwise Rejected with a reason (``requests``).
2.3  What f+1 lanes attest and a replica lacks, it fetches from who has the input, and runs (``recovering``).
2.5  An answer is computed and promised once per request and version (``requests``).
2.6  A commitment hides the answer until its owner opens it to the client (``requests``).
2.7  A lane is a hash chain of signed batches, each persisted, then broadcast; a tick is an empty batch, sent when a
     record that f+1 lanes attest has fallen due and block time lags (``requests``).
2.8  A batch is valid by its bytes alone; two are kept per height; at the lane's bound requests are rejected
     (``lane_store``, ``requests``).
2.9  A promised answer is opened to its client at once, as a provisional one (``requests``).

Ordering: Simplex over lanes
3.1  The leader of view v is replica v mod n. A block is {height, view, parent, cut over the lanes, time, roots,
     justification}; its time is the (f+1)-th largest lane time at its cut (``chain``, ``ledger``).
3.2  A leader proposes once, on the best notarized block, with its notarization and a nullification of each view
     between; nullifications lie in aligned pages of 64 views (``proposing``, ``chain``).
3.3  A proposal is valid when parent and justification check, every tip extends its lane within the limits, and time
     and both roots are what the voter computes itself; the voter holds every batch that it orders (``holding``,
     ``ordering``).
3.4  R1 at most one Notarize and one Finalize a view; R2 never both Nullify and Finalize of a view; R2' never Notarize
     g and Finalize h != g in a view; R3 Finalize only a notarized block whose header and justification are held and
     checked (``voting``). q votes certify.
3.5  A notarization or nullification of v leads to v+1. A notarized block is finalized whenever R1 to R3 allow; a
     view is nullified when its timers end, and the Nullify is repeated until the view ends (``voting``, ``ordering``).
3.6  Timers run only while there is work: a batch to order, a notarized block that stays unfinalized, or f+1 Nullify
     of the view. A leader that said nothing is skipped until it speaks; one that starves a lane is refused
     (``ordering``).
3.7  Timeouts are multiples of the round trip to the q-th fastest replica within bounds, grow with failure and fall back
     with progress (``replica_state``, ``fetching``).
3.8  A statement and all that it depends on is on disk before it is sent, one commit per turn (``turn``, ``holding``).
3.9  Status at an interval and on reconnect; what is lacking is fetched (``fetching``).

Ledger
4.1  State in tables; the state root is H(parent's, this block's changes in one order) (``ledger_state``).
4.2  Attestations are applied lane by lane in an order rotated by height; one owner counts once; charges bound what one
     lane may open (``ledger``).
4.3  A model update stands in its owner's own lane; from then on what is not finally ended is run and promised again
     (``requests``, ``tables``).
4.4  Agreed with all n, or with ``answers`` after patience or near the deadline; otherwise expired at the deadline.
4.5  A late attestation of an agreed record becomes a supplement. 4.6 Expired and old records leave the state.
5.2  Entries go to their clients with the Finalize vote, or with a whole finalization (``replies``).
7.1  A checkpoint takes the place of old records; what nobody is owed any more is pruned (``checkpoints``, ``resuming``,
     ``shelving``).
7.2  Who is far behind takes a snapshot that a final state root proves, from any peers (``snapshots``, ``rows``).
7.3  The journal brings back the same promises, votes and lane (``restoring``).
7.4  Before its first statement a replica asks what others hold of its own; more than it knows stops it (``booting``).
8.1  Offences that can be shown are kept and put into the lane; the ledger marks who they convict (``accusing``,
     ``ledger``; the judge is ``dropbeard.evidence``).
"""
