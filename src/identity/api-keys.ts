/** Keys for programs: shown once, stored as a hash, narrowed to permissions and networks. */
import { createHash, randomBytes } from 'node:crypto';
import { AppError, newId } from '../base/base.ts';
import type { Queryable } from '../database/database.ts';
import type { Caller, Grant } from './access.ts';
import { assertRanks, assertCanGive } from './giving.ts';
import { findPrincipal, giverOf, heldBy, tellOf } from './administering.ts';
import type { ApiKeyInfo, ApiKeys } from './administration.ts';
import {
  countApiKeys,
  endSessionsOfKey,
  insertApiKey,
  revokeApiKey,
  selectApiKeys,
  type ApiKeyRow,
} from './api-key-queries.ts';
import { checkText, futureTime, isUuid } from './names.ts';
import { checkNetwork } from './networks.ts';
import { pageOf, pageSize, readCursor, uuidShape } from './pages.ts';
import type { Parts } from './parts.ts';
import {
  actionNamed,
  expandMask,
  intersection,
  maskOf,
  maskOfActions,
  maskValue,
  type Mask,
} from './permissions.ts';
import { selectLevel } from './principal-queries.ts';

const mostKeys = 100;
const mostNetworks = 64;
const mostNameCharacters = 100;
const mostPerMinute = 1_000_000;
const usualPerMinute = 1_000;

/** RFC 4648's base32 in lower case: no two of its characters are taken for one another. */
const base32 = 'abcdefghijklmnopqrstuvwxyz234567';
const prefixShape = /^cnt_[a-z2-7]{8}$/;

/** A new key: `cnt_`, 8 characters by which it is shown and looked up, `_`, 256 random bits in base64url. */
export function newApiKey(): { key: string; prefix: string; hash: Uint8Array } {
  const shown = [...randomBytes(8)].map((byte) => base32[byte % 32]).join('');
  const prefix = `cnt_${shown}`;
  const key = `${prefix}_${randomBytes(32).toString('base64url')}`;
  return { key, prefix, hash: apiKeyHash(key) };
}

/** The SHA-256 hash that is stored. Fast is enough: nobody guesses 256 random bits. */
export function apiKeyHash(key: string): Uint8Array {
  return createHash('sha256').update(key).digest();
}

export function createApiKeys(parts: Parts): ApiKeys {
  const { database, applyChange, clock } = parts;
  return {
    async create(nameOrId, request, by) {
      const wanted = checkRequest(request, clock.nowMs());
      const { key, prefix, hash } = newApiKey();
      const info = await database.transaction(async (transaction) => {
        const { user_id: userId, username } = await findPrincipal(transaction, nameOrId);
        await assertMayNarrow(transaction, by, { userId, username }, wanted.scopes);
        const [count] = await transaction.query(countApiKeys(userId));
        if ((count?.total ?? 0) >= mostKeys) throw tooMany(username);
        const keyId = newId();
        const row = { keyId, userId, prefix, hash, ...wanted };
        const [created] = await transaction.query(insertApiKey(row));
        if (created === undefined) {
          throw new AppError('conflict', 'the prefix of the new key is taken', { retryable: true });
        }
        await tellOf(transaction, parts, by, {
          type: 'credential_changed',
          severity: 2,
          userId,
          username,
          details: {
            change: 'API key created',
            prefix,
            name: wanted.name,
            scopes: wanted.scopes,
            allowedNetworks: wanted.networks,
            expiresAt: wanted.expiresAt,
          },
        });
        return infoFrom({
          key_id: keyId,
          username,
          name: wanted.name,
          key_prefix: prefix,
          scopes: wanted.scopes,
          networks: created.networks,
          rate_limit_per_minute: wanted.rateLimitPerMinute,
          created_at: created.created_at,
          expires_at: wanted.expiresAt,
          last_used_at: null,
          revoked_at: null,
        });
      });
      return { key, info };
    },

    async list({ user, limit, cursor }) {
      const size = pageSize(limit);
      const [after] = readCursor(cursor, [uuidShape]) ?? [];
      const userId = user === undefined ? null : (await findPrincipal(database, user)).user_id;
      const rows = await database.query(selectApiKeys(userId, after ?? null, size + 1));
      return pageOf(rows, size, infoFrom, ({ key_id: id }) => [id]);
    },

    async revoke(idOrPrefix, by) {
      const text = idOrPrefix.toLowerCase();
      const [id, prefix] = [isUuid(text) ? text : null, prefixShape.test(text) ? text : null];
      const ended = await database.transaction(async (transaction) => {
        const isName = id !== null || prefix !== null;
        const [found] = isName ? await transaction.query(revokeApiKey(id, prefix)) : [];
        if (found === undefined) throw noKey(idOrPrefix);
        const key = { prefix: found.key_prefix, sessions: [] };
        if (!found.is_new) return key;
        const sessions = await transaction.query(endSessionsOfKey(found.key_prefix));
        await tellOf(transaction, parts, by, {
          type: 'credential_changed',
          severity: 2,
          userId: found.user_id,
          details: { change: 'API key revoked', prefix: found.key_prefix, name: found.name },
        });
        return { ...key, sessions };
      });
      applyChange('api_key', ended.prefix);
      for (const { session_id: session } of ended.sessions) applyChange('session', session);
    },
  };
}

/**
 * Throws `denied` for scopes beyond the rights of the principal, and for a key with more rights than
 * the caller has himself: whoever makes a key can use it.
 */
async function assertMayNarrow(
  database: Queryable,
  by: Caller,
  principal: { userId: string; username: string },
  scopes: readonly string[] | null,
): Promise<void> {
  const held = await heldBy(database, principal.userId);
  const given = held.map((grant) => ({ ...grant, mask: expandMask(grant.mask) }));
  for (const scope of scopes ?? []) {
    const bit = maskOf(actionNamed(scope));
    if (given.some(({ mask }) => maskValue(intersection(mask, bit)) !== 0n)) continue;
    throw new AppError('denied', `${principal.username} may not ${scope} itself`, {
      details: { principal: principal.username, action: scope },
      remedy: 'Leave the scope out, or give the principal a role that allows it first.',
    });
  }
  const giver = await giverOf(database, by);
  const what = `a key of ${principal.username}`;
  if (principal.userId !== by.access.userId) {
    const [row] = await database.query(selectLevel(principal.userId));
    assertRanks(giver, row?.role_level ?? 5, what);
  }
  const within = scopes === null ? undefined : maskOfActions(scopes);
  assertCanGive(giver, narrowed(given, within), what);
}

function narrowed(grants: readonly Grant[], within: Mask | undefined): readonly Grant[] {
  if (within === undefined) return grants;
  return grants.map((grant) => ({ ...grant, mask: intersection(grant.mask, within) }));
}

function checkRequest(request: Parameters<ApiKeys['create']>[1], nowMs: number) {
  const { scopes, allowedNetworks, rateLimitPerMinute = usualPerMinute, expiresAt } = request;
  const name = checkText('name', request.name, mostNameCharacters);
  if (name === '') throw invalid('name', 'the key has no name', 'Say what the key is for.');
  // No scope at all would be a key for nothing, and is more likely a list that came out empty.
  if (scopes?.length === 0) {
    throw invalid('scopes', 'the list of scopes is empty', 'Name some, or leave the list out.');
  }
  if (allowedNetworks?.length === 0 || (allowedNetworks?.length ?? 0) > mostNetworks) {
    const remedy = `Name 1 to ${mostNetworks} networks, or leave the list out.`;
    throw invalid('allowedNetworks', 'the list of networks is empty or too long', remedy);
  }
  const isRate = Number.isInteger(rateLimitPerMinute) && rateLimitPerMinute >= 1;
  if (!isRate || rateLimitPerMinute > mostPerMinute) {
    const remedy = `Use a whole number from 1 to ${mostPerMinute}.`;
    throw invalid('rateLimitPerMinute', `the limit is ${rateLimitPerMinute}`, remedy);
  }
  return {
    name,
    scopes: scopes === undefined ? null : [...new Set(scopes.map(actionNamed))],
    networks: allowedNetworks === undefined ? null : allowedNetworks.map(checkNetwork),
    rateLimitPerMinute,
    expiresAt: expiresAt === undefined ? null : futureTime('expiresAt', expiresAt, nowMs),
  };
}

function invalid(field: string, message: string, remedy: string): AppError {
  return new AppError('invalid_input', message, { details: { field }, remedy });
}

function tooMany(username: string): AppError {
  return new AppError('limit_exceeded', `${username} has ${mostKeys} keys that count`, {
    details: { most: mostKeys },
    retryable: false,
    remedy: 'Revoke those that are not used any more.',
  });
}

function noKey(idOrPrefix: string): AppError {
  // Somebody may have pasted the whole key, which must not come back in a message or a log.
  const shown = idOrPrefix.slice(0, 12);
  return new AppError('not_found', `there is no API key ${JSON.stringify(shown)}`, {
    details: { key: shown },
    remedy: 'Name it by its id or its prefix, which centuria token list shows.',
  });
}

function infoFrom(row: ApiKeyRow): ApiKeyInfo {
  return {
    id: row.key_id,
    username: row.username,
    name: row.name,
    prefix: row.key_prefix,
    ...(row.scopes === null ? {} : { scopes: row.scopes }),
    ...(row.networks === null ? {} : { allowedNetworks: row.networks }),
    rateLimitPerMinute: row.rate_limit_per_minute,
    createdAt: row.created_at.toISOString(),
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at.toISOString() }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at.toISOString() }),
    ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at.toISOString() }),
  };
}
