/** Runs as they are in the database. */
import { AppError, isId } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { WorkflowDefinition } from './definition.ts';
import type { Definitions } from './definitions.ts';
import { projectRun } from './projection.ts';
import * as queries from './queries.ts';
import type { RunRow } from './queries.ts';
import type { RunState } from './state.ts';
import type { RunDetail } from './types.ts';
import { detailView, eventViews } from './views.ts';

export interface LoadedRun {
  readonly row: RunRow;
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
}

/** Reads runs, and the definitions that they are pinned to. */
export class RunReads {
  readonly #database: Database;
  readonly #definitions: Definitions;

  constructor(database: Database, definitions: Definitions) {
    this.#database = database;
    this.#definitions = definitions;
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

  async #project(row: RunRow): Promise<LoadedRun> {
    const definition = await this.#definitions.of(row.definition_hash);
    if (definition === undefined) {
      throw new AppError('run_corrupt', `the definition of run ${row.run_id} is gone`, {
        remedy: 'Its events can still be read: `centuria run events`.',
      });
    }
    const rows = await this.#database.query(queries.eventsOfRuns([row.run_id]));
    return { row, definition, state: projectRun(definition, eventViews(rows)) };
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
