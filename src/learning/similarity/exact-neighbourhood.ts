import type { Database } from '../../database/database.ts';
import type { Evidence, Neighbour } from '../types.ts';
import { ExactIndex } from './exact-index.ts';
import { readUpTo, taskPage, type ReadUpTo, type TaskRow } from './queries.ts';
import type { FedNeighbourhood, LearnedTask } from './similarity.ts';
import { TextStore } from './text-store.ts';
import { vectorFromBytes } from '../embedding/vectors.ts';
import { lengthOf } from './vectors.ts';

/** Texts of one statement: about a megabyte of vectors, as hexadecimal digits. */
const pageLength = 500;
const beginning: ReadUpTo = { tx: '0', attemptId: '00000000-0000-0000-0000-000000000000' };

interface Kept {
  readonly type: string;
  readonly textAt: number;
  evidence: readonly Evidence[];
}

/**
 * Tasks of before in the memory of this process, found by the exact index: all that the database has
 * of an embedder, as one moment shows it, and from then on what `learned` is given.
 */
export async function openExactNeighbourhood(options: {
  readonly database: Database;
  /** Its name. */
  readonly embedder: string;
  /** Why it is this one. */
  readonly reason?: string;
}): Promise<FedNeighbourhood> {
  const opened = new ExactNeighbourhood(options.reason);
  await opened.load(options.database, options.embedder);
  return opened;
}

/** One that knows nothing but what it is told. */
export function createNeighbourhood(): FedNeighbourhood {
  return new ExactNeighbourhood(undefined);
}

class ExactNeighbourhood implements FedNeighbourhood {
  readonly #index = new ExactIndex();
  readonly #texts = new TextStore();
  readonly #kept = new Map<string, Kept>();
  /** One string for all texts of a type and all evidence of an agent. */
  readonly #names = new Map<string, string>();
  readonly #reason: string | undefined;
  #readUpTo = beginning;

  constructor(reason: string | undefined) {
    this.#reason = reason;
  }

  get readUpTo(): ReadUpTo {
    return this.#readUpTo;
  }

  status(): ReturnType<FedNeighbourhood['status']> {
    const how = this.#index.isSimd ? '' : 'without SIMD, which this processor lacks';
    const reason = [this.#reason, how]
      .filter((text) => text !== undefined && text !== '')
      .join(', ');
    return { kind: 'exact', ...(reason === '' ? {} : { reason }) };
  }

  /** In one transaction, so that the evidence is that of `readUpTo`, whoever writes meanwhile. */
  async load(database: Database, embedder: string): Promise<void> {
    await database.session(async (session) => {
      await session.script('begin isolation level repeatable read read only');
      const [position] = await session.query(readUpTo());
      this.#readUpTo = position ?? beginning;
      for (let after: string | undefined = ''; after !== undefined;) {
        const rows: readonly TaskRow[] = await session.query(taskPage(embedder, after, pageLength));
        for (const { vector, ...task } of rows) {
          this.#add({ ...task, ...(vector === null ? {} : { vector: vectorFromBytes(vector) }) });
        }
        after = rows.length < pageLength ? undefined : rows.at(-1)?.taskHash;
      }
      await session.script('commit');
    });
  }

  async learned(tasks: readonly LearnedTask[]): Promise<void> {
    // A wrong vector is refused before any of them is taken.
    for (const { vector } of tasks) if (vector !== undefined) lengthOf(vector);
    for (const task of tasks) this.#add(task);
  }

  async near(vector: Float32Array, k: number): Promise<readonly Neighbour[]> {
    const found = await this.#index.near(vector, k);
    return found.flatMap(({ id, similarity }) => {
      const kept = this.#kept.get(id);
      if (kept === undefined) return [];
      const { type, evidence } = kept;
      return [{ taskHash: id, type, text: this.#texts.read(kept.textAt), similarity, evidence }];
    });
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  #add({ taskHash, type, text, vector, evidence }: LearnedTask): void {
    const named = evidence.map((one) => ({ ...one, agent: this.#name(one.agent) }));
    const kept = this.#kept.get(taskHash);
    if (kept !== undefined) kept.evidence = sum([...kept.evidence, ...named]);
    else {
      const textAt = this.#texts.add(text);
      this.#kept.set(taskHash, { type: this.#name(type), textAt, evidence: sum(named) });
    }
    if (vector !== undefined) this.#index.set(taskHash, vector);
  }

  #name(name: string): string {
    const known = this.#names.get(name);
    if (known === undefined) this.#names.set(name, name);
    return known ?? name;
  }
}

/** One row an agent, in the order of their names. */
function sum(evidence: readonly Evidence[]): readonly Evidence[] {
  const sums = new Map<string, Evidence>();
  for (const one of evidence) {
    const other = sums.get(one.agent);
    sums.set(one.agent, other === undefined ? one : added(one, other));
  }
  return [...sums.values()].toSorted((a, b) => (a.agent < b.agent ? -1 : 1));
}

function added(a: Evidence, b: Evidence): Evidence {
  return {
    agent: a.agent,
    tried: a.tried + b.tried,
    succeeded: a.succeeded + b.succeeded,
    logMs: a.logMs + b.logMs,
    logMsSquares: a.logMsSquares + b.logMsSquares,
    paid: a.paid + b.paid,
    microUsd: a.microUsd + b.microUsd,
  };
}
