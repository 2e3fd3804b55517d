/** A real sshd of ours on loopback, with keys of its own, for the user that runs the tests. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { testFolder } from './processes.ts';

const run = promisify(execFile);
const program = '/usr/sbin/sshd';

/** Why there is none here, or undefined: `describe.skipIf(sshdUnavailable)`. */
export const sshdUnavailable: string | undefined = existsSync(program)
  ? undefined
  : `${program} is not there: apt-get install openssh-server`;

export interface Sshd {
  /** `user@127.0.0.1:port`. */
  readonly to: string;
  readonly port: number;
  /** For `ssh -o`: the key, the known host, and nothing of this user's own configuration. */
  readonly options: readonly string[];
  /** Goes away with it. */
  readonly folder: string;
  stop(): Promise<void>;
}

/** Ready when it listens. Stop it; sessions that are still open end with it. */
export async function startSshd(settings: readonly string[] = []): Promise<Sshd> {
  const folder = await testFolder();
  const at = (name: string): string => join(folder, name);
  for (const key of ['host', 'user']) {
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', at(key)]);
  }
  await copyFile(at('user.pub'), at('authorized_keys'));
  // The unprivileged part of sshd is locked into this folder, which the service's start would make.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const port = await freePort();
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${at('host')}`,
    'PidFile none',
    `AuthorizedKeysFile ${at('authorized_keys')}`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'LogLevel INFO',
    ...settings,
  ];
  await writeFile(at('config'), `${lines.join('\n')}\n`);
  const daemon = spawn(program, ['-D', '-e', '-f', at('config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  await new Promise<void>((ready, failed) => {
    daemon.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('Server listening on')) ready();
    });
    daemon.once('exit', () => failed(new Error(`sshd did not start: ${said}`)));
  });
  const known = at('known_hosts');
  await writeFile(known, '');
  return {
    to: `${userInfo().username}@127.0.0.1:${port}`,
    port,
    folder,
    options: [
      `IdentityFile=${at('user')}`,
      'IdentitiesOnly=yes',
      `UserKnownHostsFile=${known}`,
      'StrictHostKeyChecking=accept-new',
    ],
    async stop() {
      const over = once(daemon, 'exit');
      daemon.kill('SIGTERM');
      if (daemon.exitCode === null) await over;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
