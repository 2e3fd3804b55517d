/**
 * `npm run fuzz -- [--rounds N] [PATH …]`: all property tests, or those in files of these paths, with a
 * new seed each round. A round that fails prints its seed; exit 1 when any did.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { glob, readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const rounds = values.seed === undefined ? Number.parseInt(values.rounds, 10) : 1;
if (!(rounds >= 1 && rounds <= 1_000)) throw new RangeError('--rounds: 1 to 1000');

const files: string[] = [];
for await (const file of glob('{src,test}/**/*.test.ts')) {
  const isAsked = positionals.length === 0 || positionals.some((path) => file.startsWith(path));
  if (isAsked && (await readFile(file, 'utf8')).includes("'fast-check'")) files.push(file);
}
if (files.length === 0) throw new RangeError('no property tests there');

const failed: string[] = [];
for (let round = 1; round <= rounds; round += 1) {
  const seed = values.seed ?? String(randomInt(2 ** 31));
  console.log(`round ${round} of ${rounds}: ${files.length} files, seed ${seed}`);
  const child = spawn('npx', ['vitest', 'run', '--reporter', 'dot', ...files], {
    stdio: 'inherit',
    env: { ...process.env, FAST_CHECK_SEED: seed },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) failed.push(seed);
}
console.log(`${rounds - failed.length} of ${rounds} rounds passed`);
for (const seed of failed) console.log(`failed: npm run fuzz -- --seed ${seed}`);
process.exitCode = failed.length === 0 ? 0 : 1;
