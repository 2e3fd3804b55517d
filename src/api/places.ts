import { AppError } from '../base/base.ts';

/** A number of places; who finds none is refused instead of queued. */
export interface Places {
  readonly taken: number;
  /** Runs `work` in a place; throws `limit_exceeded` when all are taken. */
  hold<T>(work: () => Promise<T>): Promise<T>;
}

/** Bounds how many requests of a kind are under way at once. */
export function createPlaces(name: string, most: number): Places {
  let taken = 0;
  return {
    get taken() {
      return taken;
    },
    async hold(work) {
      if (taken >= most) {
        throw new AppError('limit_exceeded', `${most} ${name} are under way`, {
          details: { limit: most },
          remedy: 'Try again when one of them has ended.',
        });
      }
      taken += 1;
      try {
        return await work();
      } finally {
        taken -= 1;
      }
    },
  };
}
