/**
 * Real Redis servers for tests: each in a fresh folder on a free port, stopped by who started it. The
 * program is the machine's own, or Debian's, unpacked into the cache folder without root.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../src/base/base.ts';
import { cacheFolder } from '../../src/database/database.ts';
import { assertTools, runTool } from '../../src/database/install-tools.ts';
import { PackageSource } from '../../src/database/postgres-packages.ts';
import { testFolder } from './processes.ts';

/** What comes before the server's own arguments. */
type Program = readonly [file: string, ...args: string[]];

const found = await findProgram(process.env['PATH'] ?? '').catch((error: unknown) => {
  if (error instanceof AppError) return error;
  throw error;
});

/** Why there is no server here, or undefined: `describe.skipIf(redisUnavailable)`. */
export const redisUnavailable: string | undefined =
  found instanceof AppError ? `no redis-server: ${found.message}` : undefined;

if (redisUnavailable !== undefined) {
  process.stderr.write(`Tests on Redis are skipped: ${redisUnavailable}\n`);
}

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** SIGSTOP: connections stay and nothing answers. */
  pause(): void;
  resume(): void;
  /** SIGKILL; what it held is lost. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
  /** Kills it and removes its folder. */
  remove(): Promise<void>;
}

/** Starts a server; `settings` are further arguments as `['--maxmemory', '1mb']`. */
export async function startRedis(
  options: { password?: string; settings?: readonly string[] } = {},
): Promise<TestRedis> {
  const folder = await testFolder();
  const { password, settings = [] } = options;
  const secret = password === undefined ? [] : ['--requirepass', password];
  const port = await freePort();
  let server: ChildProcess | undefined;

  const kill = async (): Promise<void> => {
    const ended = server;
    server = undefined;
    if (ended === undefined || ended.exitCode !== null) return;
    const exit = once(ended, 'exit');
    ended.kill('SIGKILL');
    await exit;
  };
  const start = async (): Promise<void> => {
    server = await startServer(port, ['--dir', folder, ...secret, ...settings]);
  };
  await start();
  return {
    url: `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${port}`,
    port,
    pause: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    kill,
    start,
    async remove() {
      await kill();
      await rm(folder, { recursive: true });
    },
  };
}

async function startServer(port: number, settings: readonly string[]): Promise<ChildProcess> {
  if (found instanceof AppError) throw found;
  const [file, ...first] = found;
  // Ended with the runner's worker, whatever happens to that.
  const args = ['--pdeathsig', 'KILL', file, ...first, '--port', String(port)];
  const child = spawn(
    'setpriv',
    [...args, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...settings],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output += data.toString()));
  for (;;) {
    if (child.exitCode !== null) throw new Error(`redis-server ended: ${output}`);
    if (await answers(port)) return child;
    await delay(10);
  }
}

/** Any answer will do: one that wants a password is up as well. */
async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [data] = (await once(socket, 'data')) as [Buffer];
    return !data.toString().includes('LOADING');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface CuttingProxy {
  readonly port: number;
  /** Passes what the next client sends on, and cuts every connection before the answer. */
  cutNextAnswer(): void;
  close(): Promise<void>;
}

/**
 * A relay before a server that can cut a connection in the middle of a command, on a free port unless
 * one is given.
 */
export async function cuttingProxy(target: number, at = 0): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let cutting = false;
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (data) => upstream.write(data));
    upstream.on('data', (data) => {
      if (!cutting) return void client.write(data);
      cutting = false;
      for (const socket of sockets) socket.destroy();
    });
  }).listen(at, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cutNextAnswer: () => void (cutting = true),
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function findProgram(path: string): Promise<Program> {
  for (const folder of path.split(delimiter)) {
    for (const name of ['redis-server', 'valkey-server']) {
      if (folder !== '' && existsSync(join(folder, name))) return [join(folder, name)];
    }
  }
  return await unpackedProgram(join(cacheFolder(process.env), 'test-redis'));
}

/**
 * Debian's server with all that it loads, beside the system. Made in a folder of its own and renamed,
 * so that of two test files that start at once one wins and nobody sees half of it.
 */
export async function unpackedProgram(place: string): Promise<Program> {
  if (!existsSync(place)) {
    await assertTools();
    await mkdir(join(place, '..'), { recursive: true });
    const folder = await mkdtemp(`${place}.`);
    try {
      process.stderr.write('Installing redis-server for the tests\n');
      await unpackInto(join(folder, 'root'), join(folder, 'apt'));
      await rename(join(folder, 'root'), place).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  const libraries = await libraryFolders(place);
  const loader = await findLoader(libraries);
  return [loader, '--library-path', libraries.join(':'), join(place, 'usr/bin/redis-server')];
}

async function unpackInto(root: string, apt: string): Promise<void> {
  await mkdir(root);
  await mkdir(apt);
  const architecture = (await runTool('dpkg', ['--print-architecture'])).trim();
  const source = await PackageSource.open({ folder: apt, suite: 'trixie', architecture });
  const closure = await source.resolve(['redis-server']);
  const wanted = closure.filter(({ name }) => /^(?:lib|zlib1g|lua-|redis-)/.test(name));
  for (const file of await source.download(wanted, () => undefined)) {
    await runTool('dpkg-deb', ['-x', file, root]);
  }
}

async function libraryFolders(root: string): Promise<string[]> {
  const folders: string[] = [];
  for (const name of ['usr/lib', 'lib']) {
    const names = await readdir(join(root, name)).catch(() => []);
    const triplet = names.find((each) => each.endsWith('-linux-gnu'));
    if (triplet !== undefined) folders.push(join(root, name, triplet));
  }
  return folders;
}

async function findLoader(folders: readonly string[]): Promise<string> {
  for (const folder of folders) {
    const name = (await readdir(folder)).find((each) => /^ld-linux-.*\.so\.\d+$/.test(each));
    if (name !== undefined) return join(folder, name);
  }
  throw new Error('the packages of redis-server hold no loader');
}
