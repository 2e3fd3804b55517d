import type { FastifyReply } from 'fastify';
import type { Identity, SignInResult } from '../identity/identity.ts';
import { answers } from './answers.ts';
import { originOf } from './callers.ts';
import type { Guard } from './guard.ts';
import type { Http } from './http.ts';
import {
  loginSchema,
  passkeyLoginSchema,
  passkeyOptionsSchema,
  secondFactorSchema,
} from './identity-requests.ts';
import {
  passkeyChallengeSchema,
  signedInSchema,
  signInStateSchema,
  type SignedIn,
} from './identity-schemas.ts';
import type { RouteParts } from './parts.ts';

const tags = ['sign in'];
const config = { open: true } as const;

/** The ways in: a password, a second factor, a passkey. The limits of these are identity's own. */
export function signInRoutes(app: Http, { identity, guard }: RouteParts): void {
  stateRoute(app, identity);
  passwordRoutes(app, identity, guard);
  passkeyRoutes(app, identity, guard);
}

function stateRoute(app: Http, { principals }: Identity): void {
  app.get(
    '/api/v1/login',
    {
      config,
      schema: {
        tags,
        operationId: 'getSignInState',
        summary: 'Whether there is anybody who could sign in yet.',
        security: [],
        response: answers({ 200: signInStateSchema }),
      },
    },
    async () => {
      const { items, nextCursor } = await principals.list({
        kind: 'user',
        status: 'active',
        limit: 200,
      });
      // Users beyond the first page are users: nobody makes two hundred that can't sign in.
      const hasUsers = items.some(canSignIn) || nextCursor !== undefined;
      return { hasUsers };
    },
  );
}

function passwordRoutes(app: Http, { signIn }: Identity, guard: Guard): void {
  app.post(
    '/api/v1/login',
    {
      config,
      schema: {
        tags,
        operationId: 'login',
        summary:
          'Signs in with a password; where a second factor is needed, gives a ticket for it.',
        description: 'For a browser the token is in the cookie only.',
        security: [],
        body: loginSchema,
        response: answers({ 200: signedInSchema }),
      },
    },
    async (request, reply) =>
      sendResult(reply, guard, await signIn.password({ ...request.body, ...originOf(request) })),
  );

  app.post(
    '/api/v1/login/second-factor',
    {
      config,
      schema: {
        tags,
        operationId: 'loginSecondFactor',
        summary: 'The second factor of a ticket: a code of the authenticator, or a recovery code.',
        security: [],
        body: secondFactorSchema,
        response: answers({ 200: signedInSchema }),
      },
    },
    async (request, reply) => {
      const { ticket, code } = request.body;
      return sendResult(reply, guard, await signIn.secondFactor(ticket, code, originOf(request)));
    },
  );
}

function passkeyRoutes(app: Http, { signIn }: Identity, guard: Guard): void {
  app.post(
    '/api/v1/login/passkey/options',
    {
      config,
      schema: {
        tags,
        operationId: 'getPasskeyOptions',
        summary: 'What a browser asks an authenticator with.',
        security: [],
        body: passkeyOptionsSchema,
        response: answers({ 200: passkeyChallengeSchema }),
      },
    },
    (request) => signIn.passkeyOptions(request.body.ticket, originOf(request)),
  );

  app.post(
    '/api/v1/login/passkey',
    {
      config,
      schema: {
        tags,
        operationId: 'loginPasskey',
        summary: 'Signs in with what an authenticator answered.',
        security: [],
        body: passkeyLoginSchema,
        response: answers({ 200: signedInSchema }),
      },
    },
    async (request, reply) => {
      const { challenge, answer, as } = request.body;
      const result = await signIn.passkey(challenge, answer, { as, ...originOf(request) });
      return sendResult(reply, guard, result);
    },
  );
}

function canSignIn(principal: { hasPassword: boolean; passkeys: number }): boolean {
  return principal.hasPassword || principal.passkeys > 0;
}

/**
 * A browser's token goes into the cookie and nowhere else, where no script can read it. It is told
 * from a client's by having no refresh token, since a ticket keeps who asked for it.
 */
function sendResult(reply: FastifyReply, guard: Guard, result: SignInResult): FastifyReply {
  if (result.outcome === 'second_factor') {
    return reply.send({ ...result, methods: [...result.methods] } satisfies SignedIn);
  }
  const { tokens, username, mustChangePassword } = result;
  const about = { outcome: 'signed_in', username, mustChangePassword } as const;
  if (tokens.refreshToken !== undefined) {
    return reply.send({ ...about, tokens } satisfies SignedIn);
  }
  return reply
    .header('set-cookie', guard.sessionCookie(tokens.accessToken, tokens.expiresInSeconds))
    .send(about satisfies SignedIn);
}
