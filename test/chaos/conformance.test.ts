/** The short form of `npm run chaos -- coordination`, on our engines. */
import { beforeAll, describe, expect, test } from 'vitest';
import { postgresUnavailable } from '../support/postgres.ts';
import { ourEngines, runSuite, scenarios, type Cell } from './conformance/conformance.ts';

/** What is not kept yet, and why; whoever keeps it takes it out of here. */

describe('the durable log, tried by the conformance suite', () => {
  let cells: Cell[];

  beforeAll(async () => {
    const engines = ourEngines.filter(
      ({ processes }) => processes === 'one' || postgresUnavailable === undefined,
    );
    const suite = { extent: 'short', seed: 20_261_121, say } as const;
    const server = engines.find(({ processes }) => processes !== 'one');
    if (server === undefined) {
      cells = await runSuite({ ...suite, engines, scenarios });
      return;
    }
    // The embedded database has no connections to cut: half of a minute of waiting for what the server has
    // shown is left to the whole suite, `npm run chaos -- coordination`.
    const embedded = engines.filter((engine) => engine !== server);
    const kills = scenarios.filter(({ name }) => name === 'kill-points');
    cells = [
      ...(await runSuite({ ...suite, engines: [server], scenarios })),
      ...(await runSuite({ ...suite, engines: embedded, scenarios: kills })),
    ];
  }, 600_000);

  test.for(scenarios.map(({ name, title }) => ({ name, title })))('$title', ({ name }) => {
    const own = cells.filter(({ scenario }) => scenario === name);
    expect(own.length).toBeGreaterThan(0);
    for (const { engine, verdict, finding } of own) {
      expect({ engine, verdict, violations: finding?.violations ?? [] }).toEqual({
        engine,
        verdict: finding === undefined ? 'not applicable' : 'pass',
        violations: [],
      });
    }
  });
});

/** Progress is for people who watch. */
function say(): void {
  // A test has its result to say all.
}
