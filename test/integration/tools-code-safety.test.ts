import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { GitRepository } from '../support/git-repository.ts';

const tools = [
  'complexity',
  'dead-code',
  'dependency-audit',
  'dependency-graph',
  'dependency-outdated',
  'duplicate-code',
  'licences',
  'lint-scan',
  'sbom',
  'sql-check',
  'syntax-check',
  'test-inventory',
  'type-check',
];
const secret = 'TOPSECRET';

/** Every file below a folder with its content and time, so that any write shows. */
function contentOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const stat = lstatSync(join(folder, name));
      const content = stat.isFile() ? readFileSync(join(folder, name), 'base64') : '';
      return `${name} ${stat.mode} ${stat.mtimeMs} ${content}`;
    })
    .toSorted();
}

/** A repository that has settings for every program in use, each of which would leave a mark, and links that lead out. */
function boobyTrap(repository: GitRepository): string {
  const mark = join(repository.around, 'sprung');
  const trap = join(repository.around, 'trap.sh');
  writeFileSync(trap, `#!/bin/sh\necho "$0 $*" >> '${mark}'\nexit 0\n`);
  chmodSync(trap, 0o755);
  const evil = `require('node:child_process').execFileSync(${JSON.stringify(trap)}, [__filename]);\n`;
  const evilModule = `import { execFileSync } from 'node:child_process';\nexecFileSync(${JSON.stringify(trap)}, [import.meta.url]);\nexport default {};\n`;
  const scripts = Object.fromEntries(
    ['preinstall', 'install', 'postinstall', 'prepare', 'preaudit', 'test'].map((name) => [
      name,
      trap,
    ]),
  );
  repository.commit('Set the traps', {
    'package.json': JSON.stringify({
      name: 'trapped',
      scripts,
      dependencies: { typescript: '*', left: '^1.0.0', oxlint: `file:./evil` },
      jscpd: { reporters: ['json'], output: './jscpd-out', path: [repository.around] },
      eslintConfig: { plugins: ['./evil.cjs'] },
      workspaces: ['packages/*', '../outside'],
      prettier: './evil.cjs',
    }),
    'package-lock.json': JSON.stringify({
      lockfileVersion: 3,
      packages: {
        'node_modules/left': { version: '1.0.0', hasInstallScript: true },
        'node_modules/g': {
          version: '1.0.0',
          resolved: `git+file://${repository.around}/outside#main`,
        },
      },
    }),
    '.npmrc': `script-shell=${trap}\ngit=${trap}\nnode-options=--require=${join(repository.path, 'evil.cjs')}\nregistry=http://127.0.0.1:9/evil\n`,
    '.pnpmfile.cjs': evil,
    '.yarnrc.yml': 'yarnPath: ./evil.cjs\n',
    'evil.cjs': evil,
    'evil/index.js': evil,
    'vite.config.ts': evilModule,
    'vitest.config.ts': evilModule,
    'eslint.config.js': evilModule,
    'knip.config.ts': evilModule,
    'oxlint.config.ts': evilModule,
    '.dependency-cruiser.cjs': evil,
    '.oxlintrc.json': '{"jsPlugins": ["./evil.cjs"], "rules": {"no-dupe-keys": "off"}}',
    'src/.oxlintrc.json': '{"jsPlugins": ["../evil.cjs"]}',
    'src/.eslintrc.js': evil,
    '.jscpd.json': '{"reporters": ["html", "json"], "output": "./jscpd-out"}',
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        noEmit: false,
        composite: true,
        incremental: true,
        tsBuildInfoFile: './written.tsbuildinfo',
        outDir: './written',
        plugins: [{ transform: './evil.cjs', name: './evil.cjs' }],
      },
      watchOptions: {},
      references: [{ path: './packages/hang' }, { path: '../outside' }],
    }),
    'packages/hang/tsconfig.json': '{"extends": "/dev/zero", "files": ["a.ts"]}',
    'packages/hang/a.ts': 'export const a: number = 1;\n',
    'src/a.ts': `import { s } from './link.ts';\nimport t from './folder/secret.ts';\nexport const n: number = s;\nexport const m: number = t;\n`,
    'src/a.test.ts': evilModule,
    'src/twice.js': 'export const o = { a: 1, a: 2 };\n',
    'migrations/001.sql': `\\! ${trap}\n\\i /dev/zero\ncopy t from program '${trap}';\nselect 1;\n`,
    'requirements.txt': `-r /dev/zero\n--find-links file://${repository.around}\n-e git+file://${repository.around}/outside\n`,
  });
  const outside = join(repository.around, 'outside');
  plant(
    join(outside, 'secret.ts'),
    `export const s = '${secret}';\nexport default '${secret}';\nconst o = { ${secret}: 1, ${secret}: 2 };\n`,
  );
  plant(join(outside, 'secret.sql'), `selec ${secret};\n`);
  plant(
    join(outside, 'package.json'),
    `{"name": "${secret}", "version": "1.0.0", "license": "${secret}", "dependencies": {"${secret.toLowerCase()}": "*"}}`,
  );
  plant(join(outside, 'tsconfig.json'), '{}');
  const links = {
    'src/link.ts': '../../outside/secret.ts',
    'src/folder': '../../outside',
    'migrations/002.sql': '../../outside/secret.sql',
    'packages/linked/package.json': '../../../outside/package.json',
    'packages/other/tsconfig.json': '/dev/zero',
    LICENSE: '../outside/secret.ts',
  };
  for (const [name, target] of Object.entries(links)) {
    mkdirSync(dirname(join(repository.path, name)), { recursive: true });
    symlinkSync(target, join(repository.path, name));
  }
  repository.git('add', '-f', '--', ...Object.keys(links));
  repository.git('commit', '-q', '--no-verify', '-m', 'Lead out');
  for (const name of ['tsc', 'oxlint', 'jscpd', 'npm', 'node', 'git']) {
    plant(join(repository.path, 'node_modules/.bin', name), `#!/bin/sh\n${trap} "$0"\n`);
    chmodSync(join(repository.path, 'node_modules/.bin', name), 0o755);
    plant(join(repository.path, 'node_modules', name, 'index.js'), evil);
    plant(
      join(repository.path, 'node_modules', name, 'package.json'),
      `{"name": "${name}", "version": "1.0.0", "main": "index.js"}`,
    );
  }
  symlinkSync(outside, join(repository.path, 'node_modules/left'));
  return mark;
}

function plant(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function runIn(folder: string, tool: string) {
  const launcher = join(import.meta.dirname, '../../bin/centuria-tool.mjs');
  return spawnSync(process.execPath, [launcher, tool, '--repo', folder], {
    cwd: folder,
    // Nobody listens there; what asks a registry must end as unavailable.
    env: { ...process.env, npm_config_registry: 'http://127.0.0.1:9' },
    encoding: 'utf8',
    timeout: 100_000,
    killSignal: 'SIGKILL',
  });
}

test('the traps work: running what they name leaves the mark', () => {
  using repository = new GitRepository();
  const mark = boobyTrap(repository);
  spawnSync(process.execPath, [join(repository.path, 'evil.cjs')]);
  expect(readFileSync(mark, 'utf8')).toContain('evil.cjs');
});

test.each(tools)(
  '%s runs nothing of a hostile repository, changes nothing in it and reads nothing outside',
  (tool) => {
    using repository = new GitRepository();
    const mark = boobyTrap(repository);
    const before = contentOf(repository.around);
    const run = runIn(repository.path, tool);
    expect(run.stderr).not.toContain('defect');
    expect(run.status).toBe(tool.startsWith('dependency-') && tool !== 'dependency-graph' ? 69 : 0);
    expect(existsSync(mark)).toBe(false);
    expect(contentOf(repository.around)).toEqual(before);
    expect((run.stdout + run.stderr).toUpperCase()).not.toContain(secret);
  },
);

test('lint-scan goes by its own rules where the repository switches one off', () => {
  using repository = new GitRepository();
  boobyTrap(repository);
  expect(runIn(repository.path, 'lint-scan').stdout).toContain('"rule":"no-dupe-keys","message"');
});
