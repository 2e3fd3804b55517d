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
  const hashes = outcomes.map(({ outcome }) => taskHash(outcome.facts));
  // All of one text bring it until it is durable: the first may be of a run that was lost.
  const description = hashes.map((hash, at) => {
    if (stored?.has(hash) === true) return '';
    sent.add(hash);
    return inColumn(outcomes[at]?.outcome.facts.text ?? '');
  });
  const columns: Record<string, string | undefined> = {
    task_hash: hashes.join(','),
    description: joined(description, textEnd),
  };
  for (const [name, of] of plainColumns) columns[name] = joined(outcomes.map(of), ',');
  for (const [name, of] of textColumns) columns[name] = joined(outcomes.map(of), textEnd);
  return { rows: JSON.stringify(columns), sent };
}

type Value = string | number | bigint | boolean | undefined;
type Columns = readonly (readonly [name: string, of: (row: OutcomeToWrite) => Value])[];

/** Between values that may hold commas; it is taken out of them. */
const textEnd = '\u001F';

/** Ids, numbers and names: nothing with a comma in it. */
const plainColumns: Columns = [
  ['attempt_id', ({ outcome }) => outcome.attemptId],
  ['run_id', ({ outcome }) => outcome.runId],
  ['epoch', ({ epoch }) => epoch],
  ['mode', ({ outcome }) => outcome.mode],
  ['definition_hash', ({ outcome }) => outcome.definitionHash],
  ['complexity', ({ outcome }) => outcome.facts.complexity],
  ['input_bytes', ({ outcome }) => outcome.facts.inputBytes],
  ['started_ms', ({ outcome }) => outcome.startedAtMs],
  ['ended_ms', ({ outcome }) => outcome.endedAtMs],
  ['result', ({ outcome }) => outcome.result],
  ['own_fault', ({ outcome }) => outcome.isOwnFault],
  ['wall_ms', ({ outcome }) => outcome.usage?.wallMs],
  ['cpu_ms', ({ outcome }) => outcome.usage?.cpuMs],
  ['peak_memory_bytes', ({ outcome }) => outcome.usage?.peakMemoryBytes],
  ['output_bytes', ({ outcome }) => outcome.usage?.outputBytes],
  ['tokens', ({ outcome }) => outcome.usage?.tokens],
  ['cost_micro_usd', ({ outcome }) => outcome.usage?.microUsd],
  ['propensity', ({ outcome }) => outcome.decision?.propensity],
  ['predicted_success', ({ outcome }) => outcome.decision?.success.mean],
  ['predicted_ms', ({ outcome }) => outcome.decision?.expected.ms?.mean],
  ['predicted_ms_low', ({ outcome }) => outcome.decision?.expected.ms?.low],
  ['predicted_ms_high', ({ outcome }) => outcome.decision?.expected.ms?.high],
];

const textColumns: Columns = [
  ['task', ({ outcome }) => text(outcome.task)],
  ['workflow', ({ outcome }) => text(outcome.workflow)],
  ['agent', ({ outcome }) => text(outcome.agent)],
  ['task_type', ({ outcome }) => text(outcome.facts.type)],
  ['error_code', ({ outcome }) => text(outcome.errorCode)],
  ['policy', ({ outcome }) => text(outcome.decision?.policy)],
  ['reported_by', ({ reportedBy }) => text(reportedBy)],
  ['context', ({ outcome: { facts } }) => facts.context && JSON.stringify(facts.context)],
  ['candidates', ({ outcome: { decision } }) => decision?.candidates.map(inColumn).join(',')],
  ['partners', ({ outcome: { partners } }) => partners?.map(inColumn).join(',')],
  ['candidates', ({ outcome }) => outcome.decision?.candidates?.map(inColumn).join(',')],
];

function text(value: string | undefined): string | undefined {
  return value === undefined ? undefined : inColumn(value);
}

/** Without control characters: PostgreSQL takes NUL in no text, and one of them ends a value here. */
function inColumn(value: string): string {
  return value.replaceAll(/[^\P{Cc}\n\r\t]/gu, ' ').toWellFormed();
}

/** Undefined, and so left out, when none of the values is there: most columns of most batches. */
function joined(values: readonly Value[], end: string): string | undefined {
  return values.some((value) => value !== undefined && value !== '') ? values.join(end) : undefined;
}
