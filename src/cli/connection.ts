import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { AppError } from '../base/base.ts';
import { createClient, type Client, type ClientOptions } from '../client/client.ts';
import type { CliContext } from './context.ts';
import { freshToken } from './credentials.ts';

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

/** What of a command says which server is meant, and as whom. */
export type Meant = Pick<CliContext, 'config' | 'server' | 'env' | 'cwd' | 'clock'>;

/**
 * The server that is meant and how to get in: the one of `--server` or CENTURIA_SERVER, with an API key or
 * the stored login; otherwise the one that runs on the data folder, with an API key or the folder's
 * token. Throws `server_not_running`, and `denied` when the token is not ours to read.
 */
export function meantServer(context: Meant): Pick<ClientOptions, 'baseUrl' | 'token'> {
  const named = serverUrl(context);
  const key = apiKey(context);
  if (named !== undefined) {
    return { baseUrl: named, token: key ?? (() => freshToken(context, named)) };
  }
  const { home } = context.config();
  const server = findServer(home);
  if (server === undefined) {
    throw new AppError('server_not_running', `no Centuria is running on ${home}`, {
      details: { home },
      remedy: 'Start it: centuria up',
    });
  }
  return { baseUrl: server.bridgeUrl, token: key ?? readToken(home) };
}

/** A client of the server that is meant. Throws as `meantServer`. */
export function connect(context: Meant): Client {
  return createClient(meantServer(context));
}

/** The server of `--server` or CENTURIA_SERVER without a slash at its end. Throws `usage`. */
export function serverUrl({ server, env }: Pick<CliContext, 'server' | 'env'>): string | undefined {
  const given = server ?? (env['CENTURIA_SERVER'] || undefined);
  if (given === undefined) return undefined;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const isPlain =
    url !== undefined &&
    (url.protocol === 'http:' || url.protocol === 'https:') &&
    `${url.username}${url.password}${url.search}${url.hash}` === '';
  if (isPlain) return url.href.replace(/\/+$/, '');
  throw new AppError(
    'usage',
    `${server === undefined ? 'CENTURIA_SERVER' : '--server'} is no address of a server`,
    {
      remedy: 'It looks like https://centuria.example.com: no name, password or query in it.',
    },
  );
}

/** CENTURIA_API_KEY, or what the file in CENTURIA_API_KEY_FILE holds: never a flag, since command lines are public. */
function apiKey({ env, cwd }: Pick<CliContext, 'env' | 'cwd'>): string | undefined {
  const key = env['CENTURIA_API_KEY'] || undefined;
  const file = env['CENTURIA_API_KEY_FILE'] || undefined;
  if (file === undefined) return key === undefined ? undefined : sane(key, 'CENTURIA_API_KEY');
  if (key !== undefined) {
    throw new AppError(
      'config_invalid',
      'both CENTURIA_API_KEY and CENTURIA_API_KEY_FILE are set',
      {
        remedy: 'Unset one of them.',
      },
    );
  }
  const where = `CENTURIA_API_KEY_FILE (${file})`;
  let content: string;
  try {
    content = readFileSync(resolve(cwd, file), 'utf8');
  } catch (cause) {
    throw new AppError('config_invalid', `${where}: can not be read`, { cause });
  }
  return sane(content, where);
}

/** What can't stand in a header would be repeated by the error of the one who refuses it. */
function sane(given: string, where: string): string {
  const key = given.trim();
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw new AppError('config_invalid', `${where}: is no API key`);
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
