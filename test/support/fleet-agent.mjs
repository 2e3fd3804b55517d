// One program for all agents of the test fleet: the first argument says what it does.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

const [what, folder = '.'] = process.argv.slice(2);
const input = JSON.parse((await text(process.stdin)) || 'null');

/** Waits until the test has made the file that bears the gate's name. */
async function gate() {
  const file = join(folder, `${input.name}.open`);
  while (!existsSync(file)) await delay(20);
  return { released: input.name };
}

/** Fails the first time it sees a name, and succeeds from then on. */
function heal() {
  const file = join(folder, `${input.name}.seen`);
  if (existsSync(file)) return { healed: input.name };
  writeFileSync(file, '');
  return fail('not yet');
}

function talk() {
  for (let line = 1; line <= 20; line += 1) process.stderr.write(`line ${line}\n`);
  return input;
}

function fail(reason) {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

const deeds = { echo: () => input, talk, gate, heal, fail: () => fail('it always fails') };
process.stdout.write(JSON.stringify((await deeds[what]()) ?? null));
