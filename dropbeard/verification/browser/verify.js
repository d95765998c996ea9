/*
 * A verifier of dropbeard's inference certificates for browsers and other JavaScript engines. It follows
 * docs/certificate-format.md, needs nothing but WebCrypto, and reaches no network.
 *
 *   const said = await DropbeardVerifier.verify(certificate, genesis, {input, successions});
 *
 * certificate: the file's bytes (Uint8Array). genesis: the TOML file's bytes, or its text. input, where it is at hand:
 * an image file's bytes, or {shape: [height, width, 3], data: bytes} for an array. successions: the bytes of the file
 * that "dropbeard ledger successions" writes, for certificates of later epochs.
 *
 * said.verdict is "valid", "invalid" or "unreadable"; said.valid, said.step (1 to 14) and said.stepName (null unless
 * invalid), said.reason (one line; null when valid). A valid one also has kind ("agreed" or "expired"), group {id,
 * name, n, f, answers, quorum}, task {name, kind, shape, labels, unit}, epoch, request, client, inputDigest,
 * inputCompared, height, view, time (ISO text or null), timeUs, deadlineUs, links, signers, answers [{owner, name,
 * version, model, modelName, and by the task's kind: choices [{classId, label, probability}], boxes [{classId, label,
 * x0, y0, x1, y1, score}] in shares of one, or values, row-major]}], missing (names), and decision {classId, label,
 * shown, shownLabel, margin, assurance}, which is null unless the task classifies. Digests are hex; what may pass 2^53
 * is decimal text, but values are numbers, the nearest to what they stand for. It rejects only where WebCrypto is
 * missing.
 *
 * DropbeardVerifier.digest(context, bytes) is the description's H. DropbeardVerifier.STEPS are the steps' names.
 */
globalThis.DropbeardVerifier = (() => {
  "use strict";

  const STEPS = [
    "format", "group", "epoch", "signers", "signatures", "block", "link", "path", "request", "input", "openings",
    "replicas", "answers", "outputs",
  ];
  const CERTIFICATE_BYTES_MAX = 1 << 20;
  const GENESIS_BYTES_MAX = 8 << 20;
  const INPUT_BYTES_MAX = 16 << 20;
  const HEADERS_MAX = 1025;
  const OWNERS_MAX = 64;
  const SIBLINGS_MAX = 20;
  const SUCCESSIONS_MAX = 1024;
  const PROBABILITY_ONE = 65535;
  const LABELS_MAX = 65536;
  const OUTPUT_BYTES_MAX = 16384;
  const PIXELS_MAX = 1 << 28;
  const DIMENSIONS_MAX = 4;
  const BOXES_MAX = 256;
  const UNIT_BYTES_MAX = 32;
  const CLIENT_LIMIT_MAX = 1_000_000_000;
  const CLIENTS_ALLOWED_MAX = 16384;
  const AGREED = 1, EXPIRED = 2, SUPPLEMENT = 3;
  const NO_DIGEST = "00".repeat(32);

  class Unreadable extends Error {}

  class Invalid extends Error {
    constructor(step, text) {
      super(text);
      this.step = step;
    }
  }

  const readable = (holds, text) => { if (!holds) throw new Unreadable(text); };
  const require = (step, holds, text) => { if (!holds) throw new Invalid(step, text); };

  // ---------------------------------------------------------------------------------------------- bytes
  const encoder = new TextEncoder();
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const sameBytes = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
  const strictlyAscend = (values) => values.every((value, at) => at === 0 || values[at - 1] < value);

  const joined = (...parts) => concatenated(parts);

  /** All parts in one; a list of a group's labels is too long for arguments. */
  function concatenated(parts) {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  function unsigned(value, size) {
    const bytes = new Uint8Array(size);
    let rest = BigInt(value);
    for (let at = 0; at < size; at++, rest >>= 8n) bytes[at] = Number(rest & 255n);
    return bytes;
  }

  const u16 = (value) => unsigned(value, 2);
  const u32 = (value) => unsigned(value, 4);
  const u64 = (value) => unsigned(value, 8);
  const short = (bytes) => joined(u16(bytes.length), bytes);
  const shortText = (text) => short(encoder.encode(text));

  class Reader {
    constructor(data) {
      this.data = data;
      this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      this.at = 0;
    }

    take(count) {
      readable(this.at + count <= this.data.length, `the file ends within a field that begins at byte ${this.at}`);
      this.at += count;
      return this.data.subarray(this.at - count, this.at);
    }

    u8() { return this.take(1)[0]; }
    u16() { this.take(2); return this.view.getUint16(this.at - 2, true); }
    u32() { this.take(4); return this.view.getUint32(this.at - 4, true); }
    u64() { this.take(8); return this.view.getBigUint64(this.at - 8, true); }
    i64() { this.take(8); return this.view.getBigInt64(this.at - 8, true); }
    short() { return this.take(this.u16()); }
    long() { return this.take(this.u32()); }

    /** A u16 count and that many of what ``read`` takes. */
    list(most, what, read) {
      const count = this.u16();
      readable(count <= most, `${count} ${what}, at most ${most} are allowed`);
      return Array.from({length: count}, read);
    }

    end() { readable(this.at === this.data.length, `${this.data.length - this.at} bytes follow the end`); }
  }

  // ---------------------------------------------------------------------------------------------- BLAKE3
  const IV = Uint32Array.of(
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  );
  const CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8, DERIVE_KEY_CONTEXT = 32, DERIVE_KEY_MATERIAL = 64;
  const CHUNK_BYTES = 1024, BLOCK_BYTES = 64;
  const ROUNDS = (() => {
    const permutation = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    const rounds = [permutation.map((_, at) => at)];
    while (rounds.length < 7) rounds.push(permutation.map((from) => rounds[rounds.length - 1][from]));
    return rounds;
  })();

  function mix(v, a, b, c, d, x, y) {
    let word;
    v[a] = v[a] + v[b] + x;
    word = v[d] ^ v[a]; v[d] = (word >>> 16) | (word << 16);
    v[c] = v[c] + v[d];
    word = v[b] ^ v[c]; v[b] = (word >>> 12) | (word << 20);
    v[a] = v[a] + v[b] + y;
    word = v[d] ^ v[a]; v[d] = (word >>> 8) | (word << 24);
    v[c] = v[c] + v[d];
    word = v[b] ^ v[c]; v[b] = (word >>> 7) | (word << 25);
  }

  /** The first eight words of the compression of one block: a chaining value, or the first 32 bytes of the root. */
  function compress(chain, words, counter, length, flags) {
    const v = new Uint32Array(16);
    v.set(chain);
    v.set(IV.subarray(0, 4), 8);
    v[12] = counter;
    v[13] = Math.floor(counter / 2 ** 32);
    v[14] = length;
    v[15] = flags;
    for (const m of ROUNDS) {
      mix(v, 0, 4, 8, 12, words[m[0]], words[m[1]]);
      mix(v, 1, 5, 9, 13, words[m[2]], words[m[3]]);
      mix(v, 2, 6, 10, 14, words[m[4]], words[m[5]]);
      mix(v, 3, 7, 11, 15, words[m[6]], words[m[7]]);
      mix(v, 0, 5, 10, 15, words[m[8]], words[m[9]]);
      mix(v, 1, 6, 11, 12, words[m[10]], words[m[11]]);
      mix(v, 2, 7, 8, 13, words[m[12]], words[m[13]]);
      mix(v, 3, 4, 9, 14, words[m[14]], words[m[15]]);
    }
    for (let at = 0; at < 8; at++) v[at] ^= v[at + 8];
    return v.subarray(0, 8);
  }

  /** What the compression of a chunk's last block, or of a parent, takes; the root's gets one flag more. */
  function lastBlock(key, flags, data, chunk) {
    if (data.length <= CHUNK_BYTES) {
      let chain = key, start = CHUNK_START, at = 0;
      for (; data.length - at > BLOCK_BYTES; at += BLOCK_BYTES, start = 0) {
        chain = compress(chain, blockWords(data.subarray(at, at + BLOCK_BYTES)), chunk, BLOCK_BYTES, flags | start);
      }
      const rest = data.subarray(at);
      return [chain, blockWords(rest), chunk, rest.length, flags | start | CHUNK_END];
    }
    const left = 2 ** Math.floor(Math.log2((data.length - 1) / CHUNK_BYTES));
    const words = new Uint32Array(16);
    words.set(compress(...lastBlock(key, flags, data.subarray(0, left * CHUNK_BYTES), chunk)));
    words.set(compress(...lastBlock(key, flags, data.subarray(left * CHUNK_BYTES), chunk + left)), 8);
    return [key, words, 0, BLOCK_BYTES, flags | PARENT];
  }

  function blockWords(bytes) {
    const words = new Uint32Array(16);
    for (let at = 0; at < bytes.length; at++) words[at >> 2] |= bytes[at] << (8 * (at & 3));
    return words;
  }

  function blake3(key, flags, data) {
    const [chain, words, counter, length, marks] = lastBlock(key, flags, data, 0);
    return compress(chain, words, counter, length, marks | ROOT);
  }

  const contextKeys = new Map();

  function digest(context, ...parts) {
    if (!contextKeys.has(context)) contextKeys.set(context, blake3(IV, DERIVE_KEY_CONTEXT, encoder.encode(context)));
    const words = blake3(contextKeys.get(context), DERIVE_KEY_MATERIAL, joined(...parts));
    return joined(...Array.from(words, u32));
  }

  const hashed = (purpose, ...parts) => digest(`dropbeard 1 ${purpose}`, ...parts);

  // ---------------------------------------------------------------------------------------------- P-256
  const FIELD = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
  const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const CURVE_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
  const bigEndian = (bytes) => BigInt(`0x${hex(bytes)}`);

  function power(base, exponent) {
    let result = 1n;
    for (let factor = base; exponent > 0n; exponent >>= 1n, factor = (factor * factor) % FIELD) {
      if (exponent & 1n) result = (result * factor) % FIELD;
    }
    return result;
  }

  /** The point (65 bytes) of a compressed one, or null: engines differ in whether they read the short form. */
  function uncompressed(key) {
    const x = bigEndian(key.subarray(1));
    if ((key[0] !== 2 && key[0] !== 3) || x >= FIELD) return null;
    const square = (x * x * x - 3n * x + CURVE_B) % FIELD;
    const root = power(square, (FIELD + 1n) / 4n);
    if ((root * root) % FIELD !== square) return null;
    const y = (root & 1n) === BigInt(key[0] & 1) ? root : FIELD - root;
    return joined(Uint8Array.of(4), key.subarray(1), unsigned(y, 32).reverse());
  }

  async function hasSigned(point, signature, message) {
    const r = bigEndian(signature.subarray(0, 32)), s = bigEndian(signature.subarray(32));
    if (r < 1n || r >= ORDER || s < 1n || s > ORDER / 2n) return false;
    const subtle = globalThis.crypto.subtle;
    const key = await subtle.importKey("raw", point, {name: "ECDSA", namedCurve: "P-256"}, false, ["verify"]);
    return subtle.verify({name: "ECDSA", hash: "SHA-256"}, key, signature, message);
  }

  /** Says which owner's signature over a Finalize of this header does not check; null when all do. */
  async function badSigner(group, header, signatures) {
    const place = joined(u32(header.epoch), u64(header.view), header.digest);
    const message = joined(encoder.encode("dropbeard/1/finalize\0"), group.id, place);
    for (const [owner, signature] of signatures) {
      if (!(await hasSigned(group.owner(owner).point, signature, message))) return owner;
    }
    return null;
  }

  // ---------------------------------------------------------------------------------------------- the genesis
  /** Reads the part of TOML that geneses are written in, and says at which line it meets something else. */
  class GenesisText {
    constructor(text) {
      this.text = text.replaceAll("\r\n", "\n");
      this.at = 0;
    }

    refuse(what) {
      const line = this.text.slice(0, this.at).split("\n").length;
      throw new Unreadable(`the genesis, line ${line}: ${what}`);
    }

    /** Takes what the pattern (sticky) finds here, or nothing. */
    next(pattern) {
      pattern.lastIndex = this.at;
      const found = pattern.exec(this.text);
      if (found) this.at = pattern.lastIndex;
      return found;
    }

    expect(pattern, what) { return this.next(pattern) ?? this.refuse(`${what} expected`); }

    endLine() {
      this.next(/[ \t]*(?:#[^\x00-\x08\x0a-\x1f\x7f]*)?/y);
      if (this.at < this.text.length) this.expect(/\n/y, "the end of the line");
    }

    blank() {
      let before;
      do {
        before = this.at;
        this.next(/[ \t\n]*(?:#[^\x00-\x08\x0a-\x1f\x7f]*(?=\n|$(?![^])))?/y);
      } while (this.at > before);
    }

    tables() {
      const tables = new Map([["", new Map()]]);
      let table = tables.get("");
      for (this.blank(); this.at < this.text.length; this.blank()) {
        const head = this.next(/(\[\[?)[ \t]*([A-Za-z0-9_-]+)[ \t]*(\]\]?)/y);
        if (head) {
          table = this.opened(tables, head);
        } else {
          const [, key] = this.expect(/([A-Za-z0-9_-]+)[ \t]*=[ \t]*/y, "a [table] or a plain key = value");
          if (table.has(key)) this.refuse(`${key} is there twice`);
          table.set(key, this.value());
        }
        this.endLine();
      }
      return tables;
    }

    opened(tables, [, open, name, close]) {
      if (open.length !== close.length) this.refuse("the brackets of a table do not match");
      const table = new Map();
      const rows = tables.get(name);
      if (open === "[") {
        if (rows) this.refuse(`the table ${name} is there twice`);
        tables.set(name, table);
      } else if (rows === undefined) {
        tables.set(name, [table]);
      } else {
        if (!Array.isArray(rows)) this.refuse(`${name} is a table already`);
        rows.push(table);
      }
      return table;
    }

    value() {
      return this.next(/\[/y) ? this.list() : this.number() ?? this.string();
    }

    number() {
      const number = this.next(/[+-]?(?:0|[1-9](?:_?[0-9])*)(?=[ \t\n#,\]]|$(?![^]))/y);
      if (!number) return null;
      if (number[0].length > 40) this.refuse("the number is too long");
      return BigInt(number[0].replaceAll("_", "").replace("+", ""));
    }

    list() {
      const found = [];
      for (this.blank(); !this.next(/\]/y); this.blank()) {
        found.push(this.number() ?? this.string());
        this.blank();
        if (!this.next(/,/y)) {
          this.expect(/\]/y, "a comma or the end of the list");
          break;
        }
      }
      return found;
    }

    string() {
      if (this.next(/"""|'''/y)) this.refuse("this verifier reads strings of one line only");
      const plain = this.next(/'([^'\x00-\x08\x0a-\x1f\x7f]*)'/y);
      if (plain) return plain[1];
      const [, text] = this.expect(
        /"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^]){0,4096})"/y,
        "a short string, a whole number or a list of them (all that a genesis holds)",
      );
      return text.replace(/\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([^]))/g, (_, four, eight, letter) => {
        if (letter !== undefined) {
          return {b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", '"': '"', "\\": "\\"}[letter] ??
            this.refuse("a string has an escape that TOML does not know");
        }
        const point = parseInt(four ?? eight, 16);
        if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) this.refuse("a string has an impossible escape");
        return String.fromCodePoint(point);
      });
    }
  }

  const TEXT = "string", NUMBER = "bigint", TEXTS = "strings", NUMBERS = "bigints";
  const PARAMETERS = [
    "block_interval_us", "lane_linger_us", "propose_timeout_us", "advance_timeout_us", "finalize_timeout_us",
    "timeout_growth_percent", "timeout_growth_steps_max", "status_interval_us", "starvation_us", "horizon_us",
    "near_us", "retention_us", "open_max", "client_open_max", "lane_window", "batch_items_max", "block_batches_max",
    "update_gap", "evidence_max", "snapshot_interval", "epoch_delay",
  ];
  const FORMS = {
    group: {format: NUMBER, name: TEXT, f: NUMBER, answers: NUMBER},
    task: {name: TEXT, encoded_bytes_max: NUMBER, pixels_max: NUMBER},
    parameters: Object.fromEntries(PARAMETERS.map((name) => [name, NUMBER])),
    owner: {
      id: NUMBER, name: TEXT, owner_key: TEXT, node_key: TEXT, curve_key: TEXT, votes: TEXT, lanes: TEXT,
      clients: TEXT, catchup: TEXT, model: TEXT, model_name: TEXT,
    },
    clients: {rate_per_s: NUMBER, burst: NUMBER, per_day: NUMBER},
  };
  const FORM = {shape: NUMBERS, element: TEXT, fraction_bits: NUMBER, scale: NUMBER, unit: TEXT};
  const OPTIONAL = {
    group: {id: TEXT}, task: {labels: TEXTS, kind: TEXT, top_k: NUMBER, ...FORM}, clients: {allow: TEXTS},
  };
  const KINDS = ["classification", "embedding", "scores", "boxes", "tensor"];
  const ELEMENTS = ["i8", "i16", "i32", "i64", "u8", "u16", "u32"];
  const ENDPOINTS = ["votes", "lanes", "clients", "catchup"];
  const KEY_SIZES = {owner_key: 33, node_key: 33, curve_key: 32, model: 32};

  /** A list of strings is "strings", an empty one is any list. */
  function isA(value, kind) {
    if (!Array.isArray(value)) return typeof value === kind;
    return kind.endsWith("s") && value.every((item) => `${typeof item}s` === kind);
  }

  /** The values of one table, its keys and their types checked. */
  function values(table, name, where = `[${name}]`) {
    readable(table instanceof Map, `the genesis has no ${where}`);
    const form = FORMS[name], known = {...form, ...OPTIONAL[name]};
    for (const [key, value] of table) {
      readable(Object.hasOwn(known, key), `the genesis, ${where}: ${key} is unknown`);
      readable(isA(value, known[key]), `the genesis, ${where}: ${key} has the wrong type`);
    }
    for (const key of Object.keys(form)) readable(table.has(key), `the genesis, ${where}: ${key} is missing`);
    return Object.fromEntries(table);
  }

  function inRange(value, bits, what) {
    readable(value >= 0n && value < 1n << BigInt(bits), `the genesis: ${what} = ${value} is out of range`);
    return bits === 64 ? value : Number(value);
  }

  /** A whole number that is known to be small, from ``least`` to ``most``. */
  function within(value, least, most, what) {
    readable(value >= least && value <= most, `the genesis: ${what} = ${value} is not ${least} to ${most}`);
    return Number(value);
  }

  /** Printable, of ``least`` to ``most`` bytes, no spaces around: what can stand in a terminal. */
  function plain(text, most, what, least = 1) {
    const size = encoder.encode(text).length;
    const fits = /^(?:[^\p{C}\p{Z}]| )*$/u.test(text) && size >= least && size <= most && text === text.trim();
    readable(fits, `the genesis: ${what} must be ${least} to ${most} printable bytes`);
    return text;
  }

  /** Owners, keys, f and answers of one epoch. ``ids`` counts the owner ids given out. */
  class Group {
    constructor(fields) {
      Object.assign(this, fields);
      this.n = this.owners.length;
      this.quorum = Math.floor((this.n + this.f + 2) / 2);
      const {n, f, answers} = this;
      readable(n >= 1 && n <= OWNERS_MAX, `a group has 1 to ${OWNERS_MAX} owners, here are ${n}`);
      readable(n >= 3 * f + 1, `n = ${n} owners cannot tolerate f = ${f}`);
      readable(answers >= 2 * f + 1 && answers <= n - f, `answers = ${answers} is not between 2f + 1 and n - f`);
      readable(strictlyAscend(this.owners.map((owner) => owner.id)), "the ids of the owners do not ascend");
      for (const what of ["name", "owner_key", "node_key", "curve_key"]) this.distinct(what, (owner) => [owner[what]]);
      this.distinct("endpoint", (owner) => owner.endpoints);
      for (const owner of this.owners) {
        owner.point = uncompressed(unhex(owner.node_key));
        readable(owner.point !== null, `the node_key of owner ${owner.id} is no point of P-256`);
      }
    }

    distinct(what, of) {
      const all = this.owners.flatMap(of);
      readable(new Set(all).size === all.length, `two owners (or sockets) share one ${what}`);
    }

    owner(id) { return this.owners.find((owner) => owner.id === id); }
  }

  function readGenesis(given) {
    const tables = new GenesisText(textOf(given)).tables();
    readable(tables.get("").size === 0, `the genesis: ${[...tables.get("").keys()][0]} stands in no table`);
    const unknown = [...tables.keys()].find((name) => name !== "" && !Object.hasOwn(FORMS, name));
    readable(unknown === undefined, `the genesis: the table ${unknown} is unknown`);
    const group = values(tables.get("group"), "group");
    readable(group.format === 1n, `the genesis has format ${group.format}, this verifier reads 1`);
    const task = readTask(values(tables.get("task"), "task"));
    const rows = tables.get("owner");
    readable(Array.isArray(rows), "the genesis has no [[owner]]");
    const owners = rows.map((row, at) => genesisOwner(values(row, "owner", `[[owner]] ${at}`), at));
    const parameters = values(tables.get("parameters"), "parameters");
    const name = plain(group.name, 64, "the group's name");
    const f = inRange(group.f, 16, "f"), answers = inRange(group.answers, 16, "answers");
    const id = hashed(
      "genesis", shortText(name), u16(f), u16(answers), u16(owners.length), ...owners.map(ownerBytes), task.bytes,
      ...PARAMETERS.map((key) => u64(inRange(parameters[key], 64, key))),
      tables.has("clients") ? clientsBytes(values(tables.get("clients"), "clients")) : new Uint8Array(0),
    );
    const stated = group.id ?? hex(id);
    readable(stated === hex(id), `the genesis says that its id is ${stated}, but that of its values is ${hex(id)}`);
    return new Group({id, name, f, answers, owners, task, epoch: 0, ids: owners.length});
  }

  function textOf(given) {
    if (typeof given === "string") return given;
    readable(given.length <= GENESIS_BYTES_MAX, `a genesis has at most ${GENESIS_BYTES_MAX} bytes`);
    try {
      return new TextDecoder("utf-8", {fatal: true, ignoreBOM: true}).decode(given);
    } catch {
      throw new Unreadable("the genesis is not text");
    }
  }

  function clientsBytes({rate_per_s, burst, per_day, allow}) {
    const limits = Object.entries({rate_per_s, burst, per_day}).map(
      ([key, value]) => within(value, 0, CLIENT_LIMIT_MAX, `${key} of [clients]`),
    );
    readable((limits[0] === 0) === (limits[1] === 0), "the genesis: rate_per_s and burst of [clients] go together");
    const keys = allow ?? [];
    readable(keys.length <= CLIENTS_ALLOWED_MAX, `the genesis: allow has more than ${CLIENTS_ALLOWED_MAX} keys`);
    readable(!allow || keys.length > 0, "the genesis: allow is empty");
    const fits = keys.every((key) => /^[0-9a-f]{64}$/.test(key)) && strictlyAscend(keys);
    readable(fits, "the genesis: allow is not of keys of 64 lower-case hex digits, ascending");
    readable(keys.length > 0 || limits.some((limit) => limit > 0), "the genesis: [clients] has no rule");
    return concatenated([Uint8Array.of(1), ...limits.map(u32), u32(keys.length), ...keys.map(unhex)]);
  }

  function readTask(row) {
    const {kind = KINDS[0], labels = []} = row;
    readable(KINDS.includes(kind), `the genesis: a task's kind is one of ${KINDS.join(", ")}`);
    plain(row.name, 64, "the task's name");
    labels.forEach((label) => plain(label, 128, "a label"));
    const fewest = {classification: 2, scores: 1, boxes: 1}[kind] ?? 0, most = fewest > 0 ? LABELS_MAX : 0;
    within(labels.length, fewest, most, "the number of labels");
    const bytes = within(row.encoded_bytes_max, 1, INPUT_BYTES_MAX, "encoded_bytes_max");
    const pixels = within(row.pixels_max, 1, PIXELS_MAX, "pixels_max");
    const {topK = 0, ...form} = kind === KINDS[0] ? readClassification(row, labels) : readForm(row, kind, labels);
    const head = joined(shortText(row.name), u16(topK), u32(bytes), u32(pixels), u32(labels.length));
    const encoded = concatenated([head, ...labels.map(shortText), ...(form.bytes ?? [])]);
    return {name: row.name, kind, labels, topK, ...form, bytes: encoded};
  }

  function readClassification(row, labels) {
    const extra = Object.keys(FORM).find((key) => Object.hasOwn(row, key));
    readable(extra === undefined, `the genesis: a classification has no ${extra}`);
    readable(row.top_k !== undefined, "the genesis: a classification needs top_k");
    return {topK: within(row.top_k, 1, Math.min(labels.length, Math.floor(OUTPUT_BYTES_MAX / 6)), "top_k")};
  }

  /** How an answer looks that is no classification; ``bytes`` follow the labels. */
  function readForm(row, kind, labels) {
    const isScores = kind === "scores", isBoxes = kind === "boxes", isVector = kind === "embedding";
    readable(row.top_k === undefined, `the genesis: top_k belongs to a classification, the task's kind is ${kind}`);
    const shaped = isScores ? "scores have no shape" : `a task of kind ${kind} needs shape`;
    readable(isScores !== Object.hasOwn(row, "shape"), `the genesis: ${shaped}`);
    const shape = isScores ? [labels.length] : row.shape;
    within(shape.length, 1, kind === "tensor" ? DIMENSIONS_MAX : 1, "the number of dimensions of shape");
    const sides = shape.map((side) => within(side, 1, OUTPUT_BYTES_MAX, "a dimension of shape"));
    const element = row.element ?? (isBoxes ? "u16" : "i16"), code = ELEMENTS.indexOf(element);
    readable(code >= 0, `the genesis: an element is one of ${ELEMENTS.join(", ")}`);
    const bits = Number(element.slice(1)), count = sides.reduce((product, side) => product * side, 1);
    if (isBoxes) {
      readable(element === "u16", "the genesis: boxes are of the element u16");
      within(count, 1, BOXES_MAX, "the number of boxes");
    } else {
      within(count * bits / 8, 1, OUTPUT_BYTES_MAX, "the number of bytes of an answer");
    }
    const fractionBits = within(row.fraction_bits ?? 0, 0, isBoxes ? 0 : bits - 1, `fraction_bits of ${kind}`);
    const largest = isBoxes || isVector ? 0 : 2 ** 32 - 1;
    const scale = within(row.scale ?? 0, isScores ? 1 : 0, largest, `scale of ${kind}`);
    const unit = plain(row.unit ?? "", isBoxes || isVector ? 0 : UNIT_BYTES_MAX, `unit of ${kind}`, 0);
    const head = Uint8Array.of(KINDS.indexOf(kind), code + 1, fractionBits, sides.length);
    const bytes = [head, ...sides.map(u32), u32(scale), shortText(unit)];
    return {shape: sides, element, fractionBits, count, unit, bytes};
  }

  function genesisOwner(row, at) {
    readable(row.id === BigInt(at), "the genesis: the ids of its owners are not 0, 1, 2, ... in order");
    for (const [key, size] of Object.entries(KEY_SIZES)) {
      const fits = row[key].length === 2 * size && /^[0-9a-f]*$/.test(row[key]);
      readable(fits, `the genesis: ${key} of owner ${at} is not ${2 * size} lower-case hex digits`);
    }
    plain(row.name, 64, `the name of owner ${at}`);
    plain(row.model_name, 64, `the model_name of owner ${at}`);
    const endpoints = ENDPOINTS.map((key) => plain(row[key], 128, `${key} of owner ${at}`));
    return {...row, id: at, endpoints};
  }

  function ownerBytes(owner) {
    const keys = joined(...["owner_key", "node_key", "curve_key"].map((key) => unhex(owner[key])));
    const named = joined(u16(owner.id), shortText(owner.name), keys, ...owner.endpoints.map(shortText));
    return joined(named, unhex(owner.model), shortText(owner.model_name));
  }

  // ---------------------------------------------------------------------------------------------- the certificate
  const readSignatures = (reader) => {
    const rows = reader.list(OWNERS_MAX, "signatures", () => [reader.u16(), reader.take(64)]);
    readable(strictlyAscend(rows.map(([owner]) => owner)), "the owners of the signatures do not ascend");
    return rows;
  };

  function readHeader(reader, group) {
    const begin = reader.at;
    const epoch = reader.u32(), height = reader.u64(), view = reader.i64();
    const parent = reader.take(32), parentView = reader.i64();
    const lanes = reader.list(OWNERS_MAX, "lanes", () => {
      const owner = reader.u16();
      reader.take(40);
      return owner;
    });
    readable(strictlyAscend(lanes), "the owners of a cut do not ascend");
    const time = reader.u64(), entriesRoot = reader.take(32), stateRoot = reader.take(32);
    reader.take(32);
    const name = hashed("header", group, reader.data.subarray(begin, reader.at));
    const closing = hex(stateRoot) === NO_DIGEST;
    return {epoch, height, view, parent, parentView, lanes, time, entriesRoot, stateRoot, closing, digest: name};
  }

  function readProved(reader, position) {
    const begin = reader.at;
    const kind = reader.u8();
    readable(kind >= AGREED && kind <= SUPPLEMENT, `an entry is of the unknown kind ${kind}`);
    const request = reader.take(32), client = reader.take(32);
    const promises = reader.list(OWNERS_MAX, "promises", () => (
      {owner: reader.u16(), version: reader.u32(), model: reader.take(32), commitment: reader.take(32)}
    ));
    readable(strictlyAscend(promises.map(({owner}) => owner)), "the owners of an entry do not ascend");
    const data = reader.data.subarray(begin, reader.at);
    const index = reader.u32(), leaves = reader.u32(), count = reader.u8();
    readable(count <= SIBLINGS_MAX, `a path has ${count} siblings, at most ${SIBLINGS_MAX} are allowed`);
    const siblings = Array.from({length: count}, () => reader.take(32));
    return {position, kind, request, client, promises, data, index, leaves, siblings};
  }

  function readCertificate(data) {
    readable(data.length <= CERTIFICATE_BYTES_MAX, `a certificate has at most ${CERTIFICATE_BYTES_MAX} bytes`);
    const magic = joined(encoder.encode("DBCERT\0"), Uint8Array.of(1));
    readable(sameBytes(data.subarray(0, 8), magic), "it is no inference certificate of version 1");
    const reader = new Reader(data);
    reader.take(8);
    const group = reader.take(32), epoch = reader.u32();
    const headers = reader.list(HEADERS_MAX, "headers", () => readHeader(reader, group));
    readable(headers.length > 0, "there is no header");
    const signatures = readSignatures(reader);
    const deadline = reader.u64(), patience = reader.u32(), nonce = reader.u64();
    const options = reader.short(), inputDigest = reader.take(32);
    const base = readProved(reader, headers.length - 1);
    const supplements = reader.list(OWNERS_MAX, "supplements", () => readProved(reader, reader.u16()));
    const openings = reader.list(OWNERS_MAX, "openings", () => (
      {owner: reader.u16(), salt: reader.take(32), output: reader.short()}
    ));
    reader.end();
    return {
      group, epoch, headers, signatures, deadline, patience, nonce, options, inputDigest, base, supplements,
      entries: [base, ...supplements], openings,
    };
  }

  // ---------------------------------------------------------------------------------------------- later epochs
  const readOwner = (reader) => {
    const text = () => {
      try {
        return new TextDecoder("utf-8", {fatal: true, ignoreBOM: true}).decode(reader.short());
      } catch (wrong) {
        throw wrong instanceof Unreadable ? wrong : new Unreadable("a name in a configuration is no text");
      }
    };
    const id = reader.u16(), name = text();
    const keys = {owner_key: hex(reader.take(33)), node_key: hex(reader.take(33)), curve_key: hex(reader.take(32))};
    const endpoints = ENDPOINTS.map(text);
    return {id, name, ...keys, endpoints, model: hex(reader.take(32)), model_name: text()};
  };

  function followingGroup(before, configuration) {
    const reader = new Reader(configuration);
    const origin = reader.take(32), epoch = reader.u32(), ids = reader.u16(), f = reader.u16(), answers = reader.u16();
    const owners = reader.list(OWNERS_MAX, "owners", () => readOwner(reader));
    reader.end();
    readable(sameBytes(origin, before.id) && epoch === before.epoch + 1, "a configuration follows another epoch");
    const made = new Group({id: before.id, name: before.name, f, answers, owners, task: before.task, epoch, ids});
    for (const owner of owners) {
      const old = before.owner(owner.id);
      readable(old || owner.id >= before.ids, `owner id ${owner.id} was given out before`);
      const kept = !old || ["name", "model", "model_name"].every((key) => owner[key] === old[key]);
      readable(kept, `owner ${owner.id} does not keep its name and first model`);
    }
    const given = Math.max(before.ids, ...owners.map((owner) => owner.id + 1));
    readable(ids === given, "a configuration miscounts the owner ids given out");
    return made;
  }

  function readSuccession(data, group) {
    const reader = new Reader(data);
    const epoch = reader.u32();
    const headers = reader.list(HEADERS_MAX - 1, "headers of a succession", () => {
      const inner = new Reader(reader.long());
      const header = readHeader(inner, group);
      inner.end();
      return header;
    });
    const signatures = readSignatures(reader);
    const found = {epoch, headers, signatures, root: reader.take(32), whole: reader.take(32)};
    found.configuration = reader.long();
    reader.end();
    readable(headers.length > 0, "a succession holds no header");
    return found;
  }

  /** The group that follows ``before``, if the succession checks. */
  async function succeeded(before, given) {
    const {headers, signatures} = given;
    const last = headers[headers.length - 1];
    const what = `what ended epoch ${given.epoch} does not check:`;
    const own = headers.every((header) => header.epoch === before.epoch && header.view >= 0n);
    readable(given.epoch === before.epoch && own, `${what} it is not of epoch ${before.epoch}`);
    const configured = hashed("configuration", given.configuration);
    const root = hashed("state root at the end of an epoch", given.root, given.whole, configured);
    readable(!last.closing && sameBytes(root, last.stateRoot), `${what} its last block names another configuration`);
    headers.slice(0, -1).forEach((child, at) => {
      const parent = headers[at + 1];
      const linked = sameBytes(child.parent, parent.digest) && child.closing && child.height === parent.height;
      readable(linked, `${what} its headers are not closing blocks over the last one`);
    });
    const following = followingGroup(before, given.configuration);
    const enough = signatures.length >= before.quorum && signatures.every(([owner]) => before.owner(owner));
    readable(enough && (await badSigner(before, headers[0], signatures)) === null, `${what} no quorum made it final`);
    return {following, lastHeight: last.height};
  }

  /** Groups by epoch from the genesis on, and the last height of each that is over. */
  async function lineage(genesis, file) {
    const groups = [genesis], lasts = [];
    if (!file) return {groups, lasts};
    const reader = new Reader(file);
    const magic = joined(encoder.encode("DBEPOC\0"), Uint8Array.of(1));
    readable(sameBytes(reader.take(8), magic), "it is no file of successions");
    readable(sameBytes(reader.take(32), genesis.id), "the successions are of another group");
    const found = reader.list(SUCCESSIONS_MAX, "successions", () => readSuccession(reader.long(), genesis.id));
    reader.end();
    for (const given of found.sort((a, b) => a.epoch - b.epoch)) {
      if (given.epoch < groups.length - 1) continue;
      const {following, lastHeight} = await succeeded(groups[groups.length - 1], given);
      groups.push(following);
      lasts.push(lastHeight);
    }
    return {groups, lasts};
  }

  // ---------------------------------------------------------------------------------------------- the checks
  function checkForm({headers, base, supplements, entries}) {
    require(1, base.kind !== SUPPLEMENT, "the base entry is a supplement");
    require(1, supplements.every(({kind}) => kind === SUPPLEMENT), "an entry among the supplements is not one");
    require(1, base.kind !== EXPIRED || supplements.length === 0, "an expired entry carries supplements");
    require(1, supplements.every(({promises}) => promises.length > 0), "a supplement holds no promise");
    const positions = entries.map(({position}) => -position);
    require(1, strictlyAscend(positions), "the supplements do not ascend in height above the base entry");
    const real = headers.every(({height, view}) => height >= 1n && view >= 0n);
    require(1, real, "a header is the genesis or below it");
  }

  /** Whose keys count for this certificate (steps 2 and 3). */
  function groupOf(certificate, {groups, lasts}) {
    const {epoch, headers} = certificate;
    require(2, sameBytes(certificate.group, groups[0].id), `it is of another group, ${hex(certificate.group)}`);
    const latest = groups.length - 1;
    require(3, epoch <= latest, `it is of epoch ${epoch}, and the latest that is known here is ${latest}`);
    const last = lasts[epoch];
    const within = last === undefined || headers.every(({height}) => height <= last);
    require(3, within, `epoch ${epoch} ended with height ${last}`);
    require(3, headers.every((header) => header.epoch === epoch), "a header is of another epoch");
    return groups[epoch];
  }

  async function checkFinal(certificate, group) {
    const {headers, signatures} = certificate;
    const stranger = signatures.find(([owner]) => !group.owner(owner));
    require(4, !stranger, `signer ${stranger?.[0]} is no owner of the group`);
    require(4, signatures.length >= group.quorum, `${signatures.length} owners signed, a quorum is ${group.quorum}`);
    const bad = await badSigner(group, headers[0], signatures);
    require(5, bad === null, `the signature of owner ${bad} is not over this header`);
  }

  function checkBlocks({headers, entries}, group) {
    const members = group.owners.map(({id}) => id).join();
    for (const header of headers) {
      require(6, header.lanes.join() === members, `the cut at height ${header.height} is not over the group's lanes`);
      const above = header.parentView >= -1n && header.parentView < header.view;
      require(6, above, `the block at height ${header.height} is not above its parent's view`);
    }
    const stranger = entries.flatMap(({promises}) => promises).find(({owner}) => !group.owner(owner));
    require(6, !stranger, `owner ${stranger?.owner} of an entry is no owner of the group`);
    headers.slice(0, -1).forEach((child, at) => {
      const parent = headers[at + 1];
      const what = `the block at height ${child.height}`;
      require(7, sameBytes(child.parent, parent.digest), `${what} names another parent`);
      const height = parent.height + (child.closing ? 0n : 1n);
      require(7, child.height === height, `${what} has a parent at height ${parent.height}`);
      require(7, child.parentView === parent.view, `${what} misstates its parent's view`);
      require(7, child.time >= parent.time, `${what} is older than its parent`);
    });
    for (const entry of entries) {
      const root = rootOf(entry);
      const proved = root !== null && sameBytes(root, headers[entry.position].entriesRoot);
      require(8, proved, `the path of an entry misses the root at height ${headers[entry.position].height}`);
    }
  }

  /** The root that an entry's path leads to, or null when the path has the wrong shape. */
  function rootOf({data, index, leaves, siblings}) {
    if (index >= leaves) return null;
    const rest = [...siblings];
    let at = index, width = leaves, node = hashed("merkle leaf", data);
    while (width > 1) {
      const isRight = at % 2 === 1;
      if (isRight || at + 1 < width) {
        const sibling = rest.shift();
        if (!sibling) return null;
        node = isRight ? hashed("merkle node", sibling, node) : hashed("merkle node", node, sibling);
      }
      at = Math.floor(at / 2);
      width = Math.ceil(width / 2);
    }
    return rest.length > 0 ? null : hashed("merkle root", u32(leaves), node);
  }

  function checkRequest(certificate, input) {
    const {group, base, supplements, deadline, patience, nonce, options, inputDigest} = certificate;
    const body = hashed("request body", u64(nonce), group, short(options), inputDigest);
    const id = hashed("request id", base.client, u64(deadline), u32(patience), body);
    require(9, sameBytes(id, base.request), "what was asked does not give the entry's request id");
    const same = supplements.every((s) => sameBytes(s.request, base.request) && sameBytes(s.client, base.client));
    require(9, same, "a supplement is of another request");
    require(10, !input || sameBytes(digestOfInput(input), inputDigest), "the certificate is about another input");
  }

  function digestOfInput(input) {
    const {shape, data} = input instanceof Uint8Array ? {shape: null, data: input} : input;
    const head = joined(Uint8Array.of(shape ? 2 : 1), ...(shape ?? [0, 0, 0]).map(u32));
    return hashed("input", head, data);
  }

  /** Steps 11 to 14; gives what each opening says. */
  function checkOpenings({base, entries, openings}, group) {
    const promised = entries.flatMap(({promises}) => promises);
    const answers = openings.map(({owner, salt, output}) => {
      const promise = promised.find((row) => row.owner === owner);
      require(11, promise, `owner ${owner} promised nothing`);
      const place = joined(u16(owner), u32(promise.version), promise.model);
      const opened = hashed("commitment", base.request, place, salt, output);
      require(11, sameBytes(opened, promise.commitment), `the opening of owner ${owner} does not match its commitment`);
      return {owner, version: promise.version, model: hex(promise.model), output};
    });
    require(12, new Set(promised.map(({owner}) => owner)).size === promised.length, "an owner promised twice");
    require(12, strictlyAscend(openings.map(({owner}) => owner)), "the owners of the openings do not ascend");
    if (base.kind === EXPIRED) {
      require(13, openings.length === 0, `an expired entry carries ${openings.length} openings`);
    } else {
      const [had, opened, need] = [base.promises.length, openings.length, group.answers];
      require(13, had >= need, `the entry has ${had} promises, need ${need}`);
      require(13, opened >= need, `${opened} openings, need ${need}`);
    }
    return answers.map(({output, ...answer}) => (
      {...answer, ...readOutput(output, group.task, `the answer of owner ${answer.owner}`)}
    ));
  }

  function readOutput(output, task, what) {
    if (task.kind === KINDS[0]) return {choices: readChoices(output, task, what)};
    return task.kind === "boxes" ? {boxes: readBoxes(output, task, what)} : {values: readValues(output, task, what)};
  }

  function readChoices(output, {topK, labels}, what) {
    require(14, output.length === 6 * topK, `${what} has ${output.length} bytes, the task's has ${6 * topK}`);
    const reader = new Reader(output);
    const choices = Array.from({length: topK}, () => ({classId: reader.u32(), units: reader.u16()}));
    const ids = choices.map(({classId}) => classId);
    const known = new Set(ids).size === topK && ids.every((id) => id < labels.length);
    require(14, known, `${what} names a class that does not exist, or one class twice`);
    const ordered = choices.slice(1).every((next, at) => (
      choices[at].units > next.units || (choices[at].units === next.units && choices[at].classId < next.classId)
    ));
    require(14, ordered, `${what} is not ordered by probability, then class id`);
    const sum = choices.reduce((total, {units}) => total + units, 0);
    require(14, sum <= PROBABILITY_ONE + topK, `${what} adds up to more than one`);
    return choices.map(({classId, units}) => ({
      classId, label: labels[classId], probability: units / PROBABILITY_ONE, units,
    }));
  }

  function readBoxes(output, {count: most, labels}, what) {
    const reader = new Reader(output), count = output.length < 2 ? most + 1 : reader.u16();
    const fits = count <= most && output.length === 2 + 14 * count;
    require(14, fits, `${what} has ${output.length} bytes, which do not hold 0 to ${most} boxes`);
    const rows = Array.from({length: count}, () => [reader.u32(), ...Array.from({length: 5}, () => reader.u16())]);
    require(14, rows.every(([classId]) => classId < labels.length), `${what} has a box of a class that does not exist`);
    const real = rows.every(([, x0, y0, x1, y1]) => x0 < x1 && y0 < y1);
    require(14, real, `${what} has a box without area`);
    const ordered = rows.slice(1).every((next, at) => comesBefore(rows[at], next));
    require(14, ordered, `${what} is not ordered by score, class id and coordinates, or has a box twice`);
    return rows.map(([classId, ...units]) => {
      const [x0, y0, x1, y1, score] = units.map((unit) => unit / PROBABILITY_ONE);
      return {classId, label: labels[classId], x0, y0, x1, y1, score};
    });
  }

  /** Best score first, then class id, x0, y0, x1, y1; of equals neither comes first. */
  function comesBefore(one, other) {
    if (one[5] !== other[5]) return one[5] > other[5];
    const at = one.findIndex((part, place) => part !== other[place]);
    return at >= 0 && one[at] < other[at];
  }

  function readValues(output, {element, count, fractionBits}, what) {
    const bits = Number(element.slice(1)), size = count * bits / 8;
    require(14, output.length === size, `${what} has ${output.length} bytes, the task's has ${size}`);
    const view = new DataView(output.buffer, output.byteOffset, output.length);
    const get = {i: "Int", u: "Uint"}[element[0]], read = bits === 64 ? "getBigInt64" : `get${get}${bits}`;
    return Array.from({length: count}, (_, at) => Number(view[read](at * bits / 8, true)) / 2 ** fractionBits);
  }

  // ---------------------------------------------------------------------------------------------- what it says
  function decide(answers, group) {
    const votes = new Map();
    for (const {choices} of answers) votes.set(choices[0].classId, (votes.get(choices[0].classId) ?? 0) + 1);
    const twiceMedian = (id) => {
      const units = answers.map(({choices}) => choices.find(({classId}) => classId === id)?.units ?? 0);
      units.sort((a, b) => a - b);
      return units[Math.floor((units.length - 1) / 2)] + units[Math.floor(units.length / 2)];
    };
    const ranked = [...votes.keys()].sort((a, b) => (
      votes.get(b) - votes.get(a) || twiceMedian(b) - twiceMedian(a) || a - b
    ));
    const margin = (votes.get(ranked[0]) ?? 0) - (votes.get(ranked[1]) ?? 0) - (group.n - answers.length);
    const assurance = margin > 2 * group.f ? "robust" : margin > group.f ? "honest-plurality" : "none";
    const shown = ranked[0] ?? null, shownLabel = shown === null ? null : group.task.labels[shown];
    const decided = margin > 0;
    return {classId: decided ? shown : null, label: decided ? shownLabel : null, shown, shownLabel, margin, assurance};
  }

  function isoTime(microseconds) {
    const milliseconds = Number(microseconds / 1000n);
    return milliseconds <= 8.64e15 ? new Date(milliseconds).toISOString() : null;
  }

  function facts(certificate, group, answers, inputCompared) {
    const {headers, base} = certificate, block = headers[headers.length - 1];
    const shown = answers.map(({owner, version, model, ...said}) => {
      const {name, model: first, model_name: label} = group.owner(owner);
      return {owner, name, version, model, modelName: model === first ? label : null, ...said};
    });
    const {name, kind, shape = null, labels, unit = ""} = group.task;
    const missing = group.owners.filter(({id}) => !answers.some(({owner}) => owner === id)).map(({name}) => name);
    return {
      verdict: "valid", valid: true, step: null, stepName: null, reason: null,
      kind: base.kind === EXPIRED ? "expired" : "agreed",
      group: {
        id: hex(group.id), name: group.name, n: group.n, f: group.f, answers: group.answers, quorum: group.quorum,
      },
      task: {name, kind, shape, labels, unit},
      epoch: certificate.epoch, request: hex(base.request), client: hex(base.client),
      inputDigest: hex(certificate.inputDigest), inputCompared,
      height: String(block.height), view: String(block.view), time: isoTime(block.time), timeUs: String(block.time),
      deadlineUs: String(certificate.deadline), links: headers.length - 1,
      signers: certificate.signatures.map(([owner]) => owner), answers: shown, missing,
      decision: kind === KINDS[0] ? decide(answers, group) : null,
    };
  }

  async function verify(certificateBytes, genesisFile, {input = null, successions = null} = {}) {
    if (!globalThis.crypto?.subtle) {
      throw new Error("WebCrypto is missing here: open the page from disk, over https or from this machine");
    }
    try {
      const known = await lineage(readGenesis(genesisFile), successions);
      const size = (input?.data ?? input)?.length ?? 0;
      readable(size <= INPUT_BYTES_MAX, `an input has at most ${INPUT_BYTES_MAX} bytes`);
      const certificate = readCertificate(certificateBytes);
      checkForm(certificate);
      const group = groupOf(certificate, known);
      await checkFinal(certificate, group);
      checkBlocks(certificate, group);
      checkRequest(certificate, input);
      const answers = checkOpenings(certificate, group);
      return facts(certificate, group, answers, input !== null);
    } catch (wrong) {
      if (wrong instanceof Invalid) {
        const {step, message: reason} = wrong;
        return {verdict: "invalid", valid: false, step, stepName: STEPS[step - 1], reason};
      }
      if (wrong instanceof Unreadable) {
        return {verdict: "unreadable", valid: false, step: null, stepName: null, reason: wrong.message};
      }
      throw wrong;
    }
  }

  return Object.freeze({verify, digest, STEPS});
})();
