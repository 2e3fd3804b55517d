/** Repositories to be reviewed: made by a seed, of five kinds, many sizes, and with defects of which it is known that they are there. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Random } from '../../src/learning/evaluation/statistics.ts';
import { contents, type Kind, kinds } from './learning-reviews-contents.ts';

export interface Reviewed {
  readonly name: string;
  readonly kind: Kind;
  readonly folder: string;
  /** What people who know it would call it: says what it is, and nothing of its defects. */
  readonly about: string;
  readonly files: number;
  readonly oddity: Oddity | undefined;
  readonly hasHistory: boolean;
  /** Of which agent of `review/defect` something is to be found: what was planted and is still there. */
  readonly planted: Set<Kind>;
}

/** What makes a repository hard to review. */
const oddities = ['no commit', 'broken package', 'binary junk', 'huge file', 'no prose'] as const;
export type Oddity = (typeof oddities)[number];

const fewestFiles = 3;
const mostFiles = 800;
const mostCommits = 8;
const odd = 0.3;
/** A repository mostly has the defect of its kind, and at times that of another. */
const ownDefect = 0.85;
const otherDefect = 0.2;
const hugeBytes = 3 * 2 ** 20;
const junkBytes = 256 * 2 ** 10;
const authors = ['Ada', 'Grace', 'Linus', 'Barbara'] as const;
const purposes = ['a clinic', 'a shipyard', 'a library', 'a brewery', 'a school', 'a harbour'];

export function makeRepositories(folder: string, count: number, random: Random): Reviewed[] {
  return Array.from({ length: count }, (_, index) => {
    const kind = kinds[index % kinds.length] ?? 'web';
    const oddity = random() < odd ? pick(oddities, random) : undefined;
    const name = `${kind}-${String(index + 1).padStart(2, '0')}`;
    const made: Reviewed = {
      name,
      kind,
      folder: join(folder, name),
      about: `${name}, ${contents[kind].about} of ${pick(purposes, random)}`,
      // As sizes of repositories are: many small ones and few large ones.
      files: Math.round(fewestFiles * (mostFiles / fewestFiles) ** random()),
      oddity,
      hasHistory: oddity !== 'no commit',
      planted: new Set(),
    };
    fill(made, random);
    return made;
  });
}

/** Some work is done between two reviews: files come, and a defect is repaired or made. */
export function change(repository: Reviewed, round: number, random: Random): void {
  const { kind, planted } = repository;
  const added = 1 + Math.floor(random() * 12);
  for (let index = 0; index < added; index += 1) {
    const { path, text } = contents[kind].file(`r${round}-${index}`, random);
    write(repository, path, text);
  }
  const which = random() < 0.7 ? kind : pick(kinds, random);
  const { path, text } = contents[which].defect;
  if (planted.delete(which)) rmSync(join(repository.folder, path));
  else {
    planted.add(which);
    write(repository, path, text);
  }
  if (repository.hasHistory)
    commit(repository, `Round ${round}`, pick(authors, random), round + 20);
  else git(repository, ['add', '-A']);
}

function fill(made: Reviewed, random: Random): void {
  const { kind, oddity, planted, files } = made;
  mkdirSync(made.folder, { recursive: true });
  git(made, ['init', '-q', '-b', 'main']);
  // Nothing of it is compared or fetched, and a background job would hold the folder.
  git(made, ['config', 'gc.auto', '0']);
  const commits = 1 + Math.floor(random() * mostCommits);
  if (oddity !== 'no prose') write(made, 'README.md', `# ${made.name}\n\nIt is ${made.about}.\n`);
  write(made, 'package.json', oddity === 'broken package' ? '{"name":\n' : packageOf(made));
  for (let index = 0; index < files; index += 1) {
    const { path, text } = contents[kind].file(String(index), random);
    write(made, path, text);
    const isEnd = (index + 1) % Math.ceil(files / commits) === 0;
    if (isEnd && made.hasHistory)
      commit(made, `Part ${index}`, pick(authors, random), index / files);
  }
  if (oddity === 'broken package') planted.add('service');
  if (oddity === 'huge file')
    write(made, 'data/all.txt', 'one line of many\n'.repeat(hugeBytes / 17));
  if (oddity === 'binary junk') write(made, 'data/junk.bin', noise(random));
  for (const each of kinds) {
    if (random() >= (each === kind ? ownDefect : otherDefect)) continue;
    planted.add(each);
    write(made, contents[each].defect.path, contents[each].defect.text);
  }
  if (made.hasHistory) commit(made, 'All of it', pick(authors, random), 2);
  else git(made, ['add', '-A']);
}

const packageOf = ({ name }: Reviewed): string =>
  `${JSON.stringify({ name, version: '1.0.0', private: true, license: 'MIT', type: 'module' }, null, 2)}\n`;

function noise(random: Random): Buffer {
  const bytes = Buffer.alloc(junkBytes);
  for (let index = 0; index < junkBytes; index += 4) {
    bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), index);
  }
  bytes[0] = 0;
  return bytes;
}

function write({ folder }: Reviewed, path: string, content: string | Buffer): void {
  const target = join(folder, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
}

function commit(repository: Reviewed, message: string, author: string, day: number): void {
  git(repository, ['add', '-A']);
  const date = new Date(Date.UTC(2026, 0, 5) + day * 86_400_000).toISOString();
  const person = `${author} <${author.toLowerCase()}@example.org>`;
  git(repository, ['commit', '-q', '--allow-empty', '-m', message, '--author', person], date);
}

function git({ folder }: Reviewed, args: readonly string[], date?: string): void {
  execFileSync('git', args, {
    cwd: folder,
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_COMMITTER_NAME: 'Bench',
      GIT_COMMITTER_EMAIL: 'bench@example.org',
      ...(date === undefined ? {} : { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date }),
    },
  });
}

function pick<Item>(items: readonly [Item, ...Item[]] | readonly Item[], random: Random): Item {
  return items[Math.floor(random() * items.length)] as Item;
}
