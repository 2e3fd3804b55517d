import { AsyncLocalStorage } from 'node:async_hooks';
import { AppError } from '../base/base.ts';

/**
 * Knows whether code runs inside a transaction or session of one database. A statement on the
 * database itself from there would wait for its own end: always when embedded, and on a server as
 * soon as the pool is empty. Refusing it at once makes that a defect that shows in the first test.
 */
export class Nesting {
  readonly #storage = new AsyncLocalStorage<{ open: boolean }>();

  /** Runs `work` as the inside of a transaction or session. */
  async within<T>(work: () => Promise<T>): Promise<T> {
    const scope = { open: true };
    try {
      return await this.#storage.run(scope, work);
    } finally {
      // What `work` left running in the background is outside from here on.
      scope.open = false;
    }
  }

  assertOutside(): void {
    if (this.#storage.getStore()?.open !== true) return;
    throw new AppError(
      'internal',
      'the database was used inside its own transaction, which would wait for itself',
      { remedy: 'Run the statement on the transaction or session that was given.' },
    );
  }
}
