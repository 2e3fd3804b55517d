import { Type } from 'typebox';
import { AppError } from '../base/base.ts';
import { assertAllowed, type Caller, type Identity } from '../identity/identity.ts';
import { answers } from './answers.ts';
import { assertInPerson, callerOf, nameOf, spelled, spelledRole } from './callers.ts';
import type { Http } from './http.ts';
import {
  newPasswordSchema,
  newPrincipalSchema,
  page,
  principalChangeSchema,
  roleGrantSchema,
} from './identity-requests.ts';
import { passkeyListSchema, principalPageSchema, principalSchema } from './identity-schemas.ts';
import { nameParam, plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { oneOf } from './schema-terms.ts';

const tags = ['principals'];
const reading = { action: 'users.read', resource: nameOf } as const;
const writing = { action: 'users.write', resource: nameOf } as const;
/** Whoever gives a role needs the right for that role, whoever gets it. */
const granting = {
  action: 'roles.write',
  resource: ({ params }: { params: unknown }) => spelledRole((params as { role?: unknown }).role),
} as const;
const roleParam = Type.Object({ name: plainText, role: plainText });

/** Principals: who there is, their state, roles, passwords and second factors. */
export function principalRoutes(app: Http, { identity }: RouteParts): void {
  listAndCreate(app, identity);
  oneRoutes(app, identity);
  roleGrantRoutes(app, identity);
  credentialRoutes(app, identity);
}

function listAndCreate(app: Http, { principals }: Identity): void {
  app.get(
    '/api/v1/principals',
    {
      config: { action: 'users.read' },
      schema: {
        tags,
        operationId: 'listPrincipals',
        summary: 'Users and agents, by name.',
        querystring: Type.Object(
          {
            kind: Type.Optional(oneOf(['user', 'agent'])),
            status: Type.Optional(oneOf(['active', 'disabled'])),
            role: Type.Optional(plainText),
            ...page,
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: principalPageSchema }),
      },
    },
    (request) => principals.list(request.query),
  );

  app.post(
    '/api/v1/principals',
    {
      config: { action: 'self' },
      schema: {
        tags,
        operationId: 'createPrincipal',
        summary: 'A new user or agent; needs users.write, and roles.write for each role.',
        body: newPrincipalSchema,
        response: answers({ 201: principalSchema }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const username = spelled(request.body.username);
      assertAllowed(caller, 'users.write', username);
      for (const role of request.body.roles ?? []) {
        assertAllowed(caller, 'roles.write', spelledRole(role));
      }
      const made = await principals.create({ ...request.body, username }, caller);
      const location = `/api/v1/principals/${encodeURIComponent(made.username)}`;
      return reply.code(201).header('location', location).send(made);
    },
  );
}

function oneRoutes(app: Http, { principals }: Identity): void {
  app.get(
    '/api/v1/principals/:name',
    {
      config: reading,
      schema: {
        tags,
        operationId: 'getPrincipal',
        summary: 'One principal with its roles and state.',
        params: nameParam,
        response: answers({ 200: principalSchema }),
      },
    },
    (request) => principals.get(nameOf(request)),
  );

  app.patch(
    '/api/v1/principals/:name',
    {
      config: writing,
      schema: {
        tags,
        operationId: 'updatePrincipal',
        summary: 'Changes what is given. Disabling ends all sessions at once.',
        params: nameParam,
        body: principalChangeSchema,
        response: answers({ 200: principalSchema }),
      },
    },
    (request) => principals.update(nameOf(request), request.body, callerOf(request)),
  );

  app.delete(
    '/api/v1/principals/:name',
    {
      config: writing,
      schema: {
        tags,
        operationId: 'deletePrincipal',
        summary: 'Deletes a principal with its sessions and keys; what it did stays in the record.',
        params: nameParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await principals.remove(nameOf(request), callerOf(request));
      return reply.code(204).send();
    },
  );
}

function roleGrantRoutes(app: Http, { principals }: Identity): void {
  app.put(
    '/api/v1/principals/:name/roles/:role',
    {
      config: granting,
      schema: {
        tags,
        operationId: 'grantRole',
        summary: 'Gives a role, or changes until when.',
        params: roleParam,
        body: roleGrantSchema,
        response: answers({ 200: principalSchema }),
      },
    },
    (request) =>
      principals.grantRole(
        nameOf(request),
        request.params.role,
        request.body.expiresAt,
        callerOf(request),
      ),
  );

  app.delete(
    '/api/v1/principals/:name/roles/:role',
    {
      config: granting,
      schema: {
        tags,
        operationId: 'revokeRole',
        summary: 'Takes a role away; it counts from the next request on.',
        params: roleParam,
        response: answers({ 200: principalSchema }),
      },
    },
    (request) => principals.revokeRole(nameOf(request), request.params.role, callerOf(request)),
  );
}

/** One's own password is changed by who knows it: an open session that was stolen is not enough. */
function assertNotOwn({ access, kind }: Caller, name: string): void {
  if (name !== access.username || kind === 'owner') return;
  throw new AppError('denied', 'your own password is changed with the present one', {
    remedy: 'PUT /api/v1/me/password.',
  });
}

function credentialRoutes(app: Http, { principals, secondFactors }: Identity): void {
  const done = answers({ 204: Type.Null() });

  app.put(
    '/api/v1/principals/:name/password',
    {
      config: writing,
      schema: {
        tags,
        operationId: 'setPassword',
        summary: 'Sets a password and ends all sessions of the principal.',
        params: nameParam,
        body: newPasswordSchema,
        response: done,
      },
    },
    async (request, reply) => {
      const { password, mustChange } = request.body;
      const options = mustChange === undefined ? {} : { mustChange };
      const caller = callerOf(request);
      assertNotOwn(caller, nameOf(request));
      await principals.setPassword(nameOf(request), password, options, caller);
      return reply.code(204).send();
    },
  );

  app.post(
    '/api/v1/principals/:name/unlock',
    {
      config: writing,
      schema: {
        tags,
        operationId: 'unlockPrincipal',
        summary: 'Forgets wrong tries, so that a locked name can sign in.',
        params: nameParam,
        response: done,
      },
    },
    async (request, reply) => {
      await principals.unlock(nameOf(request), callerOf(request));
      return reply.code(204).send();
    },
  );

  app.delete(
    '/api/v1/principals/:name/totp',
    {
      config: writing,
      schema: {
        tags,
        operationId: 'removeTotpOf',
        summary: 'Turns the authenticator off, for somebody who has lost it.',
        params: nameParam,
        response: done,
      },
    },
    async (request, reply) => {
      await secondFactors.removeTotp(nameOf(request), callerOf(request));
      return reply.code(204).send();
    },
  );

  app.get(
    '/api/v1/principals/:name/passkeys',
    {
      config: reading,
      schema: {
        tags,
        operationId: 'listPasskeysOf',
        summary: 'The passkeys of a principal.',
        params: nameParam,
        response: answers({ 200: passkeyListSchema }),
      },
    },
    async (request, reply) =>
      reply.send({ items: [...(await secondFactors.passkeys(nameOf(request)))] }),
  );

  app.delete(
    '/api/v1/principals/:name/passkeys/:id',
    {
      config: writing,
      schema: {
        tags,
        operationId: 'removePasskeyOf',
        summary: 'Takes a passkey away, for somebody who has lost it.',
        params: Type.Object({ name: plainText, id: plainText }),
        response: done,
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      if (nameOf(request) === caller.access.username) assertInPerson(caller);
      await secondFactors.removePasskey(nameOf(request), request.params.id, caller);
      return reply.code(204).send();
    },
  );
}
