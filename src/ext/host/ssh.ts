/**
 * Another machine, by the system's own ssh with the user's configuration: one connection, the master,
 * which every script and every forwarded socket passes through.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError, type Log } from '../../base/base.ts';
import type { Forward, Host, RunOptions, RunResult } from './host.ts';
import { checked, runProgram } from './local.ts';
import { readReceived, remoteCommand, scriptLine } from './ssh-script.ts';

export interface SshOptions {
  /** `user@host`, `user@host:port`, or a name of ssh's configuration. */
  readonly to: string;
  /** For `-o`, in front of the configuration. */
  readonly options?: readonly string[];
  readonly log: Log;
  /** Ends the connection. */
  readonly signal?: AbortSignal;
}

const connectSeconds = 15;
/** A peer that is gone without a word is noticed after three of these. */
const aliveSeconds = 5;
const killMs = 5_000;
/** A socket's path has at most 107 bytes, and ssh adds 17 while it makes its own. */
const longestFolder = 60;

interface Connection {
  readonly name: string;
  readonly destination: string;
  readonly options: readonly string[];
  readonly folder: string;
  readonly controlPath: string;
  readonly master: ChildProcess;
  /** The last words of the master, which says why a forward or the connection failed. */
  readonly words: () => string;
  readonly log: Log;
}

/** Throws `invalid_input`, `unavailable` (no ssh here), `target_unreachable`. */
export async function openSshHost(options: SshOptions): Promise<Host> {
  const { destination, name } = readDestination(options.to);
  const base = tmpdir().length <= longestFolder ? tmpdir() : '/tmp';
  // Only its owner may enter: whoever can open the master's socket has the connection.
  const folder = await mkdtemp(join(base, 'centuria-ssh-'));
  const opened = await connectMaster({ ...options, destination, name, folder }).catch(
    async (error: unknown) => {
      await rm(folder, { recursive: true, force: true });
      throw error;
    },
  );
  const numbers = countUp();
  const run = (script: string, runOptions: RunOptions = {}): Promise<RunResult> =>
    runScript(opened, script, runOptions);
  const host: Host = {
    name,
    run,
    check: (script, runOptions = {}) => checked(name, run(script, runOptions)),
    readFile: (path) => readRemoteFile(host, path),
    forward: (to) => openForward(host, opened, numbers, to),
    async close() {
      options.signal?.removeEventListener('abort', close);
      const isOver = opened.master.exitCode !== null || opened.master.signalCode !== null;
      const over = isOver ? undefined : new Promise((ended) => opened.master.once('exit', ended));
      opened.master.kill('SIGTERM');
      await over;
      await rm(folder, { recursive: true, force: true });
    },
  };
  const close = (): void => void host.close();
  options.signal?.addEventListener('abort', close, { once: true });
  return host;
}

/** What ssh would take for an option or a command is no destination. */
function readDestination(to: string): { destination: string; name: string } {
  const match =
    /^(?<user>[\w.][\w.@-]*@)?(?<host>\[[\da-fA-F:.]+\]|[\w.][\w.-]*)(?::(?<port>\d{1,5}))?$/.exec(
      to,
    );
  if (match === null) {
    throw new AppError('invalid_input', `“${to}” is no host for ssh`, {
      remedy: 'Write user@host, user@host:port, or a name of ssh’s configuration.',
    });
  }
  return { destination: `ssh://${to}`, name: `ssh://${to}` };
}

/** Words of every call of ssh. What is given first wins, so our own come before the user's. */
function sshWords(
  { controlPath, options }: Pick<Connection, 'controlPath' | 'options'>,
  first: readonly string[],
): string[] {
  const own = [
    ...first,
    'BatchMode=yes',
    `ControlPath=${controlPath}`,
    'ControlPersist=no',
    'ForwardAgent=no',
    'ForwardX11=no',
    'PermitLocalCommand=no',
    'RemoteCommand=none',
    'RequestTTY=no',
    'LogLevel=ERROR',
    'StreamLocalBindUnlink=yes',
  ];
  return [...own, ...options].flatMap((option) => ['-o', option]);
}

/** Ready when the other side's shell has answered. It ends when our end of its input is closed, as by kill -9. */
async function connectMaster({
  destination,
  name,
  folder,
  options = [],
  log,
  signal,
}: SshOptions & { destination: string; name: string; folder: string }): Promise<Connection> {
  signal?.throwIfAborted();
  const controlPath = join(folder, 'master');
  const words = [
    '-T',
    ...sshWords({ controlPath, options }, [
      'ControlMaster=yes',
      `ConnectTimeout=${connectSeconds}`,
      `ServerAliveInterval=${aliveSeconds}`,
      'ServerAliveCountMax=3',
      'ClearAllForwardings=yes',
    ]),
    '--',
    destination,
    remoteCommand,
  ];
  const master = spawn('ssh', words, {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Ctrl-C at the terminal is ours to answer: the connection must live to take things back.
    detached: true,
    env: { ...process.env, LC_ALL: 'C' },
  });
  let stderr = '';
  master.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-2_000);
  });
  master.stdin.on('error', () => undefined);
  const mark = newMark();
  master.stdin.write(scriptLine('cat', {}, mark));
  const abort = (): void => void master.kill('SIGKILL');
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await new Promise<void>((ready, failed) => {
      let seen = '';
      master.stdout.on('data', (bytes: Buffer) => {
        seen = (seen + bytes.toString('latin1')).slice(-64_000);
        if (seen.includes(mark)) ready();
      });
      master.once('error', failed);
      master.once('close', () => failed(unreachable(name, lastWords(stderr))));
    });
  } catch (error) {
    signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new AppError('unavailable', 'the program ssh is not installed on this machine', {
      remedy: 'Install the OpenSSH client.',
    });
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  log.debug({ host: name }, 'connected by ssh');
  return {
    name,
    destination,
    options,
    folder,
    controlPath,
    master,
    log,
    words: () => lastWords(stderr),
  };
}

function newMark(): string {
  return `centuria-${randomBytes(12).toString('hex')}`;
}

function lastWords(stderr: string): string {
  return stderr.trim().split('\n').slice(-3).join(' ').replaceAll('\r', '');
}

function unreachable(name: string, why: string): AppError {
  return new AppError('target_unreachable', `${name} can not be reached: ${why || 'ssh ended'}`, {
    details: { host: name },
    remedy: `See that \`ssh ${name}\` works without asking for anything (keys in an agent, the host’s key known).`,
  });
}

function connectionLost({ name, words }: Connection): AppError {
  const why = words();
  return new AppError(
    'target_unreachable',
    `the connection to ${name} was lost${why === '' ? '' : `: ${why}`}`,
    {
      details: { host: name },
      remedy: 'What was under way there may be done or not: look again when it can be reached.',
    },
  );
}

function isAlive({ master }: Connection): boolean {
  return master.exitCode === null && master.signalCode === null;
}

/** Through the master only: without it ssh would make a connection of its own, and must not. */
function clientWords(connection: Connection): string[] {
  return ['-T', ...sshWords(connection, ['ProxyCommand=false', 'ControlMaster=no'])];
}

async function runScript(
  connection: Connection,
  script: string,
  options: RunOptions,
): Promise<RunResult> {
  if (!isAlive(connection)) throw connectionLost(connection);
  const mark = newMark();
  const input = Buffer.concat([
    Buffer.from(scriptLine(script, options, mark)),
    typeof options.input === 'string'
      ? Buffer.from(options.input)
      : (options.input ?? Buffer.alloc(0)),
  ]);
  // Enough of the beginning to find the process by, should it have to be ended.
  let beginning = Buffer.alloc(0);
  const words = [...clientWords(connection), '--', connection.destination, remoteCommand];
  try {
    const { exit, stdout, stderr } = await runProgram(
      'ssh',
      words,
      { ...options, input },
      (bytes) => {
        if (beginning.length < 64_000) beginning = Buffer.concat([beginning, bytes]);
      },
    );
    const received = readReceived(stdout, mark);
    if (received.exit !== undefined) return { ...received, exit: received.exit, stderr };
    // ssh's own failures end with 255, and so does a shell that was killed on a connection that is there.
    if (exit === 255 && !(received.pid !== undefined && (await answers(connection)))) {
      throw isAlive(connection) && received.pid === undefined
        ? unreachable(connection.name, lastWords(stderr))
        : connectionLost(connection);
    }
    return { exit: exit === 0 || exit === 255 ? 137 : exit, stdout: received.stdout, stderr };
  } catch (error) {
    const { pid } = readReceived(beginning, mark);
    const isStopped = options.signal?.aborted === true || (error as AppError).code === 'timeout';
    if (isStopped && pid !== undefined) await endRemote(connection, pid);
    throw error;
  }
}

/** The end of a session tells the other side's processes nothing: they would go on. */
async function endRemote(connection: Connection, pid: number): Promise<void> {
  try {
    await runScript(connection, `kill -s KILL -- "-$1" || kill -s KILL "$1"`, {
      args: [String(pid)],
      timeoutMs: killMs,
    });
  } catch (error) {
    connection.log.warn({ host: connection.name, pid, err: error }, 'a script there may go on');
  }
}

/** Whether the other side still speaks; the master may not have noticed yet that it does not. */
async function answers(connection: Connection): Promise<boolean> {
  if (!isAlive(connection)) return false;
  const mark = newMark();
  const words = [...clientWords(connection), '--', connection.destination, remoteCommand];
  const input = scriptLine('', {}, mark);
  const { stdout } = await runProgram('ssh', words, { input, timeoutMs: connectSeconds * 1_000 });
  return readReceived(stdout, mark).exit === 0;
}

async function readRemoteFile(host: Host, path: string): Promise<Buffer> {
  const { exit, stdout, stderr } = await host.run('exec cat -- "$1"', { args: [path] });
  if (exit === 0) return stdout;
  const denied = /Permission denied/.test(stderr);
  throw new AppError(denied ? 'denied' : 'not_found', `${host.name}: ${lastWords(stderr)}`, {
    details: { path },
  });
}

async function openForward(
  host: Host,
  connection: Connection,
  numbers: Generator<number, never>,
  to: { readonly host: string; readonly port: number },
): Promise<Forward> {
  const { folder, name } = connection;
  const socket = to.host.startsWith('/') ? `${to.host}/.s.PGSQL.${to.port}` : undefined;
  if (socket !== undefined) {
    const { exit } = await host.run('[ -S "$1" ]', { args: [socket] });
    if (exit !== 0) {
      throw new AppError('target_unreachable', `${name} has no socket ${socket}`, {
        details: { host: name, socket },
        remedy: 'Give the folder of unix_socket_directories and the port of the server.',
      });
    }
  }
  // A socket of our own, since a port would be open to everybody on this machine.
  const port = numbers.next().value;
  const local = join(folder, `.s.PGSQL.${port}`);
  const remote = socket ?? `${to.host.includes(':') ? `[${to.host}]` : to.host}:${to.port}`;
  const ask = (request: string): Promise<RunResult> =>
    runProgram(
      'ssh',
      [
        '-O',
        request,
        '-L',
        `${local}:${remote}`,
        ...clientWords(connection),
        '--',
        connection.destination,
      ],
      { timeoutMs: connectSeconds * 1_000 },
    );
  const { exit, stderr } = await ask('forward');
  if (exit !== 0) {
    throw new AppError('target_unreachable', `${name} forwards nothing: ${lastWords(stderr)}`, {
      details: { host: name, to: remote },
      remedy:
        'Let sshd forward: AllowTcpForwarding and AllowStreamLocalForwarding in its configuration.',
    });
  }
  return {
    host: folder,
    port,
    async close() {
      // With the connection its forwards have ended already.
      if (isAlive(connection)) await ask('cancel');
      await rm(local, { force: true });
    },
  };
}

/** PostgreSQL's clients take a socket as a folder and a number. */
function* countUp(): Generator<number, never> {
  for (let next = 1; ; next += 1) yield next;
}
