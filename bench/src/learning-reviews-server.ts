/** The whole product on an empty data folder, with the workflow whose tasks are all routed. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, loadConfig, systemClock } from '../../src/base/base.ts';
import { createClient, type Client } from '../../src/client/client.ts';
import { sql, type Database } from '../../src/database/database.ts';
import type { LoggedExecution } from '../../src/learning/learning.ts';
import { startServer, type RunningServer } from '../../src/server.ts';
import { root } from './jobs-server.ts';

export interface ReviewServer {
  readonly client: Client;
  readonly database: Database;
  /** A folder that goes with the server. */
  readonly folder: string;
  readonly coordination: RunningServer['coordination'];
}

/** An attempt with what was expected of it before. */
export interface Attempt extends LoggedExecution {
  readonly runId: string;
  readonly task: string;
  readonly startedAtMs: number;
  readonly ms: number;
  /** Not so for a failure that says nothing of the agent: left out of what is said of success. */
  readonly counts: boolean;
  readonly errorCode: string | undefined;
}

export async function withReviewServer<T>(work: (server: ReviewServer) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'centuria-reviews-'));
  const home = join(folder, 'home');
  const own = join(root, 'bench/reviews');
  const flags = {
    home,
    bridgePort: 0,
    learningPort: 0,
    agentFolders: [join(own, 'agents')],
    workflowFolders: [join(own, 'workflows')],
  };
  try {
    const server = await startServer(loadConfig({ flags, env: {}, cwd: root }), {
      clock: systemClock,
      log: createLog({ level: 'error' }),
      root,
      version: '0.0.0-bench',
      cwd: root,
    });
    try {
      const token = readFileSync(join(home, 'token'), 'utf8').trim();
      const client = createClient({ baseUrl: server.bridgeUrl ?? '', token });
      const { coordination, database } = server;
      return await work({ client, database, folder, coordination });
    } finally {
      await server.stop({ force: true });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface AttemptRow {
  readonly attempt_id: string;
  readonly run_id: string;
  readonly task: string;
  readonly task_type: string;
  readonly task_hash: string;
  readonly agent: string;
  readonly result: string;
  readonly own_fault: boolean | null;
  readonly error_code: string | null;
  readonly ms: number;
  readonly started_at_ms: number;
  readonly ended_at_ms: number;
  readonly propensity: number;
  readonly candidates: readonly string[];
  readonly predicted_success: number | null;
  readonly predicted_ms: number | null;
  readonly predicted_ms_low: number | null;
  readonly predicted_ms_high: number | null;
}

/** All routed attempts that were not cancelled, by their end. */
export async function readAttempts(database: Database): Promise<Attempt[]> {
  const rows = await database.query(
    sql<AttemptRow>`select attempt_id, run_id, task, task_type, encode(task_hash, 'hex') as task_hash,
        agent, result, own_fault, error_code,
        coalesce(wall_ms, extract(epoch from ended_at - started_at) * 1000)::float8 as ms,
        (extract(epoch from started_at) * 1000)::float8 as started_at_ms,
        (extract(epoch from ended_at) * 1000)::float8 as ended_at_ms,
        propensity, candidates, predicted_success, predicted_ms, predicted_ms_low, predicted_ms_high
      from agent_task_executions
      where propensity is not null and result <> 'cancelled' and run_id is not null
      order by ended_at, attempt_id`,
  );
  return rows.map(attemptOf);
}

function attemptOf(row: AttemptRow): Attempt {
  const succeeded = row.result === 'succeeded';
  const { predicted_ms_low: low, predicted_ms_high: high } = row;
  return {
    attemptId: row.attempt_id,
    runId: row.run_id,
    task: row.task,
    taskHash: row.task_hash,
    type: row.task_type,
    agent: row.agent,
    succeeded,
    counts: succeeded || row.own_fault === true,
    errorCode: row.error_code ?? undefined,
    ms: row.ms,
    startedAtMs: row.started_at_ms,
    endedAtMs: row.ended_at_ms,
    propensity: row.propensity,
    candidates: row.candidates,
    ...(row.predicted_success === null ? {} : { predictedSuccess: row.predicted_success }),
    ...(row.predicted_ms === null ? {} : { predictedMs: row.predicted_ms }),
    ...(low === null || high === null ? {} : { predictedMsInterval: { low, high } }),
  };
}
