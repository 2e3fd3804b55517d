import { Type } from 'typebox';
import { encode } from 'uqr';
import {
  actionNamed,
  actionsIn,
  authorize,
  type Actor,
  type Caller,
  type Identity,
} from '../identity/identity.ts';
import { answers } from './answers.ts';
import { assertInPerson, callerOf, isNarrowed, originOf } from './callers.ts';
import type { Http } from './http.ts';
import {
  codeSchema,
  factorProofSchema,
  newPasskeySchema,
  ownPasswordSchema,
} from './identity-requests.ts';
import {
  accessDecisionSchema,
  meSchema,
  passkeyChallengeSchema,
  passkeyListSchema,
  passkeySchema,
  recoveryCodesSchema,
  totpSecretSchema,
  type Me,
} from './identity-schemas.ts';
import { plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';

const tags = ['me'];
const config = { action: 'self' } as const;
const done = answers({ 204: Type.Null() });

/** The caller about himself: who he is here, his password and second factors. */
export function selfRoutes(app: Http, { identity }: RouteParts): void {
  app.get(
    '/api/v1/me',
    {
      config,
      schema: {
        tags,
        operationId: 'getMe',
        summary: 'Who you are, by which credential, and what you may do with it.',
        response: answers({ 200: meSchema }),
      },
    },
    (request) => describeCaller(identity, callerOf(request)),
  );
  accessRoute(app);
  passwordRoute(app, identity);
  totpRoutes(app, identity);
  passkeyRoutes(app, identity);
}

/** What a proxy or another service asks for each of its requests: nothing but memory is looked at. */
function accessRoute(app: Http): void {
  app.get(
    '/api/v1/me/access',
    {
      config,
      schema: {
        tags,
        operationId: 'checkMyAccess',
        summary: 'Whether you may do something, with the credential that you show.',
        querystring: Type.Object(
          { action: plainText, resource: Type.Optional(plainText) },
          { additionalProperties: false },
        ),
        response: answers({ 200: accessDecisionSchema }),
      },
    },
    (request, reply) => {
      const { action, resource } = request.query;
      return reply.send(authorize(callerOf(request), actionNamed(action), resource));
    },
  );
}

function passwordRoute(app: Http, { principals }: Identity): void {
  app.put(
    '/api/v1/me/password',
    {
      config,
      schema: {
        tags,
        operationId: 'changeMyPassword',
        summary: 'Changes your password; your other sessions end.',
        body: ownPasswordSchema,
        response: done,
      },
    },
    async (request, reply) => {
      const { present, next } = request.body;
      const caller = callerOf(request);
      assertInPerson(caller);
      await principals.changePassword(caller, present, next, originOf(request));
      return reply.code(204).send();
    },
  );
}

function totpRoutes(app: Http, { secondFactors }: Identity): void {
  app.post(
    '/api/v1/me/totp',
    {
      config,
      schema: {
        tags,
        operationId: 'beginTotp',
        summary: 'A secret for an authenticator; it counts when its first code was confirmed.',
        response: answers({ 200: totpSecretSchema }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      assertInPerson(caller);
      const { secret, uri } = await secondFactors.beginTotp(caller);
      return reply.send({ secret, uri, qr: squares(uri) });
    },
  );

  app.post(
    '/api/v1/me/totp/confirm',
    {
      config,
      schema: {
        tags,
        operationId: 'confirmTotp',
        summary: 'Turns the authenticator on; the recovery codes are shown this once.',
        body: codeSchema,
        response: answers({ 200: recoveryCodesSchema }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      assertInPerson(caller);
      const { recoveryCodes } = await secondFactors.confirmTotp(caller, request.body.code);
      return reply.send({ recoveryCodes: [...recoveryCodes] });
    },
  );

  app.delete(
    '/api/v1/me/totp',
    {
      config,
      schema: {
        tags,
        operationId: 'removeMyTotp',
        summary: 'Turns your authenticator off; asks for the password or a code once more.',
        body: factorProofSchema,
        response: done,
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      assertInPerson(caller);
      const proof = { ...request.body, origin: originOf(request) };
      await secondFactors.removeTotp(caller.access.userId, caller, proof);
      return reply.code(204).send();
    },
  );
}

function passkeyRoutes(app: Http, { secondFactors }: Identity): void {
  app.get(
    '/api/v1/me/passkeys',
    {
      config,
      schema: {
        tags,
        operationId: 'listMyPasskeys',
        summary: 'Your passkeys.',
        response: answers({ 200: passkeyListSchema }),
      },
    },
    async (request, reply) =>
      reply.send({ items: [...(await secondFactors.passkeys(callerOf(request).access.userId))] }),
  );

  app.post(
    '/api/v1/me/passkeys/options',
    {
      config,
      schema: {
        tags,
        operationId: 'getPasskeyRegistration',
        summary: 'What a browser makes a new passkey with.',
        response: answers({ 200: passkeyChallengeSchema }),
      },
    },
    (request) => {
      const caller = callerOf(request);
      assertInPerson(caller);
      return secondFactors.passkeyRegistration(caller, originOf(request));
    },
  );

  app.post(
    '/api/v1/me/passkeys',
    {
      config,
      schema: {
        tags,
        operationId: 'addMyPasskey',
        summary: 'Keeps the passkey that an authenticator has made.',
        body: newPasskeySchema,
        response: answers({ 201: passkeySchema }),
      },
    },
    async (request, reply) => {
      const { challenge, answer, name } = request.body;
      const caller = callerOf(request);
      assertInPerson(caller);
      const made = await secondFactors.addPasskey(caller, challenge, answer, name);
      return reply.code(201).send(made);
    },
  );

  app.delete(
    '/api/v1/me/passkeys/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'removeMyPasskey',
        summary: 'Takes one of your passkeys away.',
        params: Type.Object({ id: plainText }),
        response: done,
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      assertInPerson(caller);
      await secondFactors.removePasskey(caller.access.userId, request.params.id, caller);
      return reply.code(204).send();
    },
  );
}

/**
 * As squares and not as a picture: the page draws them itself, so that its policy needs to let in no
 * image from elsewhere and no markup. Readers cope with a smudge at level M.
 */
function squares(text: string): string[] {
  const { data } = encode(text, { ecc: 'M', border: 0 });
  return data.map((row) => row.map((isDark) => (isDark ? '1' : '0')).join(''));
}

async function describeCaller({ principals, access }: Identity, caller: Caller): Promise<Me> {
  const { kind, id, sessionId } = caller;
  const { userId } = caller.access;
  const [principal, rights] = await Promise.all([principals.get(userId), access.can(userId)]);
  return {
    principal: { ...principal, roles: [...principal.roles] },
    credential: { kind, id, ...(sessionId === undefined ? {} : { sessionId }) },
    rights: {
      ...rights,
      roles: [...rights.roles],
      everywhere: [...rights.everywhere],
      some: [...rights.some],
    },
    ...(isNarrowed(caller) ? { scope: actionsIn(caller.within) } : {}),
    actors: chainOf(caller.actor),
  };
}

function chainOf(actor: Actor | undefined): string[] {
  return actor === undefined ? [] : [actor.sub, ...chainOf(actor.act)];
}
