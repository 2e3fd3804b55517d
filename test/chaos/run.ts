/**
 * `npm run chaos -- [SCENARIO] [--rounds N] [--seed N] [-o jsonl]`: proofs by destruction, against
 * servers that this program starts on loopback and stops again.
 */
import { parseArgs } from 'node:util';
import { killRounds } from './kill-9.ts';

const scenarios = { 'kill-9': killRounds } as const;

export interface ChaosResult {
  readonly chaos: string;
  readonly rounds: number;
  readonly met: boolean;
  readonly [figure: string]: unknown;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    output: { type: 'string', short: 'o', default: 'table' },
  },
});

const names = positionals.length === 0 ? Object.keys(scenarios) : positionals;
const unknown = names.filter((name) => !(name in scenarios));
if (unknown.length > 0) {
  process.stderr.write(
    `unknown scenario ${unknown.join(', ')}; there are: ${Object.keys(scenarios).join(', ')}\n`,
  );
  process.exit(2);
}

let met = true;
for (const name of names) {
  const scenario = scenarios[name as keyof typeof scenarios];
  const result: ChaosResult = await scenario({
    rounds: Number(values.rounds),
    seed: Number(values.seed),
    say: (line) => process.stderr.write(`${name}: ${line}\n`),
  });
  met &&= result.met;
  process.stdout.write(
    values.output === 'jsonl'
      ? `${JSON.stringify(result)}\n`
      : `${Object.entries(result)
          .map(([key, value]) => `${key.padEnd(24)} ${String(value)}`)
          .join('\n')}\n`,
  );
}
process.exitCode = met ? 0 : 1;
