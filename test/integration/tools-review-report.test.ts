import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GitRepository, reportOf, runTool } from '../support/git-repository.ts';

test('real reports become one page and one file, and what failed is named', async () => {
  using repository = new GitRepository({
    'run.sh': '#!/bin/bash\nif true; then\n',
    'README.md': '# A\n\n[gone](gone.md)\n\nWe recieve it.\n',
  });
  const names = ['shell-check', 'link-check', 'spelling'];
  const completed = await Promise.all(
    names.map(
      async (agent) =>
        [
          agent,
          { agent, status: 'completed', output: await reportOf(agent, repository.path) },
        ] as const,
    ),
  );
  const input = {
    repo: repository.path,
    folder: 'unused',
    results: {
      ...Object.fromEntries(completed),
      audit: {
        agent: 'dependency-audit',
        status: 'failed',
        error: { code: 'agent_unavailable', message: 'no network' },
      },
      later: { agent: 'sbom', status: 'skipped', reason: 'a task before it failed' },
      liar: { agent: 'liar', status: 'completed', output: { findings: 'none' } },
    },
  };
  const folder = join(repository.around, 'new', 'report');
  const run = await runTool(['review-report', '--folder', folder], JSON.stringify(input));
  expect(run.stderr).toBe('');
  const output = JSON.parse(run.stdout) as Record<string, unknown>;
  expect(output).toMatchObject({
    summary: {
      bySeverity: { critical: 0, high: 1, medium: 1, low: 1, info: 0 },
      byAgent: { 'shell-check': 1, 'link-check': 1, spelling: 1 },
      filesTouched: 2,
      agentsFailed: [
        { agent: 'dependency-audit', reason: 'failed: no network (agent_unavailable)' },
        { agent: 'sbom', reason: 'skipped: a task before it failed' },
        { agent: 'liar', reason: expect.stringMatching(/^its output is not a report/) },
      ].toSorted(
        (a, b) =>
          ['audit', 'later', 'liar'].indexOf(a.agent) - ['audit', 'later', 'liar'].indexOf(b.agent),
      ),
    },
    reportMarkdown: join(folder, 'report.md'),
    reportJson: join(folder, 'report.json'),
  });
  expect(
    (output['top'] as { file: string; line: number; agent: string }[]).map(
      ({ file, line, agent }) => `${file}:${line} ${agent}`,
    ),
  ).toEqual(['run.sh:2 shell-check', 'README.md:3 link-check', 'README.md:5 spelling']);
  expect(readdirSync(folder).toSorted()).toEqual(['report.json', 'report.md']);
  const page = readFileSync(join(folder, 'report.md'), 'utf8');
  expect(page).toMatch(/\*\*1 high, 1 medium, 1 low\*\* in 2 files, by 3 of 6 agents/);
  expect(page).toContain('**dependency-audit**: failed: no network');
  const document = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as {
    findings: object[];
  };
  expect(document.findings[0]).toMatchObject({
    severity: 'high',
    file: 'run.sh',
    line: 2,
    agents: ['shell-check'],
    rule: 'syntax-error',
  });
});

test('bad input and a folder that can not be written are refused, with nothing half done', async () => {
  using repository = new GitRepository();
  const folder = join(repository.around, 'report');
  const call = (stdin: string, to = folder) => runTool(['review-report', '--folder', to], stdin);
  expect(await call('not json')).toMatchObject({ exitCode: 2, stdout: '' });
  expect((await call('{"repo": "x", "results": {"a": {"agent": 3}}}')).reason).toMatch(
    /standard input: \/results\/a/,
  );
  expect((await runTool(['review-report'], '{"repo": "x", "results": {}}')).reason).toMatch(
    /no folder/,
  );
  expect(existsSync(folder)).toBe(false);
  writeFileSync(join(repository.around, 'file'), '');
  const blocked = await call('{"repo": "x", "results": {}}', join(repository.around, 'file'));
  expect(blocked).toMatchObject({ exitCode: 69, stdout: '' });
  expect(blocked.reason).toMatch(/file can not be written/);
  mkdirSync(join(folder, 'report.json'), { recursive: true });
  expect((await call('{"repo": "x", "results": {}}')).exitCode).toBe(69);
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
});
