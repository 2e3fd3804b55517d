/** Runs as they are in the database. */
import { AppError, isId, type Clock } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { WorkflowDefinition } from './definition.ts';
import { projectRun } from './projection.ts';
import * as queries from './queries.ts';
import type { RunRow } from './queries.ts';
import type { RunState } from './state.ts';
import type { RunDetail } from './types.ts';
import { detailView, eventViews } from './views.ts';

const cachedDefinitions = 1_000;
/** A definition that runs are started of is noted as used so often. */
const keepEveryMs = 30 * 60_000;

export interface LoadedRun {
  readonly row: RunRow;
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
}

/** Reads runs, and the definitions that they are pinned to. */
export class RunReads {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #definitions = new Map<string, WorkflowDefinition>();
  /** When each was last stored, or noted as used: what nobody uses for long is forgotten. */
  readonly #keptAtMs = new Map<string, number>();

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Throws `run_not_found`. */
  async row(runId: string): Promise<RunRow> {
    const [row] = await this.#database.query(queries.runOfId(checkedId(runId)));
    if (row !== undefined) return row;
    throw notFound(runId);
  }

  async load(runId: string): Promise<LoadedRun> {
    return this.#project(await this.row(runId));
  }

  async detail(row: RunRow): Promise<RunDetail> {
    const { definition, state } = await this.#project(row);
    return detailView(row, definition, state);
  }

  /** What runs are pinned to has to be there before they are. */
  async keep(hash: string, definition: WorkflowDefinition): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#keptAtMs.get(hash) ?? -Infinity) < keepEveryMs) return;
    await this.#database.query(queries.storeDefinition(hash, definition.name, definition));
    this.#remember(hash, definition);
    this.#keptAtMs.set(hash, nowMs);
  }

  async #project(row: RunRow): Promise<LoadedRun> {
    const definition = await this.#definitionOf(row);
    const rows = await this.#database.query(queries.eventsOfRuns([row.run_id]));
    return { row, definition, state: projectRun(definition, eventViews(rows)) };
  }

  async #definitionOf(row: RunRow): Promise<WorkflowDefinition> {
    const known = this.#definitions.get(row.definition_hash);
    if (known !== undefined) return known;
    const [found] = await this.#database.query(queries.definitionOfHash(row.definition_hash));
    if (found === undefined) {
      throw new AppError('run_corrupt', `the definition of run ${row.run_id} is gone`, {
        remedy: 'Its events can still be read: `centuria run events`.',
      });
    }
    const definition = found.definition as WorkflowDefinition;
    this.#remember(row.definition_hash, definition);
    return definition;
  }

  #remember(hash: string, definition: WorkflowDefinition): void {
    if (this.#definitions.size >= cachedDefinitions) {
      this.#definitions.clear();
      this.#keptAtMs.clear();
    }
    this.#definitions.set(hash, definition);
  }
}

/** An id that is none can not name a run; the database must not have to say so. */
export function checkedId(runId: string): string {
  if (isId(runId)) return runId;
  throw notFound(runId);
}

function notFound(runId: string): AppError {
  return new AppError('run_not_found', `there is no run ${runId}`, {
    remedy: '`centuria run list` shows what there is.',
  });
}
