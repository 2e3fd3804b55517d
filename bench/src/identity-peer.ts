/**
 * A process of its own: better-auth on the PostgreSQL of DATABASE_URL, behind node:http, with the
 * password hash of ours and its limits off. Prints `ready` with its port and its users' sessions.
 */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hash, verify } from '@node-rs/argon2';
import { Pool } from 'pg';
import { hashCosts, password } from './identity-data.ts';

/** What is called of it. Its types are not there where it is not installed. */
interface BetterAuth {
  readonly $context: Promise<{ runMigrations(): Promise<void> }>;
  readonly api: {
    signUpEmail(request: {
      body: { email: string; password: string; name: string };
      asResponse: true;
    }): Promise<Response>;
  };
}

const packages = { auth: 'better-auth', node: 'better-auth/node' };
const { betterAuth } = (await import(packages.auth)) as {
  betterAuth(options: object): BetterAuth;
};
const { toNodeHandler } = (await import(packages.node)) as {
  toNodeHandler(auth: BetterAuth): RequestListener;
};

const auth = betterAuth({
  database: new Pool({ connectionString: process.env['DATABASE_URL'], max: 10 }),
  secret: 'a secret of a measurement that is long enough to be taken',
  baseURL: 'http://127.0.0.1',
  emailAndPassword: {
    enabled: true,
    password: {
      hash: (text: string) => hash(text, hashCosts),
      verify: (given: { hash: string; password: string }) => verify(given.hash, given.password),
    },
  },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { level: 'error' },
  advanced: { disableCSRFCheck: true, disableOriginCheck: true },
});
await (await auth.$context).runMigrations();

const cookies: string[] = [];
for (let number = 1; number <= Number(process.argv[2]); number += 1) {
  const body = { email: `peer-${number}@example.org`, password, name: `Peer ${number}` };
  const answer = await auth.api.signUpEmail({ body, asResponse: true });
  if (!answer.ok) throw new Error(`signing up: ${answer.status} ${await answer.text()}`);
  cookies.push(
    answer.headers
      .getSetCookie()
      .map((one) => one.split(';', 1)[0])
      .join('; '),
  );
}

const handler = toNodeHandler(auth);
const server = createServer(handler).listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`ready ${JSON.stringify({ port, cookies })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
