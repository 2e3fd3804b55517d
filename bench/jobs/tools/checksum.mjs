// `checksum.mjs NAME FILE CALL FAILING`: the SHA-256 of a file. Of a hundred calls FAILING end with an injected
// failure, drawn from the agent's name and the call's number, so that each repeat fails in the same calls.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [name, file, call, failing] = process.argv.slice(2);
const drawn = createHash('sha256').update(`${name} ${call}`).digest().readUInt32BE(0) % 100;
if (drawn < Number(failing)) {
  process.stderr.write(`injected failure: ${failing} of 100 calls of ${name} end like this\n`);
  process.exit(1);
}
const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
process.stdout.write(JSON.stringify({ sha256 }));
