/**
 * `npm run chaos -- [SCENARIO] [--rounds N] [--seed N] [-o jsonl]`: proofs by destruction, against
 * servers that this program starts on loopback and stops again. `coordination` takes `--engine NAME`
 * (several times) and `--scenario NAME` (several times) as well, and `--short`.
 */
import { parseArgs } from 'node:util';
import { runCoordination } from './coordination.ts';
import { extensionRounds } from './extensions.ts';
import { killRounds } from './kill-9.ts';

export interface ChaosResult {
  readonly chaos: string;
  readonly rounds: number;
  readonly met: boolean;
  readonly [figure: string]: unknown;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    output: { type: 'string', short: 'o', default: 'table' },
    engine: { type: 'string', multiple: true, default: [] },
    scenario: { type: 'string', multiple: true, default: [] },
    short: { type: 'boolean', default: false },
  },
});

function usage(text: string): never {
  process.stderr.write(`${text}\n`);
  return process.exit(2);
}

if (values.rounds !== undefined && !/^[1-9]\d{0,5}$/.test(values.rounds)) {
  usage('--rounds takes a whole number from 1');
}
if (!['table', 'jsonl'].includes(values.output)) usage('-o takes table or jsonl');
const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
const seed = Number(values.seed);

async function kill9(): Promise<boolean> {
  const result: ChaosResult = await killRounds({
    rounds: rounds ?? 10,
    seed,
    say: (line) => process.stderr.write(`kill-9: ${line}\n`),
  });
  print(result);
  return result.met;
}

async function ext(): Promise<boolean> {
  const results = await extensionRounds({
    rounds: rounds ?? 20,
    seed,
    say: (line) => process.stderr.write(`${line}\n`),
  });
  for (const result of results) print(result);
  return results.every(({ met: one }) => one);
}

function print(result: ChaosResult): void {
  process.stdout.write(
    values.output === 'jsonl'
      ? `${JSON.stringify(result)}\n`
      : `${Object.entries(result)
          .map(([key, value]) => `${key.padEnd(24)} ${String(value)}`)
          .join('\n')}\n`,
  );
}

async function coordination(): Promise<boolean> {
  const { met, problem } = await runCoordination({
    engines: values.engine,
    scenarios: values.scenario,
    short: values.short,
    rounds,
    seed,
    jsonl: values.output === 'jsonl',
  });
  if (problem !== undefined) usage(problem);
  return met;
}

const programs = { 'kill-9': kill9, ext, coordination } as const;
const names = positionals.length === 0 ? Object.keys(programs) : positionals;
const unknown = names.filter((name) => !(name in programs));
if (unknown.length > 0) {
  usage(`unknown scenario ${unknown.join(', ')}; there are: ${Object.keys(programs).join(', ')}`);
}
let met = true;
for (const name of names) met = (await programs[name as keyof typeof programs]()) && met;
process.exitCode = met ? 0 : 1;
