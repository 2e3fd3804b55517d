import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ToolReport } from '../../src/base/base.ts';
import { brief, GitRepository } from '../support/git-repository.ts';
import { startRegistry } from '../support/package-registry.ts';

const advisory = {
  id: 1,
  url: 'https://example.org/advisories/GHSA-aaaa-bbbb-cccc',
  title: 'Left can be right',
  severity: 'critical',
  vulnerable_versions: '<2.0.0',
  cwe: ['CWE-1'],
  cvss: { score: 9.8, vectorString: 'x' },
};

const lock = {
  lockfileVersion: 3,
  packages: {
    '': { name: 'top', dependencies: { left: '^1.0.0', right: '^2.0.0' } },
    'node_modules/left': { version: '1.0.0' },
    'node_modules/right': { version: '2.1.0' },
    'node_modules/right/node_modules/left': { version: '2.0.0' },
    'node_modules/build': { version: '0.1.0', dev: true },
    'node_modules/evil': { version: '1.0.0', resolved: 'git+ssh://git@127.0.0.1/x.git#main' },
  },
};

/** The registry of the machine is given by the environment; that of the repository leads elsewhere. */
async function runWith(registry: string, tool: string, repository: string): Promise<ToolReport> {
  const launcher = join(import.meta.dirname, '../../bin/centuria-tool.mjs');
  const env = { ...process.env, npm_config_registry: registry };
  const child = spawn(process.execPath, [launcher, tool, '--repo', repository], {
    env,
    cwd: repository,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exitCode = await new Promise((resolve) => {
    child.on('close', resolve);
  });
  if (exitCode !== 0) throw new Error(`${tool} ended with ${String(exitCode)}: ${stderr}`);
  return JSON.parse(stdout) as ToolReport;
}

test('dependency-audit: each affected version at its line, less grave where only development needs it', async () => {
  const registry = await startRegistry(
    { left: ['1.0.0', '2.0.0'], build: ['0.1.0', '0.2.0'] },
    {
      left: [advisory],
      build: [{ ...advisory, severity: 'moderate', vulnerable_versions: '<0.2.0' }],
    },
  );
  const elsewhere = await startRegistry({});
  using repository = new GitRepository({
    '.npmrc': `registry=${elsewhere.url}\n`,
    'package.json': '{"name": "top", "dependencies": {"left": "^1.0.0"}}',
    'package-lock.json': JSON.stringify(lock, undefined, 2),
  });
  try {
    const report = await runWith(registry.url, 'dependency-audit', repository.path);
    expect(report.findings.map(brief)).toEqual([
      'critical GHSA-aaaa-bbbb-cccc package-lock.json:11',
      'low GHSA-aaaa-bbbb-cccc package-lock.json:20',
    ]);
    expect(report.findings[0]?.message).toBe('left@1.0.0: Left can be right');
    expect(report.metrics).toMatchObject({ packages: 4, affectedPackages: 2, advisories: 1 });
    expect(registry.requests).toContain('POST /-/npm/v1/security/advisories/bulk');
    expect(elsewhere.requests).toEqual([]);
  } finally {
    await registry.close();
    await elsewhere.close();
  }
});

test('dependency-outdated: how far each declared package is behind what the lock file has', async () => {
  const registry = await startRegistry({
    left: ['1.0.0', '1.1.0', '4.0.0'],
    right: ['2.1.0'],
    tool: ['1.0.0', '1.0.1'],
  });
  const elsewhere = await startRegistry({});
  using repository = new GitRepository({
    '.npmrc': `registry=${elsewhere.url}\n`,
    'package.json': JSON.stringify(
      {
        name: 'top',
        scripts: { preinstall: 'exit 1' },
        dependencies: {
          left: '^1.0.0',
          right: '^2.0.0',
          git: `git+${elsewhere.url}x.git`,
          unknown: '1',
        },
        devDependencies: { tool: '~1.0.0' },
      },
      undefined,
      2,
    ),
    'package-lock.json': JSON.stringify(lock, undefined, 2),
  });
  try {
    const report = await runWith(registry.url, 'dependency-outdated', repository.path);
    expect(report.findings.map(brief)).toEqual([
      'low major-behind package.json:7',
      'info patch-behind package.json:13',
    ]);
    expect(report.findings[0]?.message).toContain('left is at 2.0.0; the latest is 4.0.0');
    expect(report.notes.join(' ')).toContain('does not know 1 package');
    expect(elsewhere.requests).toEqual([]);
  } finally {
    await registry.close();
    await elsewhere.close();
  }
});

test('upgrade-plan: steps, what holds back, what breaks by peers and engines', async () => {
  const registry = await startRegistry(
    {
      core: ['1.0.0', '2.0.0'],
      plugin: ['1.0.0', '1.1.0'],
      left: ['1.0.0', '1.0.1'],
      fresh: ['1.0.0', '3.0.0'],
      fine: ['1.0.0'],
    },
    {},
    {
      'fresh@3.0.0': { engines: { node: '>=24' }, peerDependencies: { fine: '^2.0.0' } },
      // Of versions that are not deprecated, npm takes the newest.
      'core@1.0.0': { deprecated: 'use another' },
      'core@2.0.0': { deprecated: 'use another' },
    },
  );
  const declaredAs = {
    core: '^1.0.0',
    plugin: '^1.0.0',
    left: '1.0.0',
    fresh: '^1.0.0',
    fine: '^1.0.0',
  };
  using repository = new GitRepository({
    'package.json': JSON.stringify(
      { name: 'top', engines: { node: '>=20' }, dependencies: declaredAs },
      undefined,
      2,
    ),
    'package-lock.json': JSON.stringify({
      lockfileVersion: 3,
      packages: {
        '': { name: 'top' },
        'node_modules/core': { version: '1.0.0' },
        'node_modules/plugin': { version: '1.0.0', peerDependencies: { core: '^1.0.0' } },
        'node_modules/left': { version: '1.0.0' },
        'node_modules/fresh': { version: '1.0.0' },
        'node_modules/fine': { version: '1.0.0' },
      },
    }),
  });
  try {
    const report = await runWith(registry.url, 'upgrade-plan', repository.path);
    expect(report.findings.map((item) => brief(item).replace('package.json:', ''))).toEqual([
      'medium deprecated 7',
      'medium held-back 7',
      'medium engine-conflict 10',
      'medium peer-conflict 10',
      'low upgrade-major 7',
      'low upgrade-major 10',
      'info upgrade-step 7',
      'info upgrade-minor 8',
      'info upgrade-step 8',
      'info upgrade-patch 9',
      'info upgrade-step 10',
    ]);
    expect(report.summary).toBe(
      '4 of 5 declared packages to raise in 3 steps: 1 patch, 1 minor, 2 major.',
    );
    expect(report.findings[1]?.message).toBe(
      'core 2.0.0 is held back: plugin expects core ^1.0.0.',
    );
  } finally {
    await registry.close();
  }
});
