/** Outcomes as they come in, learned by the model in their order. */
import { toAppError, type Clock } from '../../base/base.ts';
import { saysOf, weightOf, type ExecutionRow } from '../projections/projections.ts';
import {
  createNeighbourhood,
  type FedNeighbourhood,
  type LearnedTask,
} from '../similarity/similarity.ts';
import type { Candidate, Embedder, Evidence, TaskFacts } from '../types.ts';
import type { PastRow } from './fit.ts';
import type { RouterModel } from './model.ts';
import { neighboursAsked } from './router.ts';

/** Outcomes that are learned one by one and kept for fitting; older ones count in rates alone. */
export const windowLength = 5_000;
/** A worker at full speed has thousands of outcomes a second, and its thread is for its runs. */
const learnedPerSecond = 50;
const knownVectors = 5_000;
/** To find one bad text among 500 takes ten in turn; after more it is the embedder, to be tried again later. */
const mostFailures = 16;

export interface FeedOptions {
  readonly embedder: Embedder;
  /** What choices look into: told of what came after the place that it was read up to. */
  readonly neighbourhood: FedNeighbourhood;
  readonly model: () => RouterModel;
  readonly clock: Clock;
}

/**
 * Learns each outcome with its neighbours as they were before it: what is learned of an outcome must not
 * be what it says itself.
 */
export class Feed {
  readonly #options: FeedOptions;
  readonly #past = createNeighbourhood();
  readonly #vectors = new Map<string, Float32Array>();
  #rows: PastRow[] = [];
  #left = windowLength;
  #leftAtMs: number;
  #learned = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#leftAtMs = options.clock.monotonicMs();
  }

  /** The last outcomes, oldest first. */
  get rows(): readonly PastRow[] {
    return this.#rows;
  }

  /** Outcomes learned one by one since the start. */
  get learned(): number {
    return this.#learned;
  }

  async take(rows: readonly ExecutionRow[]): Promise<void> {
    await this.#embed(rows);
    for (const row of rows) {
      const vector = this.#vectors.get(row.task_hash);
      // Its text was forgotten before it could be read.
      if (vector === undefined || row.description === null) continue;
      await this.#takeRow(row, row.description, vector);
    }
  }

  async #takeRow(row: ExecutionRow, text: string, vector: Float32Array): Promise<void> {
    const { neighbourhood, model } = this.#options;
    const weight = weightOf(row);
    if (weight === 0) return;
    const facts = factsOf(row, text);
    if (this.#mayLearn()) {
      const past: PastRow = {
        ...outcomeOf(row),
        facts,
        vector,
        weight,
        near: await this.#past.near(vector, neighboursAsked),
      };
      model().learn(past);
      this.#rows.push(past);
      if (this.#rows.length > 1.2 * windowLength) this.#rows = this.#rows.slice(-windowLength);
      this.#learned += 1;
    } else if (saysOf(row) !== 'nothing') {
      const succeeded = saysOf(row) === 'succeeded' ? weight : 0;
      model().count(row.agent, row.task_type, { tried: weight, succeeded });
    }
    const task: LearnedTask = {
      taskHash: row.task_hash,
      type: row.task_type,
      text,
      vector,
      evidence: saysOf(row) === 'nothing' ? [] : [evidenceOf(row)],
    };
    await this.#past.learned([task]);
    if (isAfter(row, neighbourhood.readUpTo)) await neighbourhood.learned([task]);
  }

  /** So many at once after a start, then so many a second. */
  #mayLearn(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    const more = ((nowMs - this.#leftAtMs) / 1_000) * learnedPerSecond;
    this.#left = Math.min(windowLength, this.#left + more);
    this.#leftAtMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  async #embed(rows: readonly ExecutionRow[]): Promise<void> {
    const unknown = new Map<string, string>();
    for (const { task_hash: hash, description } of rows) {
      if (description !== null && !this.#vectors.has(hash)) unknown.set(hash, description);
    }
    if (unknown.size === 0) return;
    if (this.#vectors.size > knownVectors) this.#vectors.clear();
    await this.#embedTexts([...unknown]);
  }

  /** One text that the embedder has no vector for must not keep the others from being learned. */
  async #embedTexts(
    texts: readonly (readonly [hash: string, text: string])[],
    failures = { inTurn: 0 },
  ): Promise<void> {
    try {
      const vectors = await this.#options.embedder.embed(texts.map(([, text]) => text));
      for (const [index, [hash]] of texts.entries()) {
        const vector = vectors[index];
        if (vector !== undefined) this.#vectors.set(hash, vector);
      }
      failures.inTurn = 0;
    } catch (thrown) {
      if (toAppError(thrown).code !== 'embedding_invalid') throw thrown;
      failures.inTurn += 1;
      if (failures.inTurn > mostFailures) throw thrown;
      if (texts.length === 1) return;
      // Halves: one text that spoils a batch of 500 takes some twenty calls to be found.
      const middle = Math.ceil(texts.length / 2);
      await this.#embedTexts(texts.slice(0, middle), failures);
      await this.#embedTexts(texts.slice(middle), failures);
    }
  }
}

function factsOf(row: ExecutionRow, text: string): TaskFacts {
  return {
    type: row.task_type,
    text,
    ...(row.complexity === null ? {} : { complexity: row.complexity }),
    ...(row.input_bytes === null ? {} : { inputBytes: row.input_bytes }),
    ...(row.context === null ? {} : { context: row.context }),
  };
}

function outcomeOf(row: ExecutionRow): Omit<PastRow, 'facts' | 'vector' | 'near'> {
  return {
    agent: row.agent,
    result: row.result,
    isOwnFault: row.own_fault !== false,
    ms: row.ms,
    ...(row.micro_usd === null ? {} : { microUsd: row.micro_usd }),
    ...(row.propensity === null ? {} : { propensity: row.propensity }),
    ...(row.candidates === null ? {} : { candidates: row.candidates.map(nameOnly) }),
  };
}

/** Of a candidate of before: what its definition said then is not kept. */
function nameOnly(name: string): Candidate {
  return { name, hash: '', description: '', category: '', capabilities: [], timeoutMs: 0 };
}

function evidenceOf({ agent, result, ms, micro_usd: microUsd }: ExecutionRow): Evidence {
  const succeeded = result === 'succeeded' ? 1 : 0;
  const log = succeeded * Math.log(Math.max(1, ms));
  return {
    agent,
    tried: 1,
    succeeded,
    logMs: log,
    logMsSquares: log * log,
    paid: microUsd === null ? 0 : 1,
    microUsd: microUsd ?? 0,
  };
}

/** In the order in which executions became visible. */
function isAfter(
  row: Pick<ExecutionRow, 'tx' | 'attempt_id'>,
  place: { readonly tx: string; readonly attemptId: string },
): boolean {
  const [own, other] = [BigInt(row.tx), BigInt(place.tx)];
  return own === other ? row.attempt_id > place.attemptId : own > other;
}
