/**
 * `npm run conformance -- [--suite FOLDER] [--revision DATE] [-o jsonl]`: the official suite against a
 * bridge that offers what the suite's example server does, beside its own. `--suite` takes another
 * release of the suite than the installed one; `--revision` what it requires for a revision of MCP.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { openTestBridge, testToken } from '../support/bridge.ts';
import { conformanceOffer } from './offer.ts';
import { writeTaskWorkflows } from './task-tools.ts';
import { installedSuite, runSuite, startRelay, type Scenario } from './suite.ts';

/** What the installed release tests: it has no scenarios of a later one. */
const usualRevision = '2025-11-25';

const { values } = parseArgs({
  options: {
    suite: { type: 'string' },
    revision: { type: 'string' },
    output: { type: 'string', short: 'o', default: 'table' },
  },
});
if (!['table', 'jsonl'].includes(values.output)) {
  process.stderr.write('-o takes table or jsonl\n');
  process.exit(2);
}

interface Line {
  readonly scenario: string;
  readonly result:
    | 'passed'
    | 'failed'
    | 'not applicable'
    | 'passes, though listed'
    | 'not run, though listed';
  readonly detail: string;
}

const revision = values.revision ?? usualRevision;
const listed = parse(
  await readFile(join(import.meta.dirname, 'not-applicable.yaml'), 'utf8'),
) as Readonly<Record<string, Readonly<Record<string, string>>>>;
const reasons = listed[revision] ?? {};

function lineOf({ name, passed, problems }: Scenario): Line {
  const reason = reasons[name];
  if (problems.length === 0) {
    return reason === undefined
      ? { scenario: name, result: 'passed', detail: `${passed} checks` }
      : { scenario: name, result: 'passes, though listed', detail: reason };
  }
  return reason === undefined
    ? { scenario: name, result: 'failed', detail: problems.join('; ') }
    : {
        scenario: name,
        result: 'not applicable',
        detail: passed === 0 ? reason : `${reason} (${passed} checks pass)`,
      };
}

/** A reason for a scenario that there is not: one that has another name by now, or none at all. */
function notRun(scenarios: readonly Scenario[]): readonly Line[] {
  const names = new Set(scenarios.map(({ name }) => name));
  return Object.entries(reasons)
    .filter(([name]) => !names.has(name))
    .map(([scenario, detail]) => ({ scenario, result: 'not run, though listed', detail }));
}

async function runAgainstBridge(): Promise<readonly Scenario[]> {
  const bridge = await openTestBridge({ driver: 'embedded', offerOf: conformanceOffer });
  await writeTaskWorkflows(bridge.home);
  const relay = await startRelay(bridge.url, testToken);
  try {
    const which = values.revision === undefined ? ['--suite', 'all'] : ['--requirements', revision];
    return await runSuite(values.suite ?? installedSuite(), relay.url, which);
  } finally {
    relay.close();
    await bridge.end();
  }
}

const scenarios = await runAgainstBridge().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  return process.exit(1);
});
const lines = [...scenarios.map(lineOf), ...notRun(scenarios)].toSorted((one, other) =>
  one.scenario.localeCompare(other.scenario),
);
for (const line of lines) {
  process.stdout.write(
    values.output === 'jsonl'
      ? `${JSON.stringify(line)}\n`
      : `${line.scenario.padEnd(46)} ${line.result.padEnd(22)} ${line.detail}\n`,
  );
}
const count = (result: Line['result']): number =>
  lines.filter((line) => line.result === result).length;
const [passed, apart] = [count('passed'), count('not applicable')];
process.stderr.write(
  `${revision}: ${passed} passed, ${lines.length - passed - apart} failed, ${apart} not applicable\n`,
);
process.exitCode = passed + apart === lines.length ? 0 : 1;
