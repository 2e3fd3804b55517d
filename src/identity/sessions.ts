/** Open and former sessions: who is signed in where, and ending that. */
import { AppError } from '../base/base.ts';
import { findPrincipal, tellOf } from './administering.ts';
import type { SessionInfo, Sessions } from './administration.ts';
import { checkText, isUuid } from './names.ts';
import { pageOf, pageSize, readCursor, uuidShape } from './pages.ts';
import type { Parts } from './parts.ts';
import { endSession, endSessionsOf, selectSessions, type SessionRow } from './session-queries.ts';

const mostReasonCharacters = 200;

export function createSessions(parts: Parts): Sessions {
  const { database, applyChange } = parts;
  return {
    async list({ user, onlyActive, limit, cursor }) {
      const size = pageSize(limit);
      const [after] = readCursor(cursor, [uuidShape]) ?? [];
      const userId = user === undefined ? null : (await findPrincipal(database, user)).user_id;
      const live = onlyActive === true;
      const rows = await database.query(selectSessions(userId, live, after ?? null, size + 1));
      return pageOf(rows, size, infoFrom, (row) => [row.session_id]);
    },

    async end(sessionId, reason, by) {
      const why = checkText('reason', reason, mostReasonCharacters);
      const id = sessionId.toLowerCase();
      await database.transaction(async (transaction) => {
        const [ended] = isUuid(id) ? await transaction.query(endSession(id, why)) : [];
        if (ended === undefined) throw noSession(sessionId);
        await tellOf(transaction, parts, by, {
          type: 'session_ended',
          userId: ended.user_id,
          sessionId: id,
          details: { reason: why },
        });
      });
      applyChange('session', id);
    },

    async endAll(nameOrId, reason, by, except) {
      const why = checkText('reason', reason, mostReasonCharacters);
      const kept = except?.toLowerCase() ?? null;
      if (kept !== null && !isUuid(kept)) throw noSession(except ?? '');
      const ended = await database.transaction(async (transaction) => {
        const user = await findPrincipal(transaction, nameOrId);
        const rows = await transaction.query(endSessionsOf(user.user_id, why, kept));
        if (rows.length === 0) return rows;
        await tellOf(transaction, parts, by, {
          type: 'session_ended',
          userId: user.user_id,
          username: user.username,
          details: { reason: why, sessions: rows.length },
        });
        return rows;
      });
      for (const { session_id: id } of ended) applyChange('session', id);
      return ended.length;
    },
  };
}

function noSession(sessionId: string): AppError {
  const shown = sessionId.slice(0, 80);
  return new AppError('not_found', `there is no open session ${JSON.stringify(shown)}`, {
    details: { session: shown },
    remedy: 'centuria session list shows those that are open.',
  });
}

function infoFrom(row: SessionRow): SessionInfo {
  return {
    id: row.session_id,
    username: row.username,
    method: row.login_method,
    ...(row.ip_address === null ? {} : { address: row.ip_address }),
    userAgent: row.user_agent,
    createdAt: row.created_at.toISOString(),
    lastActivity: row.last_activity.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    isActive: row.is_active,
    ...(row.end_reason === null ? {} : { endReason: row.end_reason }),
  };
}
