import type { Git } from './git.ts';

export interface Change {
  /** The name that the file has today, where git saw the renames in between. */
  readonly path: string;
  readonly addedLines: number;
  readonly deletedLines: number;
}

export interface Commit {
  readonly hash: string;
  readonly isMerge: boolean;
  readonly isRoot: boolean;
  /** Through .mailmap. */
  readonly author: string;
  readonly email: string;
  readonly authoredMs: number;
  readonly committedMs: number;
  readonly subject: string;
  readonly changes: readonly Change[];
}

export interface History {
  /** Newest first. Merges are there, without changes of their own. */
  readonly commits: readonly Commit[];
  /** Why older commits are missing. */
  readonly cut: string | undefined;
  /** When the newest commit was made: the "today" of the history, so that an archived repository reads the same every day. */
  readonly endMs: number;
}

export interface HistoryLimits {
  readonly maxCommits?: number;
  readonly maxMs?: number;
}

export const dayMs = 86_400_000;
/** Enough for years of a busy project; git prints about 2,000 commits a second. */
const defaultCommits = 5_000;
const defaultMs = 60_000;
const format = '%x01%H%x02%P%x02%at%x02%ct%x02%aN%x02%aE%x02%s';

/** Reads the commits that HEAD reaches, with the lines that each changed. */
export async function readHistory(git: Git, limits: HistoryLimits = {}): Promise<History> {
  const { maxCommits = defaultCommits, maxMs = defaultMs } = limits;
  const deadlineMs = performance.now() + maxMs;
  const parser = new HistoryParser();
  let cut: string | undefined;
  const args = [
    'log',
    '-z',
    '--numstat',
    '-M',
    '--no-ext-diff',
    '--no-textconv',
    '--no-show-signature',
  ];
  const records = git.records([
    ...args,
    `--max-count=${maxCommits + 1}`,
    `--format=${format}`,
    'HEAD',
  ]);
  for await (const record of records) {
    parser.push(record.toString());
    if (parser.commits.length > maxCommits) {
      cut = `History was read back to the newest ${maxCommits} commits.`;
      break;
    }
    if (performance.now() > deadlineMs) {
      cut = `History was read for ${maxMs / 1_000} s: the newest ${parser.commits.length} commits.`;
      break;
    }
  }
  // The last one of a cut history may lack some of its changes.
  const commits = cut === undefined ? parser.commits : parser.commits.slice(0, -1);
  return { commits, cut, endMs: Math.max(0, ...commits.slice(0, 1).map((c) => c.committedMs)) };
}

/** Reads `git log -z --numstat`: a commit's header, then `added TAB deleted TAB path`; a rename gives its two paths as records of their own. */
export class HistoryParser {
  readonly commits: Commit[] = [];
  #changes: Change[] = [];
  /** Old names to today's. */
  readonly #today = new Map<string, string>();
  #rename: { added: number; deleted: number; from?: string } | undefined;

  push(record: string): void {
    if (this.#rename !== undefined) return this.#pushName(record);
    if (record.startsWith('\u0001')) return this.#pushHeader(record.slice(1));
    const match = /^\n?(\d+|-)\t(\d+|-)\t([^]*)$/.exec(record);
    if (match === null) return;
    const [, added = '', deleted = '', path = ''] = match;
    const lines = { added: Number(added) || 0, deleted: Number(deleted) || 0 };
    if (path === '') this.#rename = lines;
    else this.#change(path, lines);
  }

  #pushName(name: string): void {
    const { added, deleted, from } = this.#rename ?? { added: 0, deleted: 0 };
    if (from === undefined) {
      this.#rename = { added, deleted, from: name };
      return;
    }
    this.#rename = undefined;
    const today = this.#today.get(name) ?? name;
    this.#change(today, { added, deleted });
    this.#today.set(from, today);
  }

  #pushHeader(header: string): void {
    const [hash = '', parents = '', authored, committed, author = '', email = '', ...subject] =
      header.split('\u0002');
    this.#changes = [];
    this.commits.push({
      hash,
      isMerge: parents.includes(' '),
      isRoot: parents === '',
      author,
      email: email.toLowerCase(),
      authoredMs: (Number(authored) || 0) * 1_000,
      committedMs: (Number(committed) || 0) * 1_000,
      subject: subject.join(' '),
      changes: this.#changes,
    });
  }

  #change(path: string, lines: { added: number; deleted: number }): void {
    this.#changes.push({
      path: this.#today.get(path) ?? path,
      addedLines: lines.added,
      deletedLines: lines.deleted,
    });
  }
}

/** Programs that commit: they own nothing and never go quiet. */
export function isBot(commit: Pick<Commit, 'author' | 'email'>): boolean {
  return /\[bot\]|\b(bot|dependabot|renovate|greenkeeper|github-actions|semantic-release)\b/i.test(
    `${commit.author} ${commit.email}`,
  );
}

/** Commits that say they repair something. */
export function isFix(subject: string): boolean {
  return /\b(fix(e[sd])?|bug(s|fix)?|hotfix|regress(ion|ed)?|crash(es)?|broken|repair(s|ed)?)\b/i.test(
    subject,
  );
}
