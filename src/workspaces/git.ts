/** Git as workspaces need it: nothing of the user's configuration runs a program. */
import { execFile } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { AppError } from '../base/base.ts';
import { systemCode } from './failure.ts';
import type { BytePath, Head } from './entries.ts';

export interface GitCall {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

export interface GitAnswer {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const settings = [
  ['safe.directory', '*'],
  ['core.fsmonitor', 'false'],
  ['core.hooksPath', '/dev/null'],
  ['core.quotePath', 'off'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['commit.gpgSign', 'false'],
] as const;

const environment = {
  LC_ALL: 'C.UTF-8',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_NO_LAZY_FETCH: '1',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_TERMINAL_PROMPT: '0',
  GIT_PAGER: 'cat',
} as const;

const limits = { timeoutMs: 600_000, outputBytes: 512 * 1024 * 1024 };

/** Runs git in a folder; any exit status is an answer. Throws `unavailable` where git is missing. */
export async function askGit(
  folder: string,
  args: readonly string[],
  call: GitCall = {},
): Promise<GitAnswer> {
  const pairs = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const { promise, resolve, reject } = Promise.withResolvers<GitAnswer>();
  const child = execFile(
    'git',
    [...pairs, '-C', folder, ...args],
    {
      env: { ...environment, PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...call.env },
      encoding: 'buffer',
      timeout: limits.timeoutMs,
      maxBuffer: limits.outputBytes,
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    },
    (error, stdout, stderr) => {
      const words = stderr.toString();
      if (error === null) resolve({ exitCode: 0, stdout, stderr: words });
      else if (typeof error.code === 'number') {
        resolve({ exitCode: error.code, stdout, stderr: words });
      } else reject(error);
    },
  );
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(call.stdin);
  try {
    return await promise;
  } catch (cause) {
    call.signal?.throwIfAborted();
    if (['ENOENT', 'EACCES'].includes(systemCode(cause) ?? '')) {
      throw new AppError('unavailable', 'git can not be started here', {
        remedy: 'Install git.',
        cause,
      });
    }
    throw new AppError('workspace_unusable', `git ${args[0]} in ${folder} did not end well`, {
      details: { folder },
      cause,
    });
  }
}

/** The answer's text without its last line end. Throws `workspace_unusable` where git fails. */
export async function git(
  folder: string,
  args: readonly string[],
  call: GitCall = {},
): Promise<string> {
  const { exitCode, stdout, stderr } = await askGit(folder, args, call);
  if (exitCode === 0) return stdout.toString().replace(/\n$/, '');
  const why = stderr.trim().split('\n').at(-1) ?? '';
  throw new AppError('workspace_unusable', `git ${args[0]} failed in ${folder}: ${why}`, {
    details: { folder, exitCode },
  });
}

export interface GitFacts {
  readonly head: Head;
  /** What git ignores here, relative to the folder asked for: files, and folders as a whole. */
  readonly ignored: ReadonlySet<BytePath>;
}

/** Undefined where the folder is in no repository, or git is not installed. */
export async function gitFacts(
  folder: string,
  signal: AbortSignal | undefined,
): Promise<GitFacts | undefined> {
  const inside = await askGit(folder, ['rev-parse', '--is-inside-work-tree'], { signal }).catch(
    (error: unknown) => {
      if (error instanceof AppError && error.code === 'unavailable') return undefined;
      throw error;
    },
  );
  if (inside?.stdout.toString().trim() !== 'true') return undefined;
  const list = ['ls-files', '-z', '--others', '--ignored', '--exclude-standard', '--directory'];
  const { exitCode, stdout, stderr } = await askGit(folder, list, { signal });
  if (exitCode !== 0) {
    throw new AppError('workspace_unusable', `git can not list ${folder}: ${stderr.trim()}`, {
      details: { folder },
    });
  }
  const names = stdout.toString('latin1').split('\0');
  const ignored = names.filter((name) => name !== '').map((name) => name.replace(/\/$/, ''));
  return { head: await headOf(folder), ignored: new Set(ignored) };
}

export async function headOf(folder: string): Promise<Head> {
  const branch = await askGit(folder, ['symbolic-ref', '-q', 'HEAD']);
  const commit = await askGit(folder, ['rev-parse', '-q', '--verify', 'HEAD^{commit}']);
  return {
    ...(branch.exitCode === 0 ? { branch: branch.stdout.toString().trim() } : {}),
    ...(commit.exitCode === 0 ? { commit: commit.stdout.toString().trim() } : {}),
  };
}

export interface Repository {
  /** Top folder of the work tree, without links in its path. */
  readonly top: string;
  /** From there to the folder asked for: empty, or ending in `/`. */
  readonly prefix: string;
}

/** The work tree that a folder is in; undefined where there is none. Throws `unavailable` without git. */
export async function findRepository(folder: string): Promise<Repository | undefined> {
  const answer = await askGit(folder, ['rev-parse', '--show-toplevel']);
  if (answer.exitCode !== 0) return undefined;
  const top = await realpath(answer.stdout.toString().replace(/\n$/, ''));
  return { top, prefix: await git(folder, ['rev-parse', '--show-prefix']) };
}

/**
 * Environment that takes every filter driver of a repository's configuration out of use: they are
 * programs. Files then come and go as they are stored, such as the pointers of LFS.
 */
export async function withoutFilters(
  folder: string,
): Promise<{ env: Record<string, string>; drivers: readonly string[] }> {
  const list = ['config', '--null', '--name-only', '--get-regexp', '^filter\\..*\\.'];
  const { stdout } = await askGit(folder, list);
  const names = stdout.toString().split('\0').filter(Boolean);
  const drivers = [...new Set(names.map((name) => name.slice(7, name.lastIndexOf('.'))))];
  const pairs = drivers.flatMap((driver) => [
    [`filter.${driver}.smudge`, ''],
    [`filter.${driver}.clean`, ''],
    [`filter.${driver}.process`, ''],
    [`filter.${driver}.required`, 'false'],
  ]);
  const env: Record<string, string> = { GIT_CONFIG_COUNT: String(pairs.length) };
  for (const [index, [name = '', value = '']] of pairs.entries()) {
    env[`GIT_CONFIG_KEY_${index}`] = name;
    env[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  return { env, drivers };
}
