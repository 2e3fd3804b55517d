// `stage.mjs list|read|parse|write`: the modules of a repository, and the stages of their index, each for one file.
// Input and output are JSON.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const given = JSON.parse(await text(process.stdin));

function list({ tree, most }) {
  const output = execFileSync('git', ['-C', tree, 'ls-files', '-z', '--', '*.ts'], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return output.split('\0').filter(Boolean).toSorted().slice(0, most);
}

function read({ tree, file }) {
  const source = readFileSync(join(tree, file), 'utf8');
  return { file, sha256: createHash('sha256').update(source).digest('hex'), source };
}

async function parse({ file, sha256, source }) {
  const { parseSync } = await import('oxc-parser');
  const { errors, module } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`);
  const names = module.staticExports.flatMap(({ entries }) =>
    entries.map(({ exportName }) => exportName.name ?? exportName.kind),
  );
  const imports = module.staticImports.map(({ moduleRequest }) => moduleRequest.value);
  return { file, sha256, lines: source.split('\n').length - 1, exports: names, imports };
}

/** A second attempt writes the same file with the same content: under a name of its own, then moved. */
function write({ entry, folder }) {
  mkdirSync(folder, { recursive: true });
  const name = `${createHash('sha256').update(entry.file).digest('hex').slice(0, 32)}.json`;
  const path = join(folder, name);
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(entry));
  renameSync(`${path}.${process.pid}`, path);
  return { file: entry.file, entry: name };
}

process.stdout.write(JSON.stringify(await { list, read, parse, write }[process.argv[2]](given)));
