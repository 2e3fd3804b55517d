/** Centuria's log as a user of the suite's engine sees it: runs started and looked at through the public doors. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentRegistry } from '../../src/agents/agents.ts';
import { AppError, createLog, systemClock } from '../../src/base/base.ts';
import {
  openCoordination,
  type CoordinationPart,
  type RunDetail,
  type RunEvent,
} from '../../src/coordination/coordination.ts';
import { migrate, openDatabase, sql, type Database } from '../../src/database/database.ts';
import { stepNames } from './effects.ts';
import { inProcessAgents, type AgentFunction } from './in-process-agents.ts';
import type { RunRequest, RunView } from '../chaos/conformance/engine.ts';

const migrations = join(import.meta.dirname, '../../migrations');
const log = createLog({ level: process.env['CONFORMANCE_LOG'] === 'warn' ? 'warn' : 'silent' });

export interface OpenedStore {
  readonly database: Database;
  readonly part: CoordinationPart;
  start(request: RunRequest): Promise<string>;
  countOpen(): Promise<number>;
  look(runId: string): Promise<RunView>;
}

export interface StoreOptions {
  readonly url: string;
  readonly folder: string;
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly step: AgentFunction;
  /** Brings the schema up to date first. */
  readonly migrates: boolean;
  /** Stands between the database and all who use it. */
  readonly wrap?: (database: Database) => Database;
}

/** Opens the database, and coordination on it; drives nothing. */
export async function openStore(options: StoreOptions): Promise<OpenedStore> {
  const {
    url,
    folder,
    concurrency,
    leaseMs,
    step,
    wrap = (database: Database) => database,
  } = options;
  const opened = await openDatabase({ url, home: folder, poolSize: 4, log, clock: systemClock });
  if (options.migrates) {
    await migrate(opened, { folder: migrations, log, clock: systemClock });
  }
  const database = wrap(opened);
  const registry: AgentRegistry = inProcessAgents({ step });
  const workflows = join(folder, 'workflows');
  await mkdir(workflows, { recursive: true });
  const part = await openCoordination({
    database,
    registry,
    workflowFolders: [workflows],
    home: folder,
    cwd: folder,
    clock: systemClock,
    log,
    leaseMs,
    concurrency,
  });
  return {
    database,
    part,
    async start(request) {
      const { key, steps, ms = 0, faultPercent = 0, version = 1 } = request;
      await writeWorkflow(workflows, steps, version);
      const input = { key, ms, faultPercent };
      const started = await part.runs.start({
        workflow: `chain-${steps}`,
        input,
        idempotencyKey: key,
      });
      return started.id;
    },
    async countOpen() {
      // Past what stands between, so that looking is not counted.
      const [row] = await opened.query(
        sql<{ open: number }>`select count(*)::integer as open from runs where finished_at is null`,
      );
      return row?.open ?? 0;
    },
    look: (runId) => look(part, runId),
  };
}

/** The workflow of so many steps in a row; a file is written once and a version at a time. */
async function writeWorkflow(folder: string, steps: number, version: 1 | 2): Promise<void> {
  const names = stepNames(steps + (version === 2 ? 1 : 0));
  const tasks = names.map((step, index) => {
    const before = names[index - 1];
    const previous = before === undefined ? 'inputs.key' : `tasks.${before}.output`;
    return `  ${step}: { agent: step, input: { step: ${step}, previous: "\${${previous}}", ms: "\${inputs.ms}", faultPercent: "\${inputs.faultPercent}" } }`;
  });
  const text = `name: chain-${steps}
description: Version ${version} of ${steps} steps in a row
mode: sequential
inputs: { key: { default: x }, ms: { type: integer, default: 0 }, faultPercent: { type: integer, default: 0 } }
tasks:
${tasks.join('\n')}
output: "\${tasks.${names.at(-1) ?? ''}.output}"
`;
  const path = join(folder, `chain-${steps}.yaml`);
  if (written.get(path) === text) return;
  // Whoever reads it meanwhile sees one version or the other, never half of one.
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
  written.set(path, text);
}

const written = new Map<string, string>();

async function look(part: CoordinationPart, runId: string): Promise<RunView> {
  const events: RunEvent[] = [];
  for (;;) {
    const page = await part.runs.events(runId, events.at(-1)?.seq ?? 0, 1_000);
    events.push(...page);
    if (page.length < 1_000) break;
  }
  let detail: RunDetail;
  try {
    detail = await part.runs.get(runId);
  } catch (error) {
    // A log that contradicts itself can be read event by event only.
    return { status: 'failed', error: String(error), gaps: [String(error), told(events)] };
  }
  const ended = ['completed', 'failed', 'cancelled'].includes(detail.status);
  const gaps = gapsOf(events, ended);
  return {
    status: !ended ? 'open' : detail.status === 'completed' ? 'completed' : 'failed',
    output: detail.output,
    ...(detail.error === undefined
      ? {}
      : { error: `${detail.error.code}: ${detail.error.message}` }),
    gaps: gaps.length === 0 ? gaps : [...gaps, told(events)],
    takeovers: events.filter(({ body }) => body.type === 'run.claimed' && body.takeover).length,
  };
}

/** A log in a line, for who has to find out. */
function told(events: readonly RunEvent[]): string {
  const each = events.map(
    ({ seq, epoch, body }) =>
      `${seq}/${epoch} ${body.type}${'task' in body ? ` ${body.task}` : ''}`,
  );
  return `its events (number/epoch): ${each.join(', ')}`;
}

const ends: ReadonlySet<string> = new Set(['run.completed', 'run.failed', 'run.cancelled']);

/** What a log must never show: a missing number, an epoch that goes back, a finished task begun again. */
export function gapsOf(events: readonly RunEvent[], ended: boolean): string[] {
  const gaps: string[] = [];
  const finished = new Set<string>();
  const started = new Set<string>();
  let epoch = 0;
  for (const [index, { seq, epoch: own, body }] of events.entries()) {
    if (seq !== index + 1) gaps.push(`event ${index + 1} has the number ${seq}`);
    if (own < epoch) gaps.push(`event ${seq} has epoch ${own} after ${epoch}`);
    if (own > epoch && own > 0 && body.type !== 'run.claimed') {
      gaps.push(`event ${seq} begins epoch ${own} with ${body.type}`);
    }
    epoch = Math.max(epoch, own);
    if (body.type === 'attempt.started') {
      if (finished.has(body.task)) gaps.push(`${body.task} is begun again in event ${seq}`);
      if (started.has(body.task)) gaps.push(`${body.task} is begun twice in event ${seq}`);
      started.add(body.task);
    } else if (body.type === 'attempt.succeeded') {
      if (!started.has(body.task)) gaps.push(`${body.task} ends unbegun in event ${seq}`);
      finished.add(body.task);
      started.delete(body.task);
    } else if (body.type === 'attempt.failed' || body.type === 'attempt.abandoned') {
      started.delete(body.task);
    }
    if (ends.has(body.type) && index !== events.length - 1) {
      gaps.push(`event ${seq} is an end, and ${events.length - seq} events follow`);
    }
  }
  const last = events.at(-1)?.body.type ?? 'nothing';
  if (ended && !ends.has(last)) gaps.push(`it has ended and its last event is ${last}`);
  return gaps;
}

/** An engine's way to say that a fault passes, in the words of ours. */
export function asAgentFailure(error: unknown): AppError {
  const message = error instanceof Error ? error.message : String(error);
  return new AppError('agent_failed', message, { retryable: true });
}
