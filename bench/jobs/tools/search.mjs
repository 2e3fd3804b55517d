// `search.mjs HOW TREE TEXT [CACHE]`: the lines of a tree that hold a text, whatever its case, as a sorted list of
// {file, line}. HOW: git-grep (of a repository what git knows, of any other tree everything), grep (everything
// but .git), scan (Node reads what is neither hidden nor in node_modules), cache (what CACHE has, unseen).
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { buffer, text } from 'node:stream/consumers';
import { join } from 'node:path';

const [how, tree = '.', wanted = '', cache = ''] = process.argv.slice(2);
/** Where NUL stands so early a file is no text, to git and grep alike. */
const looksForNul = 8_000;

async function matches(program, args, pattern) {
  const child = spawn(program, args, { cwd: tree, stdio: ['ignore', 'pipe', 'pipe'] });
  const [output, errors, status] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    new Promise((resolve, reject) => child.on('close', resolve).on('error', reject)),
  ]);
  // 1 is no match; anything above is a failure, and what came before it is no answer.
  if (status !== 0 && status !== 1) throw new Error(`${program} ended with ${status}: ${errors}`);
  return [...output.toString().matchAll(pattern)].map(([, file, line]) => ({
    file: file.replace(/^\.\//, ''),
    line: Number(line),
  }));
}

function scan(folder, below = '') {
  const needle = wanted.toLowerCase();
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') return [];
    const path = join(folder, entry.name);
    const file = below + entry.name;
    if (entry.isDirectory()) return scan(path, `${file}/`);
    if (!entry.isFile()) return [];
    const bytes = readFileSync(path);
    if (bytes.subarray(0, looksForNul).includes(0)) return [];
    const lines = bytes.toString().toLowerCase().split('\n');
    return lines.flatMap((line, at) => (line.includes(needle) ? [{ file, line: at + 1 }] : []));
  });
}

const ways = {
  'git-grep': () => {
    const place = existsSync(join(tree, '.git')) ? [] : ['--no-index'];
    const args = ['--no-pager', 'grep', ...place, '-nIizF', '-e', wanted, '--', '.'];
    return matches('git', args, /^([^\0\n]+)\0(\d+)\0/gm);
  },
  grep: () =>
    matches('grep', ['-rnIiZF', '--exclude-dir=.git', '-e', wanted, '.'], /^([^\0\n]+)\0(\d+):/gm),
  scan: () => scan(tree),
  cache: () => {
    const known = JSON.parse(readFileSync(cache, 'utf8'))[wanted];
    if (known === undefined) throw new Error(`the cache has no answer for ${wanted}`);
    return known;
  },
};

const found = await ways[how]();
const inOrder = found.toSorted((a, b) =>
  a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1,
);
process.stdout.write(`${JSON.stringify(inOrder)}\n`);
