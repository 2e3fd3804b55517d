import type { Clock } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { frozen, type WorkflowDefinition } from './definition.ts';
import { definitionOfHash, storeDefinition } from './queries.ts';

const mostKnown = 1_000;
/** A definition that runs are started of is noted as used so often: what nobody uses for long is forgotten. */
const keepEveryMs = 30 * 60_000;

/** Definitions by hash, as runs are pinned to them: read once, since they never change. */
export class Definitions {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #known = new Map<string, WorkflowDefinition>();
  /** When each was last stored, or noted as used. */
  readonly #keptAtMs = new Map<string, number>();

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Undefined when it is not in the database any more. */
  async of(hash: string): Promise<WorkflowDefinition | undefined> {
    const known = this.#known.get(hash);
    if (known !== undefined) return known;
    const [found] = await this.#database.query(definitionOfHash(hash));
    if (found === undefined) return undefined;
    const definition = frozen(found.definition as WorkflowDefinition);
    this.#remember(hash, definition);
    return definition;
  }

  /** What runs are pinned to has to be there before they are. */
  async keep(hash: string, definition: WorkflowDefinition): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#keptAtMs.get(hash) ?? -Infinity) < keepEveryMs) return;
    await this.#database.query(storeDefinition(hash, definition.name, definition));
    this.#remember(hash, definition);
    this.#keptAtMs.set(hash, nowMs);
  }

  #remember(hash: string, definition: WorkflowDefinition): void {
    if (this.#known.size >= mostKnown) {
      this.#known.clear();
      this.#keptAtMs.clear();
    }
    this.#known.set(hash, definition);
  }
}
