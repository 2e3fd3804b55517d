import { createHash, timingSafeEqual } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import { AppError } from '../base/base.ts';
import type { Access, Caller } from './access.ts';
import type { CallerParts } from './callers.ts';
import { selectApiKeyByPrefix, type ApiKeyRow } from './credential-queries.ts';
import type { Origin } from './doors.ts';
import type { LimitPolicy } from './limits.ts';
import { LoadingCache, type Forgettable } from './loading-cache.ts';
import { allBits, type Mask } from './permissions.ts';
import { scopeMask } from './scope.ts';

/** What every API key begins with, so that scanners of secrets know one when they see it. */
export const apiKeyMark = 'cnt_';

/** What a caller with this key is called, and the method of sessions that come of it. */
export function apiKeyId(prefix: string): string {
  return `api_key:${prefix}`;
}

interface ApiKey extends Forgettable {
  readonly row: ApiKeyRow;
  readonly networks: BlockList | undefined;
  readonly within: Mask;
  readonly policy: LimitPolicy;
  readonly endsAtMs: number;
}

/** Keys kept at once; more give way, the oldest first, and are read again. */
const mostKeys = 10_000;
/** The prefix that is shown and looked up, and the secret. */
const keyForm = /^(cnt_[a-z2-7]{8})_[A-Za-z0-9_-]{43}$/;

/** API keys: looked up by the prefix that people see, compared by the hash of all of it. */
export interface ApiKeyDoor {
  /** Throws `unauthenticated`, and `denied` from a network that the key is not for. */
  whoIs(token: string, origin: Origin): Caller | Promise<Caller>;
  counts(prefix: string): Promise<boolean>;
  forget(prefix: string): void;
  forgetAll(): void;
}

export function createApiKeyDoor(
  parts: Pick<CallerParts, 'database' | 'directory' | 'isFresh' | 'clock' | 'onUse'>,
): ApiKeyDoor {
  const { database, directory, isFresh, clock } = parts;
  const keys = new LoadingCache<ApiKey>(mostKeys, async (prefix) => {
    const [row] = await database.query(selectApiKeyByPrefix(prefix));
    return row === undefined ? undefined : keyFrom(row, clock.nowMs());
  });

  async function byUnknown(token: string, prefix: string, origin: Origin): Promise<Caller> {
    if (!isFresh()) {
      keys.forget(prefix);
      directory.forgetAll();
    }
    const key = await keys.get(prefix);
    const access = key === undefined ? undefined : await directory.principals.get(key.row.user_id);
    if (key === undefined || access === undefined) throw unknownKey();
    return callerOf(token, key, access, origin);
  }

  function callerOf(token: string, key: ApiKey, access: Access, { address }: Origin): Caller {
    const hash = createHash('sha256').update(token).digest();
    if (!timingSafeEqual(hash, key.row.key_hash)) throw unknownKey();
    if (key.endsAtMs <= clock.nowMs()) throw unknownKey();
    const prefix = key.row.key_prefix;
    if (key.networks !== undefined && !isWithin(key.networks, address)) {
      throw new AppError('denied', `the API key is not honoured from ${address ?? 'here'}`, {
        details: { prefix },
        remedy: 'Use it from one of its networks, or make another key: centuria token create.',
      });
    }
    parts.onUse('api_key', prefix);
    return {
      access,
      kind: 'api_key',
      id: apiKeyId(prefix),
      sessionId: undefined,
      within: key.within,
      actor: undefined,
      audience: undefined,
      untilMs: key.endsAtMs,
      limit: { policy: key.policy, id: prefix },
    };
  }

  return {
    whoIs(token, origin) {
      const prefix = keyForm.exec(token)?.[1];
      if (prefix === undefined) {
        throw new AppError('unauthenticated', 'the API key has not the form of one');
      }
      const key = isFresh() ? keys.peek(prefix) : undefined;
      const access = key === undefined ? undefined : directory.principals.peek(key.row.user_id);
      if (key === undefined || access === undefined) return byUnknown(token, prefix, origin);
      return callerOf(token, key, access, origin);
    },
    counts: async (prefix) => (await keys.get(prefix)) !== undefined,
    forget: (prefix) => keys.forget(prefix),
    forgetAll: () => keys.forgetAll(),
  };
}

function keyFrom(row: ApiKeyRow, nowMs: number): ApiKey {
  return {
    row,
    networks: row.allowed_ips === null ? undefined : networksOf(row.allowed_ips),
    within: row.scopes === null ? allBits : scopeMask(row.scopes.join(' ')),
    policy: {
      name: 'api_key',
      limit: row.rate_limit_per_minute,
      windowMs: 60_000,
      blockMs: 60_000,
      onStoreDown: 'fallback',
    },
    endsAtMs: row.left_ms === null ? Infinity : nowMs + row.left_ms,
    isCurrent: true,
  };
}

function networksOf(cidrs: readonly string[]): BlockList {
  const networks = new BlockList();
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    networks.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family);
  }
  return networks;
}

function isWithin(networks: BlockList, address: string | null): boolean {
  if (address === null) return false;
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  return networks.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}

function unknownKey(): AppError {
  return new AppError('unauthenticated', 'the API key is unknown, revoked or over', {
    remedy: 'Make another: centuria token create.',
  });
}
