/** The programs that an install runs, and what their failures mean. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../base/base.ts';

const run = promisify(execFile);

/** Why an install failed; `missing_tool`, `no_mirror` and `unsupported` mean that it can not work here. */
export type InstallFailure =
  | 'missing_tool'
  | 'no_mirror'
  | 'unsupported'
  | 'network'
  | 'signature'
  | 'hash_mismatch'
  | 'disk_full'
  | 'cancelled'
  | 'broken';

export function installError(
  reason: InstallFailure,
  message: string,
  options: { remedy?: string; details?: Record<string, unknown>; cause?: unknown } = {},
): AppError {
  return new AppError(reason === 'cancelled' ? 'cancelled' : 'postgres_install_failed', message, {
    ...options,
    details: { reason, ...options.details },
    retryable: reason === 'network' || reason === 'disk_full',
  });
}

const tools = ['apt-get', 'apt-cache', 'dpkg', 'dpkg-deb', 'flock', 'setpriv', 'sync'];

/** Throws `missing_tool` naming each program that is not in the path, before anything is done. */
export async function assertTools(): Promise<void> {
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => folder !== '');
  const missing: string[] = [];
  for (const tool of tools) {
    const tries = folders.map((folder) => access(join(folder, tool), constants.X_OK));
    await Promise.any(tries).catch(() => missing.push(tool));
  }
  if (missing.length > 0) throw missingTool(missing.join(', '));
}

function missingTool(tool: string, cause?: unknown): AppError {
  return installError('missing_tool', `not found: ${tool}`, {
    details: { tool },
    remedy:
      'PostgreSQL is installed from Debian packages, on Debian with apt-get, dpkg-deb and flock. ' +
      'Elsewhere give the URL of a server in CENTURIA_DATABASE_URL, or use the embedded database.',
    cause,
  });
}

/** Runs a tool to its end and returns what it printed; a failure becomes an error with its reason. */
export async function runTool(
  command: string,
  args: readonly string[],
  options: { cwd?: string; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  try {
    // Killed with us: a tool that went on alone would write where the next install cleans up. Only
    // apt-get as root escapes, since it tries another user's rights; it fails in the removed folder.
    const { stdout } = await run('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      cwd: options.cwd,
      signal: options.signal,
      // Messages are recognised below, so they must not be translated.
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  } catch (cause) {
    throw toolError(command, cause);
  }
}

function toolError(command: string, cause: unknown): AppError {
  const { code, stderr, name } = cause as { code?: unknown; stderr?: string; name?: string };
  if (name === 'AbortError') {
    return installError('cancelled', 'the installation of PostgreSQL was cancelled', { cause });
  }
  if (code === 'ENOENT') return missingTool(command, cause);
  const text = (stderr ?? '').trim();
  const shown = text.split('\n').filter((line) => /^E:|rror/.test(line));
  const message = `${command} failed: ${(shown.length > 0 ? shown : [text || String(cause)]).slice(0, 3).join(' ')}`;
  const [reason, remedy] = classify(text);
  return installError(reason, message, {
    ...(remedy === undefined ? {} : { remedy }),
    details: { tool: command },
    cause,
  });
}

function classify(text: string): [InstallFailure, string?] {
  if (/No space left|not enough free space|Disk quota/i.test(text)) {
    return ['disk_full', 'Free some space, or set CENTURIA_CACHE to a folder on another disk.'];
  }
  if (
    /NO_PUBKEY|not signed|invalid signature|couldn't be verified|Release file.*expired/i.test(text)
  ) {
    return ['signature', 'Update the package debian-archive-keyring and check the clock.'];
  }
  if (/hash sum mismatch|unexpected size|Hashes of expected/i.test(text)) {
    return [
      'hash_mismatch',
      'The mirror sent something else than its signed index says. Try again later, or another mirror.',
    ];
  }
  if (
    /Failed to fetch|Could not (?:resolve|connect)|Unable to connect|Connection|timed out/i.test(
      text,
    )
  ) {
    return ['network', "Check that Debian's mirror can be reached, then try again."];
  }
  return ['broken'];
}

/** Makes a folder that every user may read, whatever the umask is. */
export async function makeReadable(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
}
