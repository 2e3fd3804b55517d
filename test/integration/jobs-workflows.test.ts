/** Shipped workflows from their start to their report, on an embedded database and with no model provider. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog, loadConfig, systemClock } from '../../src/base/base.ts';
import type { RunDetail } from '../../src/coordination/coordination.ts';
import { startServer, type RunningServer } from '../../src/server.ts';
import { GitRepository } from '../support/git-repository.ts';
import { writeIncident } from '../support/incident-logs.ts';
import { testFolder } from '../support/processes.ts';

const root = join(import.meta.dirname, '../..');
let folder: string;
let server: RunningServer;
/** Keys of whoever runs the tests: with one of them an expert would be asked, and paid. */
const keys = Object.keys(process.env).filter((name) =>
  /_API_KEY(_FILE)?$|^CENTURIA_MODEL/.test(name),
);
const kept = keys.map((name) => [name, process.env[name]] as const);

beforeAll(async () => {
  for (const name of keys) delete process.env[name];
  folder = await testFolder();
  const flags = { home: join(folder, 'home'), bridgePort: 0, learningPort: 0 };
  server = await startServer(loadConfig({ flags, env: {}, cwd: root }), {
    clock: systemClock,
    log: createLog({ level: 'silent' }),
    root,
    version: '0.0.0-test',
    cwd: root,
  });
});
afterAll(async () => {
  for (const [name, value] of kept) process.env[name] = value;
  await server.stop({ force: true });
  rmSync(folder, { recursive: true });
});

interface Output {
  readonly summary: { readonly agentsFailed: readonly { agent: string; reason: string }[] };
  readonly top: readonly { severity: string; rule: string; file?: string; message: string }[];
  readonly reportMarkdown: string;
}

async function run(workflow: string, input: Readonly<Record<string, unknown>>) {
  const { id } = await server.coordination.start({ workflow, input });
  const detail: RunDetail = await server.coordination.wait(id);
  expect(detail.status).toBe('completed');
  const output = detail.output as Output;
  return { output, page: readFileSync(output.reportMarkdown, 'utf8') };
}

test('incident-triage reports what the logs say, and that no expert read it', async () => {
  const logs = join(folder, 'logs');
  mkdirSync(logs);
  writeIncident(logs);
  const { output, page } = await run('incident-triage', { logs });
  expect(output.top.slice(0, 2).map(({ rule }) => rule)).toEqual(['disk-full', 'incident']);
  expect(output.summary.agentsFailed).toEqual([
    { agent: 'monitor', reason: expect.stringMatching(/^failed: .*\(agent_unavailable\)$/) },
  ]);
  expect(page).toMatch(/^# Incident triage of logs\n/);
  expect(page).toMatch(/## Not examined[\s\S]*\*\*monitor\*\*: failed/);
});

test('migration-review judges what changed after a commit, knowing what was before', async () => {
  const first = 'create table t (id int primary key, name varchar(10));\n';
  using repository = new GitRepository({ 'db/001.sql': first });
  const since = repository.git('rev-parse', 'HEAD').trim();
  repository.commit('Change the table', {
    'db/002.sql':
      "set lock_timeout = '2s';\nalter table t alter column name type varchar(20);\nalter table t drop column id;\n",
  });
  const input = { repo: repository.path, path: 'db', since };
  const { output, page } = await run('migration-review', input);
  expect(output.top.map(({ severity, rule, file }) => `${severity} ${rule} ${file}`)).toEqual([
    'high drop-column db/002.sql',
    'info locks db/002.sql',
  ]);
  expect(output.summary.agentsFailed.map(({ agent }) => agent)).toEqual(['database']);
  expect(page).toContain('Release a version that no longer names the column');
});

test('consensus-review: analysers agree on a place, what one alone names is kept, silent experts are named', async () => {
  using repository = new GitRepository({
    'package.json': '{"name": "a", "type": "module", "main": "index.js"}',
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        allowJs: true,
        checkJs: true,
        noEmit: true,
        noUnusedLocals: true,
        types: [],
      },
      include: ['*.js'],
    }),
    'index.js':
      'const unused = 1;\nexport const small = 2 < 1 < 0;\nexport const same = small === small;\n',
  });
  const { output, page } = await run('consensus-review', { repo: repository.path });
  const agreed = output.top.find(({ message }) => message.includes('named by 67 % of 3'));
  expect(agreed).toMatchObject({ severity: 'high', file: 'index.js', line: 2 });
  expect(output.top.some(({ message }) => message.includes('named by 33 % of 3'))).toBe(true);
  const [experts] = output.summary.agentsFailed;
  expect(experts?.agent).toBe('experts');
  expect(experts?.reason).toMatch(/0 of 3 answered.*architect.*security.*interfaces/);
  expect(page).toContain('3 voters: ');
});
