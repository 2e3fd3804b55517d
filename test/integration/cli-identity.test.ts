import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  cleanEnvironment,
  launcher,
  startProgram,
  testHome,
  type CliOptions,
  type Ended,
  type Started,
  type TestHome,
} from '../support/cli.ts';
import { fleetFiles } from '../support/cli-fleet.ts';
import { freshDatabase, postgresUnavailable, type TestDatabase } from '../support/postgres.ts';

const password = 'violet otter paints the harbour';
const currentKey = (text: string) => text.split('\n').find((line) => line.includes('"current"'));
const nowhere = 'http://127.0.0.1:9';

describe.skipIf(postgresUnavailable !== undefined)('with a server', () => {
  let database: TestDatabase;
  let home: TestHome;
  let server: Started;
  let url: string;
  /** A person elsewhere: no data folder, a configuration folder of his own. */
  let person: TestHome;

  beforeAll(async () => {
    database = await freshDatabase();
    home = await testHome(fleetFiles, { seeded: true });
    person = await testHome();
    server = home.start(['up'], {
      env: { CENTURIA_DATABASE_URL: database.url, CENTURIA_BRIDGE_PORT: '0' },
    });
    const [, found = ''] = await server.until('stdout', /serves (http:\S+)/);
    url = found;
  });
  afterAll(async () => {
    server.child.kill('SIGTERM');
    const ended = await server.ended;
    await database.drop();
    await person.remove();
    await home.remove();
    if (ended.status !== 0) throw new Error(`the server ended with ${ended.status}`);
  });

  const cli = (args: string[], options?: CliOptions): Promise<Ended> => home.cli(args, options);
  async function good(args: string[], options?: CliOptions): Promise<string> {
    const { status, stdout, stderr } = await cli(args, options);
    expect({ args, status, stderr }).toMatchObject({ args, status: 0 });
    return stdout;
  }
  async function json(args: string[], options?: CliOptions): Promise<Record<string, unknown>> {
    return JSON.parse(await good([...args, '-o', 'json'], options)) as Record<string, unknown>;
  }
  const create = (name: string, ...more: string[]) =>
    json(['user', 'create', name, '--password-stdin', ...more], { stdin: `${password}\n` });

  test('a server without users says so, and which command makes the first', async () => {
    const listed = await cli(['user', 'list', '--kind', 'user']);
    expect(listed.stderr).toContain('centuria user create NAME --role admin');
    const refused = await person.cli(['login', '--server', url]);
    expect(refused.status).toBe(6);
    expect(refused.stderr).toMatch(
      /it has no users yet\nhint: .*centuria user create NAME --role admin/,
    );
  });

  test('a user is created with a password from standard input, and shown', async () => {
    expect(await create('ada', '--role', 'admin')).toMatchObject({
      username: 'ada',
      hasPassword: true,
      roles: [{ name: 'admin' }],
    });
    const shown = await good(['user', 'show', 'ada']);
    expect(shown).toMatch(/^User +ada$/m);
    expect(shown).toMatch(/^Signs in with +password$/m);
    expect(await good(['user', 'list'])).toMatch(/^ada +user +active +admin +password/m);
  });

  test('a password is no argument, no prompt without a terminal, and one line on standard input', async () => {
    const argument = await cli(['user', 'create', 'bob', '--password', password]);
    expect([argument.status, argument.stderr]).toEqual([
      2,
      expect.stringContaining('unknown option'),
    ]);
    const alone = await cli(['user', 'create', 'bob']);
    expect([alone.status, alone.stderr]).toEqual([2, expect.stringContaining('--password-stdin')]);
    for (const stdin of ['', '\n', 'two\nlines\n']) {
      const wrong = await cli(['user', 'create', 'bob', '--password-stdin'], { stdin });
      expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('one line')]);
    }
    const weak = await cli(['user', 'create', 'bob', '--password-stdin'], { stdin: 'short\n' });
    expect(weak.status).toBe(2);
    expect((await cli(['user', 'show', 'bob'])).status).toBe(4);
  });

  test('at a terminal the password is asked for twice and never shown', async () => {
    const command = `exec '${process.execPath}' '${launcher}' user create cleo --role guest`;
    const terminal = startProgram('script', ['-qefc', command, '/dev/null'], {
      env: cleanEnvironment(home.path, { CENTURIA_HOME: home.path, TERM: 'xterm-256color' }),
      stdin: null,
    });
    await terminal.until('stdout', /Password: /);
    terminal.child.stdin?.write(`${password}\r`);
    await terminal.until('stdout', /Again: /);
    terminal.child.stdin?.write(`${password}\r`);
    const { status, stdout } = await terminal.ended;
    expect([status, stripVTControlCharacters(stdout)]).toEqual([
      0,
      expect.stringContaining('User cleo was created with guest.'),
    ]);
    expect(stdout).not.toContain('violet');
  });

  test('something that can’t be taken back is asked for at a terminal, and no is no', async () => {
    await create('dan');
    const command = `exec '${process.execPath}' '${launcher}' user delete dan`;
    const terminal = startProgram('script', ['-qefc', command, '/dev/null'], {
      env: cleanEnvironment(home.path, { CENTURIA_HOME: home.path, TERM: 'xterm-256color' }),
      stdin: null,
    });
    await terminal.until('stdout', /Delete dan .*\[y\/N\]/);
    terminal.child.stdin?.write('\r');
    expect(await terminal.ended).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('nothing was done'),
    });
    expect(await good(['user', 'delete', 'dan', '--yes'])).toBe('dan was deleted.\n');
    expect((await cli(['user', 'show', 'dan'])).status).toBe(4);
  });

  test('roles are given for a while, taken back, and made', async () => {
    await create('eve', '--role', 'monitor', '--role-expires', '30d');
    const { roles } = (await json(['user', 'show', 'eve'])) as { roles: { expiresAt?: string }[] };
    expect(roles).toEqual([{ name: 'monitor', expiresAt: expect.any(String) }]);
    await good([
      'role',
      'create',
      'steppers',
      '--allow',
      'agents.execute=st*',
      '--allow',
      'runs.read',
    ]);
    expect(await good(['role', 'show', 'steppers'])).toMatch(
      /^Grants +(agents\.execute on st\*, runs\.read|runs\.read, agents\.execute on st\*)$/m,
    );
    await good(['user', 'grant', 'eve', 'steppers']);
    await good(['user', 'revoke', 'eve', 'monitor']);
    expect((await cli(['access', 'check', 'eve', 'agents.execute', 'step'])).status).toBe(0);
    const refused = await cli(['access', 'check', 'eve', 'agents.execute', 'other']);
    expect([refused.status, refused.stdout]).toEqual([3, expect.stringContaining('st*')]);
    expect(await good(['access', 'can', 'eve'])).toContain('agents.execute on st* (by steppers)');
    expect(await good(['access', 'who', 'agents.execute', 'step'])).toMatch(/^eve /m);
    await good(['role', 'disallow', 'steppers', 'agents.execute', 'st*']);
    expect((await cli(['access', 'check', 'eve', 'agents.execute', 'step'])).status).toBe(3);
    await good(['role', 'delete', 'steppers', '--yes']);
    expect(await good(['role', 'permissions'])).toMatch(/^ *7 +agents\.write +admin, system /m);
    const wrong = await cli(['role', 'allow', 'guest', 'agents.exectue']);
    expect(wrong.stderr).toContain('Did you mean agents.execute?');
  });

  test('the last one who may change roles stays', async () => {
    await good(['user', 'revoke', 'ada', 'admin']);
    const refused = await cli(['user', 'revoke', 'owner', 'admin']);
    expect([refused.status, refused.stdout]).toEqual([5, '']);
    await good(['user', 'grant', 'ada', 'admin']);
  });

  test('an API key alone is on standard output, works from elsewhere, and is revoked', async () => {
    const made = await cli(['token', 'create', 'ci', '--for', 'ada', '--expires', '30d']);
    expect(made.stderr).toContain('only time');
    const key = made.stdout.trim();
    expect(made.stdout).toBe(`${key}\n`);
    await writeFile(join(person.path, 'key'), made.stdout, { mode: 0o600 });
    const env = { CENTURIA_SERVER: url, CENTURIA_API_KEY_FILE: join(person.path, 'key') };
    const me = await person.cli(['whoami', '-o', 'json'], { env });
    expect(JSON.parse(me.stdout)).toMatchObject({
      principal: { username: 'ada' },
      credential: { kind: 'api_key' },
    });
    expect((await person.cli(['run', 'list'], { env })).status).toBe(0);
    const listed = await good(['token', 'list', '--for', 'ada']);
    expect(listed).not.toContain(key);
    const prefix = /^(\S+) +ci +ada/m.exec(listed)?.[1] ?? '';
    expect(await good(['token', 'revoke', prefix, '--yes'])).toBe(
      `API key ${prefix} was revoked.\n`,
    );
    const after = await person.cli(['whoami'], { env });
    expect([after.status, after.stdout]).toEqual([3, '']);
    expect(after.stderr).not.toContain(key);
  });

  test('an API key beside the data folder narrows what commands there may do', async () => {
    const { key } = await json(['token', 'create', 'narrow', '--scope', 'runs.read']);
    const env = { CENTURIA_API_KEY: String(key) };
    expect((await cli(['run', 'list'], { env })).status).toBe(0);
    const refused = await cli(['user', 'list'], { env });
    expect([refused.status, refused.stdout]).toEqual([3, '']);
    expect(await good(['whoami'], { env })).toMatch(/^But only +runs\.read$/m);
  });

  /** Signs in over HTTP and keeps the tokens as the command line does. */
  async function storeLogin(
    username: string,
    change: Record<string, unknown> = {},
  ): Promise<string> {
    const response = await fetch(`${url}/api/v1/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password, as: 'client' }),
    });
    const { tokens } = (await response.json()) as {
      tokens: { accessToken: string; refreshToken: string; expiresInSeconds: number };
    };
    const path = join(person.path, '.config/centuria/credentials.json');
    await mkdir(join(path, '..'), { recursive: true });
    const login = {
      server: url,
      accessToken: tokens.accessToken,
      refreshToken: tokens.refreshToken,
      expiresAt: new Date(Date.now() + tokens.expiresInSeconds * 1_000).toISOString(),
      ...change,
    };
    await writeFile(path, JSON.stringify(login), { mode: 0o600 });
    return path;
  }

  test('a stored login is used for its server only, and logout ends its session', async () => {
    const path = await storeLogin('ada');
    const me = await person.cli(['whoami', '--server', url, '-o', 'json']);
    const { credential } = JSON.parse(me.stdout) as { credential: { sessionId: string } };
    expect(await good(['session', 'list', '--user', 'ada'])).toContain(credential.sessionId);
    const other = await person.cli(['whoami', '--server', nowhere]);
    expect([other.status, other.stderr]).toEqual([
      3,
      expect.stringContaining(`centuria login --server ${nowhere}`),
    ]);
    // Without a server being named nobody works on a distant one by mistake.
    expect((await person.cli(['run', 'list'])).status).toBe(6);
    expect((await person.cli(['logout'])).stdout).toBe(`Signed out at ${url}.\n`);
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await good(['session', 'list', '--user', 'ada', '--ended'])).toMatch(
      new RegExp(`^${credential.sessionId} .*signed`, 'm'),
    );
    expect((await person.cli(['logout'])).status).toBe(4);
  });

  test('a login that can not be told to the server is forgotten, and that is no success', async () => {
    const path = await storeLogin('ada', { server: nowhere });
    const ended = await person.cli(['logout']);
    expect([ended.status, ended.stderr]).toEqual([6, expect.stringContaining('could not be told')]);
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('all sessions of a user end at once', async () => {
    await storeLogin('cleo');
    expect(await good(['session', 'end', '--user', 'cleo', '--all', '--yes'])).toBe(
      '1 session has ended.\n',
    );
    expect((await person.cli(['whoami', '--server', url])).status).toBe(3);
    expect((await cli(['session', 'end'])).status).toBe(2);
    expect((await cli(['session', 'end', 'x', '--all'])).status).toBe(2);
  });

  test('what was seen at the doors is listed by time, type and risk', async () => {
    const { items } = (await json(['access', 'events', '--since', '1h', '--limit', '500'])) as {
      items: { type: string }[];
    };
    expect(items.map(({ type }) => type)).toContain('role_assigned');
    expect((await cli(['access', 'events', '--min-risk', '101'])).status).toBe(2);
    expect((await cli(['access', 'events', '--since', 'soon'])).status).toBe(2);
    expect(await good(['access', 'metrics'])).toMatch(/^authentication_latency /m);
  });

  test('signing keys are listed and rotated', async () => {
    const before = await good(['token', 'keys', 'list', '-o', 'jsonl']);
    await good(['token', 'keys', 'rotate']);
    const after = await good(['token', 'keys', 'list', '-o', 'jsonl']);
    expect(currentKey(after)).not.toBe(currentKey(before));
  });

  test.each([
    ['ftp://example.org', 'is no address'],
    ['https://ada:word@example.org', 'is no address'],
    ['example.org', 'is no address'],
  ])('%s is no server, and nothing of it is repeated', async (address, told) => {
    const ended = await person.cli(['whoami', '--server', address]);
    expect([ended.status, ended.stderr]).toEqual([2, expect.stringContaining(told)]);
    expect(ended.stderr).not.toContain('word@');
  });
});
