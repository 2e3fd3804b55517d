/** Runs as they are in the database. */
import { AppError, isId } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { WorkflowDefinition } from './definition.ts';
import type { Definitions } from './definitions.ts';
import { projectRun } from './projection.ts';
import * as queries from './queries.ts';
import type { RunRow } from './queries.ts';
import { runEnded, type RunState } from './state.ts';
import type { RunDetail } from './types.ts';
import { detailView, eventViews } from './views.ts';

export interface LoadedRun {
  readonly row: RunRow;
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
}

/** It takes a run that ends and is opened again at each look; and a row that a hand has changed never fits. */
const mostLooks = 3;

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
    let read = await this.#project(row);
    // Row and events are two looks: a run that ended between them would be shown as one that goes on,
    // and yet with all of its events, so that whoever follows it from there waits for an end in vain.
    for (let left = mostLooks; left > 0 && isTorn(read); left -= 1) {
      read = await this.load(row.run_id);
    }
    return detailView(read.row, read.definition, read.state);
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

function isTorn({ row, state }: LoadedRun): boolean {
  return runEnded(row.status) !== runEnded(state.status);
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
