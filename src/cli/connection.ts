import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { AppError } from '../base/base.ts';
import { createClient, type Client } from '../client/client.ts';
import type { CliContext } from './context.ts';

const serverInfo = Type.Object({
  pid: Type.Integer({ minimum: 1 }),
  bridgeUrl: Type.String(),
  startedAt: Type.String(),
  version: Type.String(),
});

/** What a running server writes to `<home>/server.json`. */
export type ServerInfo = Static<typeof serverInfo>;

/** The server of a data folder, or undefined when none has said so or the one that did is gone. */
export function findServer(home: string): ServerInfo | undefined {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(join(home, 'server.json'), 'utf8'));
  } catch {
    return undefined;
  }
  return Value.Check(serverInfo, content) && isAlive(content.pid) ? content : undefined;
}

/** Throws `server_not_running`, and `denied` when the token is not ours to read. */
export function connect(context: Pick<CliContext, 'config'>): Client {
  const { home } = context.config();
  const server = findServer(home);
  if (server === undefined) {
    throw new AppError('server_not_running', `no Centuria is running on ${home}`, {
      details: { home },
      remedy: 'Start it: centuria up',
    });
  }
  return createClient({ baseUrl: server.bridgeUrl, token: readToken(home) });
}

function readToken(home: string): string {
  const path = join(home, 'token');
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new AppError('denied', `${path} can not be read`, {
      remedy: 'Only the user who runs the server can read its token: work as that user.',
      cause,
    });
  }
}

/** A process that we may not signal is alive too. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
