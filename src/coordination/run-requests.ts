/** What is asked of runs: left for the worker that holds each, who turns it into events. */
import { AppError, newId } from '../base/base.ts';
import { answerProblem } from './answers.ts';
import * as requestQueries from './request-queries.ts';
import {
  runsBelow,
  type BelowRow,
  type RunRow,
  type SignalBody,
  type SignalKind,
} from './queries.ts';
import { standingOn } from './rerun.ts';
import { checkedId, type RunReads } from './run-reads.ts';
import type { RunsOptions } from './runs.ts';
import { openQuestions, runEnded } from './state.ts';
import type { Coordination, RunStatus, RunSummary, UndoPlan } from './types.ts';
import { planUndo } from './undo.ts';
import { summaryView } from './views.ts';

const mostBelow = 1_000;

/** Asks runs to stop, pause, go on, begin again or be undone. */
export class RunRequests {
  readonly #options: RunsOptions;
  readonly #reads: RunReads;

  constructor(options: RunsOptions, reads: RunReads) {
    this.#options = options;
    this.#reads = reads;
  }

  /** With all that its agents asked for. */
  async cancel(
    runId: string,
    { reason, by }: { reason: string; by?: string },
  ): Promise<RunSummary> {
    const body = { reason: reason.slice(0, 1_000), ...named(by) };
    const summary = await this.#askOpen(runId, 'cancel', body);
    for (const { run_id: below, status } of await this.#below(summary.id)) {
      if (runEnded(status)) continue;
      await this.#askOpen(below, 'cancel', body).catch(unless('run_finished'));
    }
    return summary;
  }

  pause(runId: string, { reason, by }: { reason: string; by?: string }): Promise<RunSummary> {
    return this.#askOpen(runId, 'pause', { reason: reason.slice(0, 1_000), ...named(by) });
  }

  resume(runId: string, { by }: { by?: string }): Promise<RunSummary> {
    return this.#askOpen(runId, 'resume', named(by));
  }

  signal(
    runId: string,
    { name, data, by }: { name: string; data: unknown; by?: string },
  ): Promise<RunSummary> {
    return this.#askOpen(runId, 'signal', { name, data, ...named(by) });
  }

  async answer(runId: string, request: Parameters<Coordination['answer']>[1]): Promise<RunSummary> {
    const { question: asked, by, ...given } = request;
    const { row, state } = await this.#reads.load(runId);
    if (runEnded(row.status)) throw finished(row);
    const open = openQuestions(state);
    const question = asked ?? (open.length === 1 ? open[0]?.id : undefined);
    if (question === undefined) throw unclearQuestion(runId, open);
    const answer = { ...given, ...named(by) };
    const problem = answerProblem(state, question, answer);
    if (problem !== undefined) {
      const code =
        state.questions.get(question)?.answer === undefined ? 'invalid_input' : 'conflict';
      throw new AppError(code, problem, { details: { question, open: open.map(({ id }) => id) } });
    }
    return this.#askOpen(runId, 'answer', { question, answer });
  }

  async retry(runId: string, { from, by }: { from?: string; by?: string }): Promise<RunSummary> {
    if (from !== undefined) standingOn((await this.#reads.load(runId)).state, from);
    const statuses: RunStatus[] = [
      'failed',
      'cancelled',
      ...(from === undefined ? [] : ['completed' as const]),
    ];
    const body = { ...(from === undefined ? {} : { from }), ...named(by) };
    return this.#askEnded(
      runId,
      'retry',
      body,
      statuses,
      'only a failed or cancelled one can be tried again',
    );
  }

  async undoPlan(runId: string): Promise<UndoPlan> {
    const { row, state } = await this.#reads.load(runId);
    return planUndo({ runId: row.run_id, state, workspaces: this.#options.workspaces });
  }

  /** With all that its agents asked for, newest first. */
  async undo(runId: string, request: { force: boolean; by?: string }): Promise<RunSummary> {
    const summary = await this.#undoOne(checkedId(runId), request);
    for (const { run_id: below } of (await this.#below(summary.id)).toReversed()) {
      await this.#undoOne(below, request).catch(unless('conflict'));
    }
    return summary;
  }

  #below(runId: string): Promise<readonly BelowRow[]> {
    return this.#options.database.query(runsBelow(runId, mostBelow));
  }

  async #undoOne(id: string, { force, by }: { force: boolean; by?: string }): Promise<RunSummary> {
    const body = { force, ...named(by) };
    const signalId = newId(this.#options.clock);
    const told = await this.#options.database.query(
      requestQueries.requestOfOpen(id, signalId, 'undo', body),
    );
    if (told.length > 0) return summaryView(await this.#reads.row(id));
    return this.#askEnded(
      id,
      'undo',
      body,
      ['completed', 'failed', 'cancelled'],
      'it is being undone',
    );
  }

  /** Leaves a request for an open run. Throws `run_finished`. */
  async #askOpen(runId: string, kind: SignalKind, body: SignalBody): Promise<RunSummary> {
    const told = await this.#options.database.query(
      requestQueries.requestOfOpen(checkedId(runId), newId(this.#options.clock), kind, body),
    );
    const row = await this.#reads.row(runId);
    if (told.length === 0) throw finished(row);
    return summaryView(row);
  }

  async #askEnded(
    runId: string,
    kind: SignalKind,
    body: SignalBody,
    statuses: readonly RunStatus[],
    else_: string,
  ): Promise<RunSummary> {
    const told = await this.#options.database.query(
      requestQueries.requestOfEnded(
        checkedId(runId),
        newId(this.#options.clock),
        kind,
        body,
        statuses,
      ),
    );
    const row = await this.#reads.row(runId);
    if (told.length === 0) {
      throw new AppError('conflict', `run ${runId} is ${row.status}; ${else_}`, {
        details: { status: row.status },
      });
    }
    return summaryView(row);
  }
}

/** Passes over a failure that means there is nothing to do. */
function unless(code: AppError['code']): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof AppError) || error.code !== code) throw error;
  };
}

function named(by: string | undefined): { by?: string } {
  return by === undefined ? {} : { by };
}

function finished(row: RunRow): AppError {
  return new AppError('run_finished', `run ${row.run_id} has ended already: ${row.status}`, {
    details: { status: row.status },
  });
}

function unclearQuestion(runId: string, open: readonly { readonly id: string }[]): AppError {
  const ids = open.map(({ id }) => id);
  if (ids.length === 0) return new AppError('conflict', `run ${runId} asks nothing`);
  return new AppError('conflict', `run ${runId} asks ${ids.length} things: ${ids.join(', ')}`, {
    details: { open: ids },
    remedy: 'Say which one is answered.',
  });
}
