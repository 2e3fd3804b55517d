/** The login of this person: tokens in a file that only he can read, renewed by one command at a time. */
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { AppError } from '../base/base.ts';
import { refreshLogin, type LoginTokens } from '../client/client.ts';
import type { CliContext } from './context.ts';

const storedLogin = Type.Object({
  server: Type.String(),
  accessToken: Type.String(),
  refreshToken: Type.String(),
  expiresAt: Type.String({ format: 'date-time' }),
});
export type StoredLogin = Static<typeof storedLogin>;

/** A token that ends while the request is on its way would be refused. */
const marginMs = 30_000;
/** Another command that renews the login needs one request. */
const lockTries = { times: 300, pauseMs: 50 };

type Where = Pick<CliContext, 'env' | 'clock'>;

export function configFolder({ env }: Pick<CliContext, 'env'>): string {
  const base = env['XDG_CONFIG_HOME'];
  // The specification has relative paths ignored.
  if (base !== undefined && base.startsWith('/')) return join(base, 'centuria');
  return join(env['HOME'] || homedir(), '.config', 'centuria');
}

/** The stored login, or undefined. Throws `config_invalid` for a file that is not one. */
export async function readLogin(
  context: Pick<CliContext, 'env'>,
): Promise<StoredLogin | undefined> {
  const path = loginPath(context);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new AppError('denied', `${path} can not be read`, { cause: error });
  }
  // Not parsed with a message: that would quote a token.
  const content: unknown = parsed(text);
  if (Value.Check(storedLogin, content)) return content;
  throw new AppError('config_invalid', `${path} is no stored login`, {
    remedy: 'Delete it and sign in again: centuria login',
  });
}

export async function writeLogin(
  context: Where,
  server: string,
  tokens: LoginTokens,
): Promise<StoredLogin> {
  const login: StoredLogin = {
    server,
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    expiresAt: new Date(context.clock.nowMs() + tokens.expiresInSeconds * 1_000).toISOString(),
  };
  const path = loginPath(context);
  await makeFolder(context);
  const draft = `${path}.${process.pid}.new`;
  await writeFile(draft, `${JSON.stringify(login, undefined, 2)}\n`, { mode: 0o600 });
  await rename(draft, path);
  return login;
}

export async function forgetLogin(context: Pick<CliContext, 'env'>): Promise<void> {
  await rm(loginPath(context), { force: true });
}

/**
 * An access token for the server that counts now. One that is over is renewed before and kept: under
 * a lock, since a refresh token that two commands use ends the session. Throws `unauthenticated`.
 */
export async function freshToken(context: Where, server: string): Promise<string> {
  const login = await loginAt(context, server);
  if (isFresh(login, context)) return login.accessToken;
  return underLock(context, async () => {
    // Another command may have renewed it meanwhile.
    const now = await loginAt(context, server);
    if (isFresh(now, context)) return now.accessToken;
    const tokens = await refreshLogin(server, now.refreshToken);
    return (await writeLogin(context, server, tokens)).accessToken;
  });
}

async function loginAt(context: Where, server: string): Promise<StoredLogin> {
  const login = await readLogin(context);
  if (login?.server === server) return login;
  const why = login === undefined ? 'you are not signed in' : `your login is for ${login.server}`;
  throw new AppError('unauthenticated', `there is no credential for ${server}: ${why}`, {
    remedy: `Sign in with centuria login --server ${server}, or set CENTURIA_API_KEY_FILE.`,
  });
}

function isFresh({ expiresAt }: StoredLogin, { clock }: Where): boolean {
  return Date.parse(expiresAt) - marginMs > clock.nowMs();
}

async function underLock<Result>(context: Where, work: () => Promise<Result>): Promise<Result> {
  const { lockHome } = await import('../database/database.ts');
  const folder = await makeFolder(context);
  for (let left = lockTries.times; ; left -= 1) {
    try {
      const lock = await lockHome(folder, context.clock);
      try {
        return await work();
      } finally {
        lock.release();
      }
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'home_locked') throw error;
      if (left === 0) {
        throw new AppError(
          'unavailable',
          'another command is renewing your login and does not end',
          {
            cause: error,
            remedy: `If there is none, delete ${join(folder, 'lock')}.`,
          },
        );
      }
      await context.clock.sleep(lockTries.pauseMs);
    }
  }
}

async function makeFolder(context: Pick<CliContext, 'env'>): Promise<string> {
  const folder = configFolder(context);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // It may be there from before, more open.
  await chmod(folder, 0o700);
  return folder;
}

function loginPath(context: Pick<CliContext, 'env'>): string {
  return join(configFolder(context), 'credentials.json');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
