import type { Clock } from '../base/base.ts';
import type { CacheStore } from './cache.ts';

export interface MemoryStoreOptions {
  readonly clock: Clock;
  readonly mostEntries?: number;
  readonly mostRevoked?: number;
}

interface Held {
  readonly value: unknown;
  readonly endsAtMs: number;
}

/**
 * Values in this process, the least recently used first to go. Revocations have a place of their
 * own, where none ever gives way to another: when it is full of such as still count, a new one is
 * refused, and whoever asks for it goes to PostgreSQL.
 */
export function createMemoryStore(options: MemoryStoreOptions): CacheStore {
  const { clock, mostEntries = 10_000, mostRevoked = 100_000 } = options;
  if (!(mostEntries >= 1 && mostRevoked >= 1)) throw new RangeError('a cache holds at least one');
  // A Map keeps the order of insertion: what is read is put in anew, so the first is the oldest.
  const values = new Map<string, Held>();
  const revoked = new Map<string, Held>();
  let evictions = 0;
  /** Before this, no revocation ends, and looking for one is in vain. */
  let nextEndMs = Infinity;

  const hasRoom = (): boolean => {
    const now = clock.nowMs();
    if (revoked.size < mostRevoked) return true;
    if (now < nextEndMs) return false;
    nextEndMs = Infinity;
    for (const [text, { endsAtMs }] of revoked) {
      if (endsAtMs <= now) revoked.delete(text);
      else nextEndMs = Math.min(nextEndMs, endsAtMs);
    }
    return revoked.size < mostRevoked;
  };

  return {
    store: 'memory',
    get entries() {
      return values.size + revoked.size;
    },
    get evictions() {
      return evictions;
    },

    async get<T>({ kind, text }: { readonly kind: string; readonly text: string }) {
      const map = kind === 'blacklist' ? revoked : values;
      const held = map.get(text);
      if (held === undefined) return undefined;
      if (held.endsAtMs <= clock.nowMs()) {
        map.delete(text);
        return undefined;
      }
      if (map === values) {
        values.delete(text);
        values.set(text, held);
      }
      // The key gave the value its type when it was set.
      return held.value as T;
    },

    async set({ kind, text }, value, ttlMs) {
      const endsAtMs = clock.nowMs() + ttlMs;
      if (kind === 'blacklist') {
        const before = revoked.get(text);
        if (before === undefined && !hasRoom()) return false;
        // Never shorter than it was: a token stays revoked.
        const end = Math.max(endsAtMs, before?.endsAtMs ?? 0);
        revoked.set(text, { value, endsAtMs: end });
        nextEndMs = Math.min(nextEndMs, end);
        return true;
      }
      values.delete(text);
      if (values.size >= mostEntries) {
        const oldest = values.keys().next();
        if (oldest.value !== undefined) values.delete(oldest.value);
        evictions += 1;
      }
      // A copy that nobody can change: it is given to many.
      values.set(text, { value: freeze(structuredClone(value)), endsAtMs });
      return true;
    },

    async delete(keys) {
      for (const { kind, text } of keys) {
        (kind === 'blacklist' ? revoked : values).delete(text);
      }
    },
  };
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const part of Object.values(value)) freeze(part);
  return Object.freeze(value);
}
