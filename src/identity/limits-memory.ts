import type { Clock } from '../base/base.ts';
import {
  bucketId,
  checkTake,
  takeFrom,
  verdictOf,
  type LimitPolicy,
  type LimitVerdict,
  type LimitWindow,
} from './limit-window.ts';
import type { RateLimiter } from './limits.ts';

export interface MemoryVerdict extends LimitVerdict {
  /** Whether this very take began a block: the moment to record it, once. */
  readonly blockBegan: boolean;
}

export interface MemoryLimiter extends RateLimiter {
  readonly store: 'memory';
  /** `take` without a promise, for the way of every request. */
  takeNow(policy: LimitPolicy, id: string, cost?: number): MemoryVerdict;
  /** Buckets held now. */
  readonly size: number;
}

export interface MemoryLimiterOptions {
  readonly clock: Clock;
  /** Buckets held at most, of all policies together: some 200 bytes each. */
  readonly mostIds?: number;
  /** For tests: the time of a take, whole milliseconds. */
  readonly nowMs?: () => number;
}

const defaultMostIds = 10_000;

/** A bucket, and its neighbours in the list that it is in. */
interface Bucket extends LimitWindow {
  readonly policyName: string;
  readonly id: string;
  /** Which list it is in. */
  blocked: boolean;
  older: Bucket | undefined;
  newer: Bucket | undefined;
}

/**
 * Limits in this process. When `mostIds` is reached, the bucket that was longest not used gives way,
 * a blocked one only when there is no other: flooding with new ids frees nobody who is blocked.
 */
export function createMemoryLimiter(options: MemoryLimiterOptions): MemoryLimiter {
  const { clock, mostIds = defaultMostIds } = options;
  if (!(mostIds >= 1)) throw new RangeError(`at most ${mostIds} buckets is no limit`);
  // Monotonic: a wall clock that is set back would prolong every block.
  const nowMs = options.nowMs ?? (() => Math.floor(clock.monotonicMs()));
  // A map a policy, so that no key has to be put together for a look-up.
  const byPolicy = new Map<string, Map<string, Bucket>>();
  const checked = new WeakSet<LimitPolicy>();
  const free = new BucketList();
  const blocked = new BucketList();
  let size = 0;

  const forget = (bucket: Bucket): void => {
    (bucket.blocked ? blocked : free).remove(bucket);
    const buckets = byPolicy.get(bucket.policyName);
    buckets?.delete(bucket.id);
    if (buckets?.size === 0) byPolicy.delete(bucket.policyName);
    size -= 1;
  };

  const giveWay = (now: number): void => {
    const ended = blocked.oldest;
    const oldest =
      ended !== undefined && ended.blockedUntilMs <= now ? ended : (free.oldest ?? ended);
    if (oldest !== undefined) forget(oldest);
  };

  const create = (policyName: string, id: string, now: number): Bucket => {
    if (size >= mostIds) giveWay(now);
    const bucket: Bucket = {
      policyName,
      id,
      startMs: now,
      count: 0,
      previous: 0,
      blockedUntilMs: 0,
      blocked: false,
      older: undefined,
      newer: undefined,
    };
    let buckets = byPolicy.get(policyName);
    if (buckets === undefined) byPolicy.set(policyName, (buckets = new Map()));
    buckets.set(id, bucket);
    free.add(bucket);
    size += 1;
    return bucket;
  };

  const takeNow = (policy: LimitPolicy, id: string, cost = 1): MemoryVerdict => {
    // Policies are constants, checked once each; a cost of 1 fits any of them.
    if (cost !== 1 || !checked.has(policy)) {
      checkTake(policy, cost);
      checked.add(policy);
    }
    const now = nowMs();
    const name = bucketId(id);
    const bucket = byPolicy.get(policy.name)?.get(name) ?? create(policy.name, name, now);
    const wasBlocked = now < bucket.blockedUntilMs;
    const allowed = takeFrom(bucket, policy, now, cost);
    const isBlocked = now < bucket.blockedUntilMs;
    // A blocked bucket keeps its place, so that the blocked ones stay in the order of their blocks.
    if (!isBlocked || !wasBlocked) {
      (bucket.blocked ? blocked : free).remove(bucket);
      bucket.blocked = isBlocked;
      (isBlocked ? blocked : free).add(bucket);
    }
    const verdict = verdictOf(bucket, policy, now, cost, allowed);
    return { ...verdict, blockBegan: isBlocked && !wasBlocked };
  };

  return {
    store: 'memory',
    get size() {
      return size;
    },
    takeNow,
    take: async (policy, id, cost) => takeNow(policy, id, cost),
    async clear(policy, id) {
      const bucket = byPolicy.get(policy.name)?.get(bucketId(id));
      if (bucket !== undefined) forget(bucket);
    },
  };
}

/** A doubly linked list: a bucket moves to the newest end without any allocation. */
class BucketList {
  oldest: Bucket | undefined;
  #newest: Bucket | undefined;

  add(bucket: Bucket): void {
    bucket.older = this.#newest;
    bucket.newer = undefined;
    if (this.#newest === undefined) this.oldest = bucket;
    else this.#newest.newer = bucket;
    this.#newest = bucket;
  }

  remove(bucket: Bucket): void {
    if (bucket.older === undefined) this.oldest = bucket.newer;
    else bucket.older.newer = bucket.newer;
    if (bucket.newer === undefined) this.#newest = bucket.older;
    else bucket.newer.older = bucket.older;
  }
}
