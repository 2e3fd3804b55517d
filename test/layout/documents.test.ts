import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { generateAll, stale } from '../../scripts/generate.ts';
import { errorCodes } from '../../src/base/base.ts';
import { buildProgram } from '../../src/cli/cli.ts';
import { parts, readText, root, sources, trackedFiles } from './tree.ts';

test('generated files are up to date (npm run generate writes them)', async () => {
  expect(stale(await generateAll())).toEqual([]);
  // One generator opens the embedded database: seconds, and many on a busy machine.
}, 180_000);

test('every error code has its row in the reference, and every row its code', () => {
  const page = readText('docs/reference/errors.md') ?? '';
  const rows = [...page.matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1]);
  expect(rows.toSorted()).toEqual(Object.keys(errorCodes).toSorted());
});

test('every error code is used somewhere', () => {
  const texts = sources
    .filter(({ path, isTest }) => path !== 'src/base/errors.ts' && !isTest)
    .map(({ text }) => text)
    .join('\n');
  const unused = Object.keys(errorCodes).filter((code) => !texts.includes(`'${code}'`));
  expect(unused).toEqual([]);
});

test('ARCHITECTURE.md has a row for each folder of src, and none for one that is not there', () => {
  const page = readText('ARCHITECTURE.md') ?? '';
  const rows = [...page.matchAll(/^\| `src\/([\w-]+)` \|/gm)].map((match) => match[1]);
  expect(rows.toSorted()).toEqual(parts);
});

test('every decision is in the index of decisions', () => {
  const records = readdirSync(join(root, 'docs/decisions')).filter((name) => /^\d{4}-/.test(name));
  const index = readText('docs/decisions/README.md') ?? '';
  expect(records.length).toBeGreaterThanOrEqual(10);
  expect(records.filter((name) => !index.includes(`](${name})`))).toEqual([]);
  const numbers = records.map((name) => Number(name.slice(0, 4))).toSorted((a, b) => a - b);
  expect(numbers).toEqual(numbers.map((_, position) => position + 1));
});

test('every command that the documents name under npm run exists', () => {
  const { scripts } = JSON.parse(readText('package.json') ?? '{}') as {
    scripts: Record<string, string>;
  };
  // What an agent may run is a script of whichever repository it works in.
  const documents = markdownFiles().filter((path) => !path.startsWith('agents/'));
  const wrong = documents.flatMap((path) =>
    [...(readText(path) ?? '').matchAll(/npm run (?:--silent )?([a-z][\w:-]*)/g)]
      .filter((match) => scripts[match[1] ?? ''] === undefined)
      .map((match) => `${path}: ${match[0]}`),
  );
  expect(wrong).toEqual([]);
});

test('every centuria command that the documents name exists', () => {
  const { stdin, stdout, stderr } = process;
  const { program } = buildProgram({ stdin, stdout, stderr, env: {}, cwd: root });
  const wrong = markdownFiles()
    .filter((path) => !path.startsWith('docs/decisions/'))
    .flatMap((path) =>
      [...(readText(path) ?? '').matchAll(/(?:npx |[`$] ?)centuria ((?:[a-z][a-z-]* ?){1,2})/g)]
        .filter((match) => !isCommand(program, (match[1] ?? '').trim().split(' ')))
        .map((match) => `${path}: ${match[0]}`),
    );
  expect(wrong).toEqual([]);
});

test('links in the documents lead to something', () => {
  const wrong = markdownFiles().flatMap((path) =>
    linksOf(readText(path) ?? '')
      .filter((link) => !resolves(path, link))
      .map((link) => `${path}: ${link}`),
  );
  expect(wrong).toEqual([]);
});

interface CommandTree {
  readonly commands: readonly (CommandTree & { name(): string })[];
}

/** Whether the words begin with a command; of a group, the next word must be one of its own. */
function isCommand(tree: CommandTree, words: readonly string[]): boolean {
  const [word, ...rest] = words;
  if (word === undefined || tree.commands.length === 0) return true;
  const found = tree.commands.find((command) => command.name() === word);
  return found !== undefined && isCommand(found, rest);
}

function markdownFiles(): string[] {
  return trackedFiles().filter((path) => path.endsWith('.md') && !path.startsWith('test/'));
}

/** Targets of links and images outside code, without those that leave the repository. */
function linksOf(markdown: string): string[] {
  const prose = markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)]
    .map((match) => match[1] ?? '')
    .filter((link) => !/^[a-z][a-z+.-]*:/i.test(link));
}

function resolves(from: string, link: string): boolean {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? from : join(dirname(from), decodeURIComponent(file));
  if (!existsSync(join(root, target))) return false;
  return anchor === undefined || headingAnchors(readText(target) ?? '').has(anchor);
}

/** Anchors as they are made for headings where the documents are shown. */
function headingAnchors(markdown: string): Set<string> {
  const anchors = [...markdown.matchAll(/^#{1,6}\s+(.+)$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
  return new Set(anchors);
}
