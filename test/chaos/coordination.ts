/** `npm run chaos -- coordination`: the conformance table of the engines. */
import {
  ourEngines,
  runSuite,
  scenarios,
  showTable,
  type Cell,
} from './conformance/conformance.ts';
import { dbos } from '../../bench/src/dbos-adapter/engine.ts';
import type { Engine } from './conformance/engine.ts';

export interface CoordinationOptions {
  /** Names; none: all. */
  readonly engines: readonly string[];
  readonly scenarios: readonly string[];
  readonly short: boolean;
  readonly rounds: number | undefined;
  readonly seed: number;
  readonly jsonl: boolean;
}

const engines: readonly Engine[] = [...ourEngines, dbos];

/** Prints the table, or a line a cell; `met` is false when an engine of ours broke a promise. */
export async function runCoordination(
  options: CoordinationOptions,
): Promise<{ readonly met: boolean; readonly problem?: string }> {
  const chosen = choose(engines, options.engines);
  if (typeof chosen === 'string') return { met: false, problem: `unknown engine ${chosen}` };
  const rows = choose(scenarios, options.scenarios);
  if (typeof rows === 'string') return { met: false, problem: `unknown scenario ${rows}` };
  const { rounds, seed, jsonl } = options;
  const cells = await runSuite({
    engines: chosen,
    scenarios: rows,
    extent: options.short ? 'short' : 'full',
    ...(rounds === undefined ? {} : { rounds }),
    seed,
    say: (line) => process.stderr.write(`${line}\n`),
    onCell(cell) {
      if (jsonl) process.stdout.write(`${JSON.stringify(figureOf(cell, seed))}\n`);
      else process.stderr.write(`${cell.engine}, ${cell.scenario}: ${cell.verdict}\n`);
    },
  });
  if (!jsonl) process.stdout.write(`${showTable(cells, chosen)}\n`);
  return { met: cells.every((cell) => cell.engine === 'dbos' || cell.verdict !== 'fail') };
}

/** Those of the names, all without any; or the list of what there is, after a name that is not. */
function choose<Named extends { readonly name: string }>(
  all: readonly Named[],
  names: readonly string[],
): readonly Named[] | string {
  const unknown = names.find((name) => !all.some((each) => each.name === name));
  if (unknown !== undefined) {
    return `${unknown}; there are: ${all.map(({ name }) => name).join(', ')}`;
  }
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
}

function figureOf({ scenario, engine, verdict, reason, finding }: Cell, seed: number): object {
  const met = verdict === 'pass' ? true : verdict === 'fail' ? false : null;
  return { chaos: 'coordination', scenario, engine, seed, verdict, reason, met, ...finding };
}
