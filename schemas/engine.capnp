@0xe5c7d14d90b2a903;
# What a node and its engine say to each other over an ipc socket.

struct Model {
  version @0 :UInt32;
  digest @1 :Data;
}

struct ToEngine {
  version @0 :UInt16;
  union {
    none @1 :Void;
    hello @2 :Void;
    # The node is there: say what you run.
    infer @3 :Data;
    # Tickets of 65 bytes each, little-endian: the node's name for the work u64, deadline u64 (microseconds since 1970),
    # version u32, kind u8, height u32, width u32, channels u32, input digest 32. Their inputs are the next frames, in
    # this order.
    load @4 :Model;
    # Beside what runs; answered by ready or notLoaded.
    unload @5 :UInt32;
    # A version.
  }
}

struct Ready {
  model @0 :Text;
  digest @1 :Data;
  version @2 :UInt32;
  credits @3 :UInt32;
  # How many pieces of work may be under way at once.
}

struct Answer {
  ticket @0 :UInt64;
  output @1 :Data;
}

struct Failed {
  ticket @0 :UInt64;
  reason @1 :UInt8;
  detail @2 :Text;
}

struct NotLoaded {
  version @0 :UInt32;
  digest @1 :Data;
  detail @2 :Text;
}

struct Size {
  inputs @0 :UInt32;
  batches @1 :UInt64;
}

struct Figures {
  # What was done with one version since it was loaded. Sent every few seconds.
  version @0 :UInt32;
  queued @1 :UInt32;
  batches @2 :UInt64;
  inputs @3 :UInt64;
  busyUs @4 :UInt64;
  # Microseconds inside the model.
  refused @5 :UInt64;
  shed @6 :UInt64;
  badInput @7 :UInt64;
  failed @8 :UInt64;
  sizes @9 :List(Size);
  copiedUs @10 :UInt64;
  # Of busyUs: copying batches to where the library takes them, and answers back.
}

struct FromEngine {
  version @0 :UInt16;
  union {
    none @1 :Void;
    ready @2 :Ready;
    answers @3 :List(Answer);
    failed @4 :Failed;
    notLoaded @5 :NotLoaded;
    figures @6 :Figures;
  }
}
