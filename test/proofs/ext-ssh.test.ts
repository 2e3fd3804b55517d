import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import type { Host } from '../../src/ext/host/host.ts';
import { openHost } from '../../src/ext/host/open-host.ts';
import { until } from '../support/databases.ts';
import { emptyDatabase, postgresUnavailable } from '../support/postgres.ts';
import { sshdUnavailable, startSshd, type Sshd } from '../support/sshd.ts';
import { databaseName, openSuiteServer } from '../support/target.ts';

const log = createLog({ level: 'silent' });

test('what is no host is refused before ssh sees it', async () => {
  for (const name of ['-oProxyCommand=x', 'a b', 'host;id', 'a@b@c d', '', 'h:port']) {
    await expect(openHost(name, { log })).rejects.toMatchObject({ code: 'invalid_input' });
  }
});

describe.skipIf(sshdUnavailable)('a host over ssh', () => {
  let sshd: Sshd;
  let host: Host;
  const open = (): Promise<Host> => openHost(sshd.to, { log, sshOptions: sshd.options });

  beforeAll(async () => {
    sshd = await startSshd();
    host = await open();
  });
  afterAll(async () => {
    await host?.close();
    await sshd?.stop();
  });

  test('runs scripts with arguments and bytes as they are, and tells how they ended', async () => {
    const input = randomBytes(200_000);
    const args = [`it's`, '$(id)', '', 'a\nb'];
    const script = `printf '%s|' "$@"; cat; echo 'to people' >&2; exit 255`;
    const { exit, stdout, stderr } = await host.run(script, { args, input });
    expect({ exit, stderr }).toEqual({ exit: 255, stderr: 'to people\n' });
    expect(stdout.equals(Buffer.concat([Buffer.from(`${args.join('|')}|`), input]))).toBe(true);
    await expect(host.check('echo why >&2; exit 7')).rejects.toMatchObject({
      code: 'ext_failed',
      details: { exit: 7 },
    });
    expect((await host.run('kill -9 $$')).exit).toBe(137);
    expect((await host.check('echo still here')).toString()).toBe('still here\n');
  });

  test('reads files, and says which are not there', async () => {
    const path = join(sshd.folder, 'a file');
    const bytes = randomBytes(1_000);
    await writeFile(path, bytes);
    expect((await host.readFile(path)).equals(bytes)).toBe(true);
    await expect(host.readFile(`${path}x`)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('a script that takes too long or is given up is ended on the other side too', async () => {
    const mark = join(sshd.folder, 'pid');
    const stop = new AbortController();
    const running = host.run(`echo $ >"$1.new"; mv "$1.new" "$1"; sleep 300`, {
      args: [mark],
      signal: stop.signal,
    });
    await until(() => existsSync(mark));
    const { stdout } = await host.run('cat "$1"', { args: [mark] });
    stop.abort(new Error('given up'));
    await expect(running).rejects.toThrow('given up');
    await until(() => !existsSync(`/proc/${stdout.toString().trim()}`));
    await expect(host.run('sleep 300', { timeoutMs: 300 })).rejects.toMatchObject({
      code: 'timeout',
    });
  });

  test('leads to a unix socket of the target until it is closed', async () => {
    const server = createServer((socket) => socket.pipe(socket));
    server.listen(join(sshd.folder, '.s.PGSQL.7'));
    const forward = await host.forward({ host: sshd.folder, port: 7 });
    const socket = connect(join(forward.host, `.s.PGSQL.${forward.port}`));
    socket.write('hello');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toBe('hello');
    socket.destroy();
    await forward.close();
    const late = connect(join(forward.host, `.s.PGSQL.${forward.port}`));
    await expect(once(late, 'connect')).rejects.toMatchObject({ code: 'ENOENT' });
    server.close();
    await expect(host.forward({ host: sshd.folder, port: 8 })).rejects.toMatchObject({
      code: 'target_unreachable',
    });
  });

  test.skipIf(postgresUnavailable)('leads to the server, whose processes it sees', async () => {
    const place = await emptyDatabase();
    const server = await openSuiteServer(databaseName(place.url), host);
    try {
      const rows = await server.inDatabase(server.recordDatabase, (client) =>
        client.query(sql`select current_database()::text as name`),
      );
      expect(rows).toEqual([{ name: server.recordDatabase }]);
      expect(await server.stale(new Map([['/nowhere/no_such.so', '']]))).toEqual({ value: [] });
    } finally {
      await server.close();
      await place.drop();
    }
  });

  test('a connection that is cut in the middle of a command is told, then and later', async () => {
    const other = await open();
    const mark = join(sshd.folder, 'session');
    // The parent of the shell is the part of sshd that serves this connection.
    const running = other.run('echo $PPID >"$1.new"; mv "$1.new" "$1"; sleep 300', {
      args: [mark],
    });
    const failing = running.catch((error: unknown) => error);
    await until(() => existsSync(mark));
    const session = Number((await host.readFile(mark)).toString());
    process.kill(session, 'SIGKILL');
    expect(await failing).toMatchObject({ code: 'target_unreachable' });
    await expect(other.run('true')).rejects.toMatchObject({ code: 'target_unreachable' });
    await other.close();
    expect((await host.run('true')).exit).toBe(0);
  });

  test('who is not let in or finds nobody is told what ssh says', async () => {
    const strangers = ['IdentityFile=/dev/null', ...sshd.options.slice(1)];
    await expect(openHost(sshd.to, { log, sshOptions: strangers })).rejects.toMatchObject({
      code: 'target_unreachable',
      message: expect.stringContaining('Permission denied'),
    });
    await expect(openHost('127.0.0.1:1', { log, sshOptions: sshd.options })).rejects.toMatchObject({
      message: expect.stringContaining('Connection refused'),
    });
  });
});
