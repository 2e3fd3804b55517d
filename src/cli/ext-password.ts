/** The password of a target's server: from the environment or a password file, never from a command line. */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '../base/base.ts';

/** What a password file is looked up by. */
export interface PasswordFor {
  /** As libpq compares it: a folder of a socket is called `localhost` too. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * The first of: the setting `extPassword`, PGPASSWORD, the file of PGPASSFILE or ~/.pgpass. Undefined where
 * none has one. Throws `denied` for a password file that others can read, which libpq passes over in silence.
 */
export async function findPassword(
  env: Readonly<Record<string, string | undefined>>,
  setting: string,
  wanted: PasswordFor,
): Promise<string | undefined> {
  if (setting !== '') return setting;
  const own = env['PGPASSWORD'] ?? '';
  if (own !== '') return own;
  const named = env['PGPASSFILE'] ?? '';
  const path = named === '' ? join(env['HOME'] ?? homedir(), '.pgpass') : named;
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT' && named === '') return undefined;
    throw new AppError('not_found', `the password file ${path} can not be read`, { cause });
  });
  if (text === undefined) return undefined;
  const found = lookUp(text, wanted);
  if (found !== undefined && ((await stat(path)).mode & 0o077) !== 0) {
    throw new AppError('denied', `others can read the password file ${path}`, {
      remedy: `chmod 600 ${path}`,
    });
  }
  return found;
}

/** `host:port:database:user:password`, the first line that fits; `*` fits all, `\` escapes. */
export function lookUp(text: string, wanted: PasswordFor): string | undefined {
  const { port, database, user } = wanted;
  const hosts = wanted.host.startsWith('/') ? [wanted.host, 'localhost'] : [wanted.host];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map(([, field = '']) =>
      field.replaceAll(/\\(.)/g, '$1'),
    );
    const [host, ownPort, ownDatabase, ownUser, password] = fields;
    if (password === undefined || password === '') continue;
    if (
      fits(host, hosts) &&
      fits(ownPort, [String(port)]) &&
      fits(ownDatabase, [database]) &&
      fits(ownUser, [user])
    ) {
      return password;
    }
  }
  return undefined;
}

function fits(pattern: string | undefined, values: readonly string[]): boolean {
  return pattern === '*' || (pattern !== undefined && values.includes(pattern));
}
