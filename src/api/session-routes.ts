import { Type } from 'typebox';
import { AppError } from '../base/base.ts';
import { assertAllowed, type Caller, type Identity } from '../identity/identity.ts';
import { answers } from './answers.ts';
import { assertInPerson, callerOf, nameOf, spelled } from './callers.ts';
import type { Http } from './http.ts';
import { page } from './identity-requests.ts';
import { endedSessionsSchema, sessionPageSchema } from './identity-schemas.ts';
import { nameParam, plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';

const tags = ['sessions'];
const idParam = Type.Object({ id: plainText });
const filters = {
  active: Type.Optional(
    Type.Boolean({ description: 'true: only those that count now', default: false }),
  ),
  ...page,
};

/** Sessions of everybody, and the caller's own. An ended one is refused from the next request on. */
export function sessionRoutes(app: Http, parts: RouteParts): void {
  allSessionRoutes(app, parts.identity);
  ownSessionRoutes(app, parts);
}

function allSessionRoutes(app: Http, { sessions }: Identity): void {
  app.get(
    '/api/v1/sessions',
    {
      config: { action: 'self' },
      schema: {
        tags,
        operationId: 'listSessions',
        summary: 'Sessions, newest first; needs users.read, on the user where one is named.',
        querystring: Type.Object(
          { user: Type.Optional(plainText), ...filters },
          { additionalProperties: false },
        ),
        response: answers({ 200: sessionPageSchema }),
      },
    },
    (request) => {
      const { user: given, active, ...rest } = request.query;
      const user = given === undefined ? {} : { user: spelled(given) };
      assertAllowed(callerOf(request), 'users.read', user.user);
      return sessions.list({ ...rest, ...user, onlyActive: active === true });
    },
  );

  app.delete(
    '/api/v1/sessions/:id',
    {
      // Whose it is stands in the row only, so this asks for the right over everybody.
      config: { action: 'users.write' },
      schema: {
        tags,
        operationId: 'endSession',
        summary: 'Ends a session.',
        params: idParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await sessions.end(request.params.id, 'ended by an administrator', callerOf(request));
      return reply.code(204).send();
    },
  );

  app.delete(
    '/api/v1/principals/:name/sessions',
    {
      config: { action: 'users.write', resource: nameOf },
      schema: {
        tags,
        operationId: 'endSessionsOf',
        summary: 'Ends all sessions of a principal.',
        params: nameParam,
        response: answers({ 200: endedSessionsSchema }),
      },
    },
    async (request, reply) => {
      const reason = 'ended by an administrator';
      const ended = await sessions.endAll(nameOf(request), reason, callerOf(request));
      return reply.send({ ended });
    },
  );
}

function ownSessionRoutes(app: Http, { identity, guard }: RouteParts): void {
  const { sessions } = identity;

  app.get(
    '/api/v1/me/sessions',
    {
      config: { action: 'self' },
      schema: {
        tags: ['me'],
        operationId: 'listMySessions',
        summary: 'Your sessions, newest first.',
        querystring: Type.Object(filters, { additionalProperties: false }),
        response: answers({ 200: sessionPageSchema }),
      },
    },
    (request) => {
      const { active, ...rest } = request.query;
      const { userId } = callerOf(request).access;
      return sessions.list({ ...rest, user: userId, onlyActive: active === true });
    },
  );

  app.delete(
    '/api/v1/me/sessions',
    {
      config: { action: 'self' },
      schema: {
        tags: ['me'],
        operationId: 'endMyOtherSessions',
        summary: 'Ends all of your sessions but the one that asks.',
        response: answers({ 200: endedSessionsSchema }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const { userId } = caller.access;
      const reason = 'ended by its user';
      const ended = await sessions.endAll(userId, reason, caller, caller.sessionId);
      return reply.send({ ended });
    },
  );

  app.delete(
    '/api/v1/me/sessions/:id',
    {
      config: { action: 'self' },
      schema: {
        tags: ['me'],
        operationId: 'endMySession',
        summary: 'Ends one of your sessions; `current` signs this client out.',
        params: idParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const { id } = request.params;
      if (id === 'current') {
        await sessions.end(currentSession(caller), 'signed out', caller);
        // Also where the caller came with a token: a browser that has the cookie must lose it.
        void reply.header('set-cookie', guard.sessionCookie('', 0));
      } else {
        assertInPerson(caller);
        await sessions.end(await ownSession(identity, caller, id), 'ended by its user', caller);
      }
      return reply.code(204).send();
    },
  );
}

function currentSession({ sessionId, actor }: Caller): string {
  // Whoever acts for somebody has a token on that session, and not the session.
  if (sessionId !== undefined && actor === undefined) return sessionId;
  throw new AppError('conflict', 'this credential has no session to end', {
    remedy: 'API keys are revoked: centuria token revoke. The data folder’s token is its file.',
  });
}

/** The id, if the session is the caller's; another's is as unknown as none. */
async function ownSession({ sessions }: Identity, caller: Caller, id: string): Promise<string> {
  for (let cursor: string | undefined; ;) {
    const found = await sessions.list({
      user: caller.access.userId,
      onlyActive: true,
      limit: 500,
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (found.items.some((session) => session.id === id)) return id;
    cursor = found.nextCursor;
    if (cursor === undefined) break;
  }
  throw new AppError('not_found', `you have no session ${id} that counts`, {
    remedy: 'GET /api/v1/me/sessions?active=true lists them.',
  });
}
