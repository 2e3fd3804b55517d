/** Schedules, failures and forgetting as people and programs meet them: HTTP and the command line. */
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/cli/cli.ts';
import { createClient } from '../../src/client/client.ts';
import { keepRunTables } from '../../src/coordination/coordination.ts';
import { systemClock } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import { silentLog, until } from '../support/databases.ts';

let bridge: TestBridge;

beforeAll(async () => {
  bridge = await openTestBridge();
});
afterAll(() => bridge.end());

async function cli(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end();
  const texts = { out: '', err: '' };
  stdout.on('data', (chunk: Buffer) => (texts.out += chunk.toString()));
  stderr.on('data', (chunk: Buffer) => (texts.err += chunk.toString()));
  const env = { CENTURIA_SERVER: bridge.url, CENTURIA_API_KEY: testToken };
  const face = { stdin, stdout, stderr, env, cwd: bridge.home } as unknown as Parameters<
    typeof run
  >[1];
  const status = await run(args, face);
  return { status, ...texts };
}

async function good(...args: string[]): Promise<string> {
  const { status, out, err } = await cli(...args);
  expect({ args, status, err }).toMatchObject({ args, status: 0 });
  return out;
}

test('a schedule is planned, made, shown, run, paused, resumed and deleted at the command line', async () => {
  const create = ['schedule', 'create', 'nightly', '--workflow', 'hello'];
  const times = ['--cron', '30 2 * * *', '--timezone', 'Europe/Berlin', '--input', 'who=moon'];
  const plan = await good(...create, ...times, '--plan');
  expect(plan.trim().split('\n')).toHaveLength(5);
  expect(plan).toMatch(/ 0[23]:30 UTC\+[12] /);
  expect(await good('schedule', 'list', '-o', 'jsonl')).toBe('');

  expect(await good(...create, ...times)).toContain('Schedule nightly was created.');
  expect(await good('schedule', 'list')).toMatch(
    /nightly +hello +30 2 \* \* \* Europe\/Berlin +active/,
  );
  expect(await good('schedule', 'run-now', 'nightly')).toMatch(/Run [0-9a-f-]{36} was started/);
  const shown = JSON.parse(await good('schedule', 'show', 'nightly', '-o', 'json')) as {
    fires: { run: string; startedBy: string }[];
  };
  const [fire] = shown.fires;
  expect(fire).toMatchObject({ byHand: true, status: 'started' });
  expect(await bridge.client.waitForRun(fire?.run ?? '')).toMatchObject({
    status: 'completed',
    workflow: 'hello',
    input: { who: 'moon' },
  });
  expect(await good('schedule', 'show', 'nightly')).toMatch(/Missed times +skipped/);
  expect(await good('schedule', 'pause', 'nightly')).toContain('is paused');
  expect(await good('schedule', 'list')).toMatch(/nightly .* paused/);
  expect(await good('schedule', 'resume', 'nightly')).toContain('goes on');
  expect(await good('schedule', 'delete', 'nightly', '--yes')).toContain('was deleted');
  expect((await cli('schedule', 'show', 'nightly')).status).toBe(4);
});

test.each([
  [['--cron', '61 * * * *'], 2, 'the minute'],
  [['--cron', '@daily', '--every', '5m'], 2, 'one of --cron and --every'],
  [['--every', 'often'], 2, 'no length of time'],
  [['--cron', '@daily', '--timezone', 'Europe/Berlim'], 2, 'Europe/Berlin'],
  [['--cron', '@daily', '--until', '2001-01-01'], 2, 'is over'],
  [['--cron', '@daily', '--missed', 'sometimes'], 2, 'skip, once, all'],
])('schedule create %j is refused with what would be right', async (wrong, status, said) => {
  const ended = await cli('schedule', 'create', 'x', '--workflow', 'hello', ...wrong);
  expect(ended.status).toBe(status);
  expect(ended.err).toContain(said);
});

test('a schedule fires by itself, and over HTTP it is seen what came of it', async () => {
  await bridge.client.createSchedule({ name: 'often', workflow: 'hello', everySeconds: 1 });
  await until(async () => {
    const { items } = await bridge.client.scheduleFires('often');
    return items.some(({ status, byHand }) => status === 'started' && !byHand);
  });
  await bridge.client.deleteSchedule('often');
  const bad = await bridge.fetch('/api/v1/schedules', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'x', workflow: 'hello', cron: '* 25 * * *' }),
  });
  expect(bad.status).toBe(422);
  expect(await bad.json()).toMatchObject({ code: 'invalid_input', details: { field: 'cron' } });
});

test('who may write schedules but not run the workflow makes none; who lost the right starts none', async () => {
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.roles.create(
    {
      name: 'planner',
      permissions: [
        { action: 'schedules.write' },
        { action: 'schedules.read' },
        { action: 'workflows.execute', pattern: 'hello' },
        { action: 'workflows.read' },
      ],
    },
    owner,
  );
  const password = 'eleven boats below the bridge';
  await bridge.identity.principals.create({ username: 'pia', password, roles: ['planner'] }, owner);
  const { key } = await bridge.client.createApiKeyFor('pia', { name: 'test' });
  const pia = createClient({ baseUrl: bridge.url, token: key });
  await expect(
    pia.createSchedule({ name: 'heal', workflow: 'healing', cron: '@daily' }),
  ).rejects.toMatchObject({ code: 'denied' });
  const made = await pia.createSchedule({ name: 'hers', workflow: 'hello', everySeconds: 3_600 });
  expect(made.createdBy).toBe('pia');
  const due = () =>
    bridge.database.query(sql`
      with due as (update schedules set created_at = created_at - interval '3599 seconds',
        next_at = next_at - interval '3599 seconds' where name = 'hers' returning 1)
      select pg_notify('centuria_schedules', '') from due`);
  await due();
  await until(async () => (await bridge.client.schedule('hers')).lastFire?.status === 'started');
  await bridge.client.waitForRun((await bridge.client.schedule('hers')).lastFire?.run ?? '');
  await bridge.client.disallow('planner', 'workflows.execute', 'hello');
  await due();
  await until(async () => (await bridge.client.schedule('hers')).lastFire?.status === 'failed');
  expect((await bridge.client.schedule('hers')).lastFire).toMatchObject({
    error: { code: 'denied', message: expect.stringContaining('pia may not start runs of hello') },
  });
  await bridge.client.deleteSchedule('hers');
});

test('failures are listed, shown, tried again and dismissed at the command line', async () => {
  expect((await cli('run', 'failures', 'list')).err).toContain('Nothing has failed');
  const { id } = await bridge.client.startRun({ workflow: 'failing' });
  await bridge.client.waitForRun(id);
  const { database, home } = bridge;
  await keepRunTables({ database, home, clock: systemClock, log: silentLog, keepDays: 0 });
  const list = await good('run', 'failures', 'list');
  const [, fingerprint = ''] = /^([0-9a-f]{16}) +1 /m.exec(list) ?? [];
  expect(fingerprint).not.toBe('');
  const shown = await good('run', 'failures', 'show', fingerprint.slice(0, 6));
  expect(shown).toMatch(/Workflows +failing/);
  expect(shown).toContain(id.slice(-8));
  expect(await good('run', 'failures', 'retry', fingerprint)).toContain(
    '1 run will be tried again',
  );
  await bridge.client.waitForRun(id);
  await keepRunTables({ database, home, clock: systemClock, log: silentLog, keepDays: 0 });
  expect(await good('run', 'failures', 'dismiss', fingerprint)).toContain('not shown any more');
  expect((await cli('run', 'failures', 'list')).err).toContain('Nothing has failed');
  expect(await good('run', 'failures', 'list', '--dismissed')).toContain(fingerprint);
  expect((await cli('run', 'failures', 'show', '0000000000000000')).status).toBe(4);
});

test('what would be forgotten is shown first, and then it is forgotten', async () => {
  await bridge.database.query(sql`
    insert into runs (run_id, workflow, definition_hash, status, finished_at)
    values ('01800000-0000-7000-8000-000000000000', 'old', 'hash', 'completed', now())`);
  const count = async () => (await bridge.client.runs({ workflow: 'old' })).items.length;
  const plan = await good('run', 'prune', '--older-than', '90d', '--plan');
  expect(plan).toContain('1 run outside of months would go.');
  expect(await count()).toBe(1);
  expect((await cli('run', 'prune', '--older-than', '36h')).err).toContain('whole days');
  expect(await good('run', 'prune', '--older-than', '90d', '--yes')).toMatch(
    /1 run from before .* went/,
  );
  expect(await count()).toBe(0);
});
