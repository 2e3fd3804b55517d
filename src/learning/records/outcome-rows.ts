/** Outcomes as the function `record_outcomes` of the database takes them. */
import type { Clock } from '../../base/base.ts';
import type { Outcome } from '../types.ts';
import { taskHash } from './task-hash.ts';

/** An outcome and what it is written under. */
export interface OutcomeToWrite {
  readonly outcome: Omit<Outcome, 'runId' | 'task' | 'workflow' | 'mode' | 'definitionHash'> &
    Partial<Pick<Outcome, 'runId' | 'task' | 'workflow' | 'mode' | 'definitionHash'>>;
  /** Of the lease that its run is held under. */
  readonly epoch?: bigint;
  /** Id of who told of it, when no run did. */
  readonly reportedBy?: string;
}

const maxKnownTexts = 10_000;
/**
 * How long a text is taken to be there without looking: far shorter than the day for which one is kept
 * that nobody refers to.
 */
const knownForMs = 10 * 60_000;

/**
 * Remembers which texts the database has, so that what was asked is sent once and not with every attempt:
 * up to 4,000 characters beside some 300 for all the rest.
 */
export class StoredTexts {
  readonly #clock: Clock;
  /** When it was last sure, by hash; oldest first. */
  readonly #sureAtMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(hash: string): boolean {
    const atMs = this.#sureAtMs.get(hash);
    return atMs !== undefined && this.#clock.monotonicMs() - atMs < knownForMs;
  }

  /** To be called when a statement that held these texts is durable. */
  add(hashes: Iterable<string>): void {
    const nowMs = this.#clock.monotonicMs();
    for (const hash of hashes) {
      this.#sureAtMs.delete(hash);
      this.#sureAtMs.set(hash, nowMs);
    }
    for (const oldest of this.#sureAtMs.keys()) {
      if (this.#sureAtMs.size <= maxKnownTexts) break;
      this.#sureAtMs.delete(oldest);
    }
  }

  /** Texts that turned out not to be there: they are sent with the next outcome. */
  forget(hashes: Iterable<string>): void {
    for (const hash of hashes) this.#sureAtMs.delete(hash);
  }
}

/** The parameter of `record_outcomes`, or null when there is nothing; `sent`: texts that are in it. */
export function outcomeRows(
  outcomes: readonly OutcomeToWrite[],
  stored?: StoredTexts,
): { readonly rows: string | null; readonly sent: ReadonlySet<string> } {
  const sent = new Set<string>();
  if (outcomes.length === 0) return { rows: null, sent };
  const rows = outcomes.map((each) => {
    const hash = taskHash(each.outcome.facts);
    // All of one text bring it until it is durable: the first may be of a run that was lost.
    const isStored = stored?.has(hash) === true;
    if (!isStored) sent.add(hash);
    return rowOf(each, hash, isStored);
  });
  return { rows: JSON.stringify(rows), sent };
}

/** Field names are those of the function; what is undefined is left out. */
function rowOf({ outcome, epoch, reportedBy }: OutcomeToWrite, hash: string, isStored: boolean) {
  const { facts, usage, decision, partners } = outcome;
  return {
    attempt_id: outcome.attemptId,
    run_id: outcome.runId,
    epoch: epoch === undefined ? undefined : Number(epoch),
    task: outcome.task,
    workflow: outcome.workflow,
    mode: outcome.mode,
    agent: outcome.agent,
    definition_hash: outcome.definitionHash,
    task_type: facts.type,
    task_hash: hash,
    description: isStored ? undefined : facts.text,
    complexity: facts.complexity,
    input_bytes: facts.inputBytes,
    context: facts.context,
    started_ms: outcome.startedAtMs,
    ended_ms: outcome.endedAtMs,
    result: outcome.result,
    own_fault: outcome.isOwnFault,
    error_code: outcome.errorCode,
    wall_ms: usage?.wallMs,
    cpu_ms: usage?.cpuMs,
    peak_memory_bytes: usage?.peakMemoryBytes,
    output_bytes: usage?.outputBytes,
    tokens: usage?.tokens,
    cost_micro_usd: usage?.microUsd,
    partners: partners === undefined || partners.length === 0 ? undefined : partners,
    policy: decision?.policy,
    propensity: decision?.propensity,
    predicted_success: decision?.success.mean,
    predicted_ms: decision?.expected.ms?.mean,
    predicted_ms_low: decision?.expected.ms?.low,
    predicted_ms_high: decision?.expected.ms?.high,
    candidates: decision?.candidates,
    reported_by: reportedBy,
  };
}
