/** The short form of `npm run chaos -- coordination`, on our engines. */
import { beforeAll, describe, expect, test } from 'vitest';
import { postgresUnavailable } from '../support/postgres.ts';
import { ourEngines, runSuite, scenarios, type Cell } from './conformance/conformance.ts';

/** What is not kept yet, and why; whoever keeps it takes it out of here. */
const notKept: ReadonlyMap<string, string> = new Map([
  ['late-renewal', 'a worker that takes its own run again still writes under the older lease'],
  ['server-restarts', 'as above, when the server was away for longer than a lease'],
  ['moved-clock', 'time limits and retries of a run go by the wall clock of its worker'],
  ['rolling-upgrade', 'a claim does not look at the format of a run'],
]);

const kept = scenarios.filter(({ name }) => !notKept.has(name));

describe('the durable log, tried by the conformance suite', () => {
  let cells: Cell[];

  beforeAll(async () => {
    const engines = ourEngines.filter(
      ({ processes }) => processes === 'one' || postgresUnavailable === undefined,
    );
    cells = await runSuite({ engines, scenarios: kept, extent: 'short', seed: 20_261_121, say });
  }, 600_000);

  test.for(scenarios.map(({ name, title }) => ({ name, title })))(
    '$title',
    ({ name }, { skip }) => {
      skip(notKept.has(name), notKept.get(name));
      const own = cells.filter(({ scenario }) => scenario === name);
      expect(own.length).toBeGreaterThan(0);
      for (const { engine, verdict, finding } of own) {
        expect({ engine, verdict, violations: finding?.violations ?? [] }).toEqual({
          engine,
          verdict: finding === undefined ? 'not applicable' : 'pass',
          violations: [],
        });
      }
    },
  );
});

/** Progress is for people who watch. */
function say(): void {
  // A test has its result to say all.
}
