@0xd3f1b0c6a7e24d01;
# What replicas send each other. Two sockets, one outer struct each: votes must never wait behind lane batches.
#
# Everything that is signed travels as the fixed-layout bytes that the signature or digest covers (Data), never as
# Cap'n Proto fields: schema evolution cannot invalidate a signature. The layouts stand in docs/certificate-format.md
# and beside the classes of dropbeard.types. Times are microseconds, digests 32 bytes, signatures 64 bytes.
#
# A frame is one message in one segment, exactly framed, with `version` 1. Anything else is refused.

enum VoteKind {
  notarize @0;
  finalize @1;
  nullify @2;
}

struct Vote {
  # One vote's varying fields; group and epoch are the receiver's own, or the signature does not check.
  kind @0 :VoteKind;
  view @1 :UInt64;
  header @2 :Data;
  # 32 bytes; empty for nullify.
}

struct SignedVote {
  signer @0 :UInt16;
  vote @1 :Vote;
  signature @2 :Data;
}

struct Certificate {
  # At least a quorum of signatures over one vote.
  vote @0 :Vote;
  signatures @1 :Data;
  # u16 count, then each (owner u16, signature 64), owners ascending.
}

struct Proposal {
  header @0 :Data;
  # Header body.
  signature @1 :Data;
  # The leader's Notarize signature.
  justification @2 :Data;
  pages @3 :List(Data);
  # The incomplete pages of nullifications; full ones are fetched by digest.
}

struct Tip {
  owner @0 :UInt16;
  height @1 :UInt64;
  digest @2 :Data;
}

struct Status {
  # Where a replica stands. `best` and `finalization` may be absent (null pointers).
  view @0 :UInt64;
  finalHeight @1 :UInt64;
  best @2 :Certificate;
  finalization @3 :Certificate;
  tips @4 :List(Tip);
}

struct FetchHeader {
  header @0 :Data;
  above @1 :UInt64;
}

struct FetchViews {
  first @0 :UInt64;
  last @1 :UInt64;
}

struct VotesFrame {
  version @0 :UInt16;
  union {
    none @1 :Void;
    vote @2 :SignedVote;
    proposal @3 :Proposal;
    certificate @4 :Certificate;
    status @5 :Status;
    fetchHeader @6 :FetchHeader;
    fetchViews @7 :FetchViews;
    fetchPage @8 :Data;
    # Digest of the page.
    page @9 :Data;
    # The page's bytes.
  }
}

struct Batch {
  batch @0 :Data;
  # Canonical bytes of a lane batch.
  signature @1 :Data;
}

struct FetchBatches {
  tip @0 :Data;
  above @1 :UInt64;
}

struct LanesFrame {
  version @0 :UInt16;
  union {
    none @1 :Void;
    batch @2 :Batch;
    fetchBatches @3 :FetchBatches;
  }
}
