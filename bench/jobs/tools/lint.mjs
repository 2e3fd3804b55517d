// `lint.mjs LINTER FOLDER`: the defects that one linter sees in a folder, as a list of {file, line, rule},
// sorted, with the rules' common names. What keeps a linter from working here is said with status 69.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { createRequire } from 'node:module';
import { biomeNames, rules } from './rules.mjs';

const unavailable = 69;
const mostBytes = 64 * 1024 * 1024;
const [name, given = '.'] = process.argv.slice(2);
const folder = resolve(given);
const require = createRequire(import.meta.url);

function packageFile(pack, path) {
  try {
    const file = join(dirname(require.resolve(`${pack}/package.json`)), path);
    if (existsSync(file)) return file;
  } catch {
    // Said below, for whichever way it is missing.
  }
  process.stderr.write(`${pack} is not installed beside the benches\n`);
  return process.exit(unavailable);
}

/** Linters exit with a status of their own when they find something; what counts is that their report reads. */
function report(program, args) {
  return new Promise((fulfil, reject) => {
    const options = { cwd: folder, maxBuffer: mostBytes };
    execFile(process.execPath, [program, ...args], options, (error, stdout, stderr) => {
      try {
        fulfil(JSON.parse(stdout));
      } catch {
        reject(new Error(`${name} gave no report: ${stderr || error?.message}`));
      }
    });
  });
}

async function withConfig(file, content, work) {
  const place = mkdtempSync(join(tmpdir(), 'centuria-lint-'));
  try {
    writeFileSync(join(place, file), JSON.stringify(content));
    return await work(join(place, file), place);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

const severities = Object.fromEntries(rules.map((rule) => [rule, 'error']));

async function eslint() {
  packageFile('eslint', 'package.json');
  const { ESLint } = await import('eslint');
  const { default: globals } = await import('./globals.mjs');
  const linter = new ESLint({
    cwd: folder,
    overrideConfigFile: true,
    overrideConfig: { files: ['**/*.js'], languageOptions: { globals }, rules: severities },
  });
  const results = await linter.lintFiles(['**/*.js']);
  return results.flatMap(({ filePath, messages }) =>
    messages.map(({ line, ruleId }) => ({
      file: relative(folder, filePath),
      line,
      rule: ruleId ?? 'syntax',
    })),
  );
}

async function oxlint() {
  const program = packageFile('oxlint', 'bin/oxlint');
  const config = {
    plugins: ['eslint'],
    categories: { correctness: 'off' },
    env: { builtin: true, node: true },
    rules: severities,
  };
  return withConfig('oxlint.json', config, async (file) => {
    const args = ['--config', file, '--disable-nested-config', '--no-ignore', '--format', 'json'];
    const { diagnostics } = await report(program, [...args, '.']);
    return diagnostics.map(({ filename, code, labels }) => ({
      file: relative(folder, resolve(folder, filename)),
      line: labels[0]?.span.line ?? 1,
      rule: /\((.+)\)$/.exec(code ?? '')?.[1] ?? 'syntax',
    }));
  });
}

async function biome() {
  const program = packageFile('@biomejs/biome', 'bin/biome');
  const common = new Map();
  const groups = {};
  for (const [rule, names] of Object.entries(biomeNames)) {
    for (const path of names) {
      const [group, own] = path.split('/');
      (groups[group] ??= {})[own] = 'error';
      common.set(`lint/${path}`, rule);
    }
  }
  const config = {
    root: true,
    linter: { enabled: true, rules: { preset: 'none', ...groups } },
    files: { maxSize: mostBytes },
  };
  return withConfig('biome.json', config, async (_file, place) => {
    const args = ['lint', `--config-path=${place}`, '--reporter=json', '--max-diagnostics=none'];
    const { diagnostics } = await report(program, [...args, folder]);
    const wrong = diagnostics.find(({ category }) => category === 'deserialize');
    if (wrong !== undefined) throw new Error(`biome does not take its settings: ${wrong.message}`);
    return diagnostics
      .filter(({ location }) => location?.path?.endsWith('.js'))
      .map(({ category, location }) => ({
        file: relative(folder, resolve(folder, location.path)),
        line: location.start.line,
        rule: common.get(category) ?? 'syntax',
      }));
  });
}

const linters = { eslint, oxlint, biome };
const found = await linters[name]();
const keys = [
  ...new Set(found.map(({ file, line, rule }) => JSON.stringify({ file, line, rule }))),
];
process.stdout.write(`[${keys.toSorted().join(',\n')}]\n`);
