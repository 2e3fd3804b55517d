/** What happened that concerns security: written, looked up, and measured. */
import { AppError, newId, suggest } from '../base/base.ts';
import { asNameOrId, eventColumns, type NewEvent } from './administering.ts';
import type { SecurityEvent, SecurityEvents } from './administration.ts';
import {
  selectEvents,
  selectHealth,
  selectPerformance,
  upsertSecurityEvents,
  type EventRow,
} from './event-queries.ts';
import { pageOf, pageSize, readCursor, uuidShape } from './pages.ts';
import type { Parts } from './parts.ts';
import { findUser } from './principal-queries.ts';

/** As the table takes them. */
export const eventTypes = [
  'login_success',
  'login_failure',
  'token_issued',
  'token_expired',
  'permission_denied',
  'rate_limit_exceeded',
  'ddos_detected',
  'key_rotated',
  'tls_handshake',
  'hmac_failure',
  'account_locked',
  'password_changed',
  'role_assigned',
  'suspicious_activity',
  'principal_changed',
  'role_changed',
  'credential_changed',
  'session_ended',
] as const;

const flushEveryMs = 1_000;
/** Those alike within it are one event. */
const alikeForMs = 10_000;
/** Different events at a time. An attacker may send any number; what is more is counted only. */
const usualCapacity = 1_000;

export interface SecurityEventsPart extends SecurityEvents {
  /** Writes what is noted, now. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export function createSecurityEvents(
  parts: Parts,
  { capacity = usualCapacity }: { capacity?: number } = {},
): SecurityEventsPart {
  const { database } = parts;
  const notes = createNotes(parts, capacity);
  return {
    async list({ type, user, minRisk, since, limit, cursor }) {
      const size = pageSize(limit);
      const [afterUs, afterId] = readCursor(cursor, [/^\d{1,18}$/, uuidShape]) ?? [];
      const { id, username } = user === undefined ? { id: null, username: null } : asNameOrId(user);
      const [found] = username === null ? [] : await database.query(findUser(null, username));
      const filter = {
        type: type === undefined ? null : checkType(type),
        userId: id ?? found?.user_id ?? null,
        // A user that is nothing anybody could be called has no events; null would mean everybody.
        username: username ?? (user !== undefined && id === null ? '' : null),
        minRisk: minRisk ?? 0,
        since: since === undefined ? null : timeOf(since),
        afterUs: afterUs === undefined ? null : BigInt(afterUs),
        afterId: afterId ?? null,
      };
      const rows = await database.query(selectEvents(filter, size + 1));
      return pageOf(rows, size, infoFrom, (row) => [String(row.at_us), row.event_id]);
    },

    denied({ access, sessionId, id, kind }, action, resource, { reason }, origin) {
      notes.note([access.userId, origin.address, action], {
        type: 'permission_denied',
        severity: 3,
        risk: 10,
        userId: access.userId,
        username: access.username,
        sessionId,
        ...origin,
        details: {
          action,
          ...(resource === undefined ? {} : { resource: resource.slice(0, 200) }),
          reason,
          with: kind,
          credential: id,
        },
      });
    },

    limited(what, origin, caller) {
      notes.note([caller?.access.userId, origin.address, what], {
        type: 'rate_limit_exceeded',
        severity: 3,
        risk: 20,
        userId: caller?.access.userId,
        username: caller?.access.username,
        sessionId: caller?.sessionId,
        ...origin,
        details: { limit: what },
      });
    },

    flood(address) {
      notes.note([address], {
        type: 'ddos_detected',
        severity: 3,
        risk: 60,
        address,
        details: { reason: 'far more requests came from the address than it usually sends' },
      });
    },

    async metrics() {
      const [performance, health] = [
        await database.query(selectPerformance()),
        await database.query(selectHealth()),
      ];
      return {
        performance: performance.map(({ metric, avg, p95, sample_size: samples, unit }) => ({
          metric,
          avg,
          p95,
          samples: Number(samples),
          unit,
        })),
        health: health.map((row) => ({
          component: row.component,
          status: row.status,
          value: row.value,
          healthyBelow: row.healthy_below,
          warningBelow: row.warning_below,
          unit: row.unit,
        })),
      };
    },

    flush: notes.flush,
    close: notes.close,
  };
}

interface Note {
  readonly id: string;
  readonly event: NewEvent;
  readonly sinceMs: number;
  count: number;
  /** How often it had happened when it was last written. */
  written: number;
}

/**
 * Events of no transaction of their own: kept for a moment so that a flood of refusals costs one
 * statement a second, and none of them waits for the database.
 */
function createNotes({ database, clock, log }: Parts, capacity: number) {
  const open = new Map<string, Note>();
  let over: Note[] = [];
  let dropped = 0;
  let cancel: (() => void) | undefined;
  let writing: Promise<void> = Promise.resolve();
  let isClosed = false;

  function note(alike: readonly unknown[], event: NewEvent): void {
    const key = JSON.stringify([event.type, ...alike]);
    const known = open.get(key);
    const nowMs = clock.monotonicMs();
    if (known !== undefined && nowMs - known.sinceMs < alikeForMs) {
      known.count += 1;
    } else {
      if (known !== undefined) {
        open.delete(key);
        if (known.count > known.written) over.push(known);
      }
      if (open.size + over.length >= capacity) dropped += 1;
      else open.set(key, { id: newId(), event, sinceMs: nowMs, count: 1, written: 0 });
    }
    schedule();
  }

  function schedule(): void {
    if (isClosed) return;
    cancel ??= clock.after(flushEveryMs, () => {
      cancel = undefined;
      void flush().finally(() => {
        if (open.size > 0 || over.length > 0 || dropped > 0) schedule();
      });
    });
  }

  function flush(): Promise<void> {
    writing = writing.then(write).catch((error: unknown) => {
      log.warn({ err: error }, 'security events can not be written now and are kept');
    });
    return writing;
  }

  async function write(): Promise<void> {
    const due = [...over, ...open.values()].filter(({ count, written }) => count > written);
    const counts = due.map(({ count }) => count);
    const lost = dropped;
    if (due.length > 0 || lost > 0) {
      const told = due.map(({ event, count }) => ({
        ...event,
        details: { ...event.details, count },
      }));
      const events = lost === 0 ? told : [...told, overflow(lost, capacity)];
      const ids = [...due.map(({ id }) => id), ...(lost === 0 ? [] : [newId()])];
      await database.query(upsertSecurityEvents(ids, eventColumns(events)));
    }
    dropped -= lost;
    for (const [index, written] of due.entries()) written.written = counts[index] ?? 0;
    over = over.filter(({ count, written }) => count > written);
    const nowMs = clock.monotonicMs();
    for (const [key, { sinceMs, count, written }] of open) {
      if (count === written && nowMs - sinceMs >= alikeForMs) open.delete(key);
    }
  }

  return {
    note,
    flush,
    async close() {
      isClosed = true;
      cancel?.();
      await flush();
    },
  };
}

function overflow(count: number, capacity: number): NewEvent {
  return {
    type: 'suspicious_activity',
    severity: 4,
    risk: 70,
    details: {
      reason: `more than ${capacity} different refusals at a time; the rest is counted`,
      count,
    },
  };
}

function checkType(type: string): string {
  const known: readonly string[] = eventTypes;
  if (known.includes(type)) return type;
  const near = suggest(type, known);
  throw new AppError(
    'invalid_input',
    `there is no type of event ${JSON.stringify(type.slice(0, 80))}`,
    {
      details: { field: 'type', types: known },
      remedy: near === undefined ? `The types are ${known.join(', ')}.` : `Did you mean ${near}?`,
    },
  );
}

function timeOf(since: string): Date {
  const at = new Date(since);
  if (/^\d{4}-\d\d-\d\d/.test(since) && !Number.isNaN(at.getTime())) return at;
  throw new AppError('invalid_input', 'since is no time', {
    details: { field: 'since' },
    remedy: 'Write it as 2030-01-31T12:00:00Z.',
  });
}

function infoFrom(row: EventRow): SecurityEvent {
  return {
    id: row.event_id,
    at: row.occurred_at.toISOString(),
    type: row.event_type,
    severity: row.severity,
    risk: row.risk_score,
    ...(row.user_id === null ? {} : { userId: row.user_id }),
    ...(row.username === null ? {} : { username: row.username }),
    ...(row.session_id === null ? {} : { sessionId: row.session_id }),
    ...(row.ip_address === null ? {} : { address: row.ip_address }),
    ...(row.user_agent === null ? {} : { userAgent: row.user_agent }),
    details: row.details,
  };
}
