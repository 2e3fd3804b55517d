/** The conformance suite for durable engines: each scenario against each engine, one cell of a table each. */
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { AppError, createLog } from '../../../src/base/base.ts';
import {
  cacheFolder,
  installPostgres,
  startPostgres,
  type LocalPostgres,
  type PostgresInstall,
} from '../../../src/database/database.ts';
import { testFolder } from '../../support/processes.ts';
import { serverSettings, type Engine, type EngineName } from './engine.ts';
import { passingFaults } from './faults.ts';
import { frozenWorker, lateRenewal } from './frozen.ts';
import { killPoints } from './kill-points.ts';
import { lostCommit } from './lost-commit.ts';
import { movedClock } from './moved-clock.ts';
import { oursEmbedded, oursOnServer } from './ours.ts';
import { serverRestarts } from './restarts.ts';
import type { Extent, Finding, Scenario, Trial } from './scenario.ts';
import { rollingUpgrade } from './upgrade.ts';
import { randomFrom } from '../../support/random.ts';

export const scenarios: readonly Scenario[] = [
  killPoints,
  frozenWorker,
  lateRenewal,
  serverRestarts,
  lostCommit,
  movedClock,
  rollingUpgrade,
  passingFaults,
];

export const ourEngines: readonly Engine[] = [oursOnServer, oursEmbedded];

export interface Cell {
  readonly scenario: string;
  readonly engine: EngineName;
  readonly verdict: 'pass' | 'fail' | 'not applicable' | 'unavailable';
  /** Why it does not apply or is not available. */
  readonly reason?: string;
  readonly finding?: Finding;
}

export interface SuiteOptions {
  readonly engines: readonly Engine[];
  readonly scenarios: readonly Scenario[];
  readonly extent: Extent;
  readonly rounds?: number;
  readonly seed: number;
  readonly say: (line: string) => void;
  readonly onCell?: (cell: Cell) => void;
}

/** What the table shows: a row a scenario, a column an engine, and below it what the failures are. */
export function showTable(cells: readonly Cell[], engines: readonly Engine[]): string {
  const rows = scenarios
    .filter(({ name }) => cells.some(({ scenario }) => scenario === name))
    .map(({ name, title }) => [
      title,
      ...engines.map((engine) => {
        const cell = cells.find((each) => each.scenario === name && each.engine === engine.name);
        return cell === undefined ? '' : showCell(cell);
      }),
    ]);
  const all = [['', ...engines.map(({ title }) => title)], ...rows];
  const widths = all[0]?.map((_, column) =>
    Math.max(...all.map((row) => row[column]?.length ?? 0)),
  );
  const lines = all.map((row) =>
    row
      .map((text, column) => text.padEnd(widths?.[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const failures = cells.flatMap(({ scenario, engine, finding }) =>
    (finding?.violations ?? [])
      .slice(0, shownViolations)
      .map((violation) => `${engine}, ${scenario}: ${violation}`),
  );
  return [...lines, ...(failures.length === 0 ? [] : ['', ...failures])].join('\n');
}

const shownViolations = 5;

function showCell({ verdict, reason, finding }: Cell): string {
  if (finding === undefined) return `${verdict}: ${reason ?? 'no reason known'}`;
  const { runs, completed, did, violations } = finding;
  const counts = Object.entries(did).map(([what, count]) => `${what} ${count}`);
  const wrong = violations.length === 0 ? [] : [`violations ${violations.length}`];
  return `${verdict}: ${[...wrong, `${completed}/${runs} completed`, ...counts].join(', ')}`;
}

/** Tries every scenario on every engine, one after another, on a PostgreSQL 17 of its own. */
export async function runSuite(options: SuiteOptions): Promise<Cell[]> {
  const folder = await testFolder();
  const needsServer = options.engines.some(({ processes }) => processes === 'many');
  const server = needsServer ? await startServer(folder) : 'no engine of this call needs one';
  const cells: Cell[] = [];
  try {
    for (const scenario of options.scenarios) {
      for (const engine of options.engines) {
        const cell = await tryCell({ options, scenario, engine, folder, server });
        cells.push(cell);
        options.onCell?.(cell);
      }
    }
    return cells;
  } finally {
    if (typeof server !== 'string') await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface CellRequest {
  readonly options: SuiteOptions;
  readonly scenario: Scenario;
  readonly engine: Engine;
  readonly folder: string;
  readonly server: Server | string;
}

async function tryCell({ options, scenario, engine, folder, server }: CellRequest): Promise<Cell> {
  const about = { scenario: scenario.name, engine: engine.name };
  const reason = scenario.notApplicable(engine);
  if (reason !== undefined) return { ...about, verdict: 'not applicable', reason };
  const missing = await engine.unavailable();
  if (missing !== undefined) return { ...about, verdict: 'unavailable', reason: missing };
  if (engine.processes === 'many' && typeof server === 'string') {
    return { ...about, verdict: 'unavailable', reason: server };
  }
  const own = join(folder, `${engine.name}-${scenario.name}`);
  await mkdir(own);
  const database = typeof server === 'string' ? undefined : await server.createDatabase();
  const ground = { folder: own, url: engine.processes === 'many' ? (database?.url ?? '') : '' };
  const store = await engine.open(ground);
  const trial: Trial = {
    engine,
    store,
    folder: own,
    extent: options.extent,
    rounds: options.rounds,
    random: randomFrom(options.seed),
    say: (line) => options.say(`${engine.name}, ${scenario.name}: ${line}`),
    server: {
      port: typeof server === 'string' ? 0 : server.port,
      async openThrough(port) {
        const url = new URL(ground.url);
        url.port = String(port);
        return await engine.open({ folder: own, url: url.href });
      },
      async restart(mode) {
        if (typeof server !== 'string') await server.restart(mode);
      },
    },
  };
  try {
    const finding = await scenario.run(trial).catch(brokenOff);
    return { ...about, verdict: finding.violations.length === 0 ? 'pass' : 'fail', finding };
  } finally {
    await store.close();
    await database?.drop();
  }
}

/** What a scenario could not go on after is a broken promise as well, and no reason to leave out the others. */
function brokenOff(error: unknown): Finding {
  const violations = [`it could not be carried to its end: ${String(error)}`];
  const counts = { runs: 0, completed: 0, failed: 0, repeatedSteps: 0, takeovers: 0 };
  return { ...counts, violations, did: {} };
}

interface Server {
  readonly port: number;
  createDatabase(): Promise<{ readonly url: string; drop(): Promise<void> }>;
  restart(mode: 'fast' | 'immediate'): Promise<void>;
  stop(): Promise<void>;
}

/** A server of the suite's own, or why this machine can not have one. */
async function startServer(folder: string): Promise<Server | string> {
  const log = createLog({ level: 'warn' });
  let install: PostgresInstall;
  try {
    install = await installPostgres({ major: 17, cacheFolder: cacheFolder(process.env), log });
  } catch (error) {
    if (error instanceof AppError) return error.message;
    throw error;
  }
  const start = (port: number): Promise<LocalPostgres> =>
    startPostgres(install, { folder: join(folder, 'pg'), port, settings: serverSettings, log });
  let running = await start(0);
  const { url, port } = running;
  const execute = async (text: string): Promise<void> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  };
  return {
    port,
    async createDatabase() {
      const name = `suite_${randomUUID().replaceAll('-', '')}`;
      await execute(`create database ${name}`);
      const own = new URL(url);
      own.pathname = `/${name}`;
      return { url: own.href, drop: () => execute(`drop database ${name} with (force)`) };
    },
    async restart(mode) {
      await running.stop(mode);
      running = await start(port);
    },
    stop: () => running.stop('fast'),
  };
}
