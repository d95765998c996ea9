// Gives each case of a JSON file to the JavaScript verifier: node node_verifier.js VERIFY.JS CASES.JSON
"use strict";
const fs = require("node:fs");
const [script, cases] = process.argv.slice(2);
globalThis.crypto ??= require("node:crypto").webcrypto;
require(script);

const bytes = (text) => (text === null ? null : Uint8Array.from(Buffer.from(text, "base64")));

async function main() {
  const said = [];
  for (const {certificate, genesis, input, successions} of JSON.parse(fs.readFileSync(cases, "utf8"))) {
    const given = {input: bytes(input), successions: bytes(successions)};
    said.push(await globalThis.DropbeardVerifier.verify(bytes(certificate), bytes(genesis), given));
  }
  process.stdout.write(JSON.stringify(said));
}

main();
