@0xd3f1b0c6a7e24d01;
# What replicas send each other. Two sockets, one outer struct each: votes must never wait behind lane batches.
#
# Everything that is signed travels as the fixed-layout bytes that the signature or digest covers (Data), never as
# Cap'n Proto fields: schema evolution cannot invalidate a signature. The layouts stand in docs/certificate-format.md
# and beside the classes of dropbeard.types. Times are microseconds, digests 32 bytes, signatures 64 bytes.
#
# A frame is one message in one segment, exactly framed. `version` is the major version of the wire: any other than the
# receiver's own is refused. A later minor version may add fields, which an earlier one does not read; a Status says
# which minor version its sender speaks, and nobody is sent a message that came with a later one.

enum VoteKind {
  notarize @0;
  finalize @1;
  nullify @2;
}

struct Vote {
  # One vote's varying fields; the group is the receiver's own, or the signature does not check.
  kind @0 :VoteKind;
  view @1 :UInt64;
  header @2 :Data;
  # 32 bytes; empty for nullify.
  epoch @3 :UInt32;
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
  stamp @5 :UInt64;
  # The sender's monotonic clock.
  echoes @6 :List(Echo);
  epoch @7 :UInt32;
  presence @8 :UInt8;
  # 0: untold; 1: serves; 2: votes, without an engine; 3: drains; 4: leaves. Since minor version 1, as is the next one.
  minor @9 :UInt16;
  # Of the wire version that the sender speaks.
}

struct Echo {
  owner @0 :UInt16;
  stamp @1 :UInt64;
  held @2 :UInt64;
}

struct BootAnswer {
  # What the sender holds of the asker's own statements. `vote` and `lane` may be absent.
  boot @0 :UInt64;
  vote @1 :SignedVote;
  lane @2 :Data;
  # Owner and epoch, the statement of a lane batch and its signature; empty for none.
  epoch @3 :UInt32;
}

struct BootQuestion {
  boot @0 :UInt64;
  epoch @1 :UInt32;
}

struct Page {
  # Nullifications of one epoch.
  epoch @0 :UInt32;
  page @1 :Data;
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
    page @9 :Page;
    bootQuestion @10 :BootQuestion;
    bootAnswer @11 :BootAnswer;
    fetchSuccession @12 :UInt32;
    # An epoch.
    succession @13 :Data;
    # What ended an epoch, as dropbeard.types.succession lays it out.
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

struct Input {
  # A request as its client sent it; the input is the next frame.
  client @0 :Data;
  nonce @1 :UInt64;
  deadline @2 :UInt64;
  patience @3 :UInt32;
  options @4 :Data;
  kind @5 :UInt8;
  height @6 :UInt32;
  width @7 :UInt32;
  channels @8 :UInt32;
}

struct Snapshot {
  # The outline of a snapshot; buckets (number u64, digest 32, one after the other) are the next frame.
  height @0 :UInt64;
  root @1 :Data;
  small @2 :Data;
}

struct FetchBucket {
  height @0 :UInt64;
  digest @1 :Data;
}

struct CatchupFrame {
  version @0 :UInt16;
  union {
    none @1 :Void;
    fetchInput @2 :Data;
    # A request id.
    input @3 :Input;
    fetchSnapshot @4 :UInt64;
    snapshot @5 :Snapshot;
    fetchBucket @6 :FetchBucket;
    bucket @7 :Void;
    # The rows are the next frame.
  }
}
