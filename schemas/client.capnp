@0xb8a94f4bd2c6e702;
# What a client and a node say to each other. The client's name is its CURVE key, which the transport proves, so
# nothing here is signed by the client. The inputs of a Submit are the next frames, unchanged.

# `version` is the major version of the wire: any other than the receiver's own is refused, and a node says so in its own.
# `minor` came with minor version 1.

struct Hello {
  group @0 :Data;
  minor @1 :UInt16;
}

struct Submit {
  group @0 :Data;
  rows @1 :Data;
  # One or more requests, little-endian: nonce u64, deadline u64 (microseconds since 1970), patience u32 (microseconds),
  # kind u8 (1: an encoded image; 2: raw uint8 RGB), height u32, width u32, channels u32, options u16 length and bytes.
}

struct ToNode {
  version @0 :UInt16;
  union {
    none @1 :Void;
    hello @2 :Hello;
    submit @3 :Submit;
    fetch @4 :Data;
    # A request id of this client: what is known of it?
    succession @5 :UInt32;
    # An epoch: what ended it?
    cards @6 :Void;
    # Which group cards do you show?
    disclose @7 :Data;
    # A certificate's bytes, for this node to keep (rule 8.2).
  }
}

struct Welcome {
  owner @0 :UInt16;
  epoch @1 :UInt32;
  credits @2 :UInt32;
  minor @3 :UInt16;
}

struct Reply {
  # The client's entries of one block and who finalized it.
  headers @0 :List(Data);
  # Header bodies: the signed one first, the entries' block last.
  signatures @1 :Data;
  indices @2 :List(UInt32);
  # Leaf index of each entry, ascending.
  entries @3 :List(Data);
  count @4 :UInt32;
  proof @5 :Data;
  # Digests of 32 bytes, one after the other.
}

struct Rejected {
  request @0 :Data;
  reason @1 :UInt8;
  retryAfter @2 :UInt64;
  # Microseconds.
  detail @3 :Text;
}

struct Disclosed {
  # What became of a certificate that was sent for keeping.
  kept @0 :Bool;
  detail @1 :Text;
}

struct ToClient {
  version @0 :UInt16;
  union {
    none @1 :Void;
    welcome @2 :Welcome;
    openings @3 :Data;
    # One after the other, little-endian: request id 32, owner u16, version u32, model 32, salt 32, output u16 length and
    # bytes.
    reply @4 :Reply;
    rejected @5 :Rejected;
    succession @6 :Data;
    # What ended an epoch, and who serves the next one: a succession's canonical bytes (rule 8.4).
    cards @7 :Data;
    # Group cards as their file has them, TOML in UTF-8; empty if the node shows none.
    disclosed @8 :Disclosed;
  }
}
