/** The jobs of the benches that need nothing beside the product: real searchers vote and race. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog, loadConfig, systemClock } from '../../src/base/base.ts';
import type { RunDetail } from '../../src/coordination/coordination.ts';
import { startServer, type RunningServer } from '../../src/server.ts';
import { testFolder } from '../support/processes.ts';

const root = join(import.meta.dirname, '../..');
const jobs = join(root, 'bench/jobs');
let folder: string;
let tree: string;
let server: RunningServer;

beforeAll(async () => {
  folder = await testFolder();
  tree = join(folder, 'tree');
  const flags = {
    home: join(folder, 'home'),
    bridgePort: 0,
    learningPort: 0,
    agentFolders: [join(jobs, 'agents')],
    workflowFolders: [join(jobs, 'workflows')],
  };
  server = await startServer(loadConfig({ flags, env: {}, cwd: root }), {
    clock: systemClock,
    log: createLog({ level: 'silent' }),
    root,
    version: '0.0.0-test',
    cwd: root,
  });
  write('known.txt', 'first\nthe needle\n');
  write('.hidden/known.txt', 'a NEEDLE\n');
  write('built/ignored.txt', 'needle\n');
  write('node_modules/pack/ignored.txt', 'needle\n');
  write('.gitignore', 'built/\nnode_modules/\n');
  const git = (...args: string[]) => execFileSync('git', args, { cwd: tree });
  git('init', '--quiet');
  git('add', '.');
});
afterAll(async () => {
  await server.stop({ force: true });
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string): void {
  const path = join(tree, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

async function run(workflow: string, more: Readonly<Record<string, unknown>>): Promise<RunDetail> {
  const input = { tree, text: 'needle', tools: join(jobs, 'tools'), ...more };
  const { id } = await server.coordination.start({ workflow, input });
  return server.coordination.wait(id);
}

test('three searchers that look at different parts vote on what is found, and dissent is kept', async () => {
  const { status, output, verdict } = await run('search-vote', {});
  expect(status).toBe('completed');
  expect(output).toHaveLength(3);
  expect(verdict).toMatchObject({ mode: 'consensus', decidedBy: 'agreement' });
  const elements = verdict !== undefined && 'votes' in verdict ? (verdict.elements ?? []) : [];
  const shares = elements.map(({ element, share, taken }) => {
    const { file, line } = element as { file: string; line: number };
    return [file, line, Math.round(share * 3), taken] as const;
  });
  expect(shares.toSorted()).toEqual([
    ['.hidden/known.txt', 1, 2, true],
    ['built/ignored.txt', 1, 2, true],
    ['known.txt', 2, 3, true],
    // grep alone looks at what is installed.
    ['node_modules/pack/ignored.txt', 1, 1, false],
  ]);
});

test('a kept answer wins while it holds, and is refused with the reason once a file has changed', async () => {
  const cache = join(folder, 'cache.json');
  const found = await run('search-by-grep', {});
  writeFileSync(cache, JSON.stringify({ needle: found.output }));
  const fresh = await run('search-cached', { cache });
  expect(fresh.verdict).toMatchObject({ winner: 'search-cache', refused: [] });
  write('known.txt', 'first\nsecond\nthe needle\n');
  const stale = await run('search-cached', { cache });
  expect(stale.verdict).toMatchObject({
    winner: 'search-grep',
    refused: [
      {
        task: 'search-cache',
        reason: 'its verifier said no: 1 wrong, such as: known.txt:2 does not hold the text',
      },
    ],
  });
  expect(stale.output).toContainEqual({ file: 'known.txt', line: 3 });
  expect(stale.output).not.toContainEqual({ file: 'known.txt', line: 2 });
});
