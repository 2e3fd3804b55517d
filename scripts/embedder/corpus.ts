/** The project's own texts, cut along the structure that they have: what the embedder learns from. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { candidateText } from '../../src/learning/embedding/candidate-text.ts';

const root = join(import.meta.dirname, '../..');

export interface AgentTexts {
  readonly name: string;
  /** What is known of a candidate when it is chosen. */
  readonly card: string;
  /** What else its file says: paragraphs with the heading they stand below. */
  readonly passages: readonly string[];
}

export interface Corpus {
  readonly agents: readonly AgentTexts[];
  /** A heading and a paragraph below it. */
  readonly headed: readonly (readonly [string, string])[];
  /** Everything that stands together, a paragraph each: what words are counted in. */
  readonly paragraphs: readonly string[];
  /** Words and phrases that mean nearly the same. */
  readonly related: readonly (readonly string[])[];
  /** SHA-256 over names and texts of all sources: another one means that there is more to learn from. */
  readonly hash: string;
}

interface Frontmatter {
  readonly name: string;
  readonly description: string;
  readonly centuria: {
    readonly category: string;
    readonly capabilities: readonly string[];
    readonly input?: { readonly properties?: Readonly<Record<string, { description?: string }>> };
  };
}

/** Reads what is tracked; never anything below `test`, where the questions of the evaluation are. */
export function readCorpus(): Corpus {
  const listed = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' });
  const paths = listed.split('\0').filter(isSource).toSorted();
  const hash = createHash('sha256');
  const agents: AgentTexts[] = [];
  const headed: [string, string][] = [];
  const paragraphs: string[] = [];
  for (const path of paths) {
    const text = readFileSync(join(root, path), 'utf8').replaceAll('\r\n', '\n');
    hash.update(`${path}\0${text}\0`);
    if (path.startsWith('agents/')) agents.push(readAgent(text));
    else if (path.endsWith('.md')) headed.push(...sectionsOf(text));
    else if (path.endsWith('.yaml')) paragraphs.push(...proseOfYaml(path, text));
    else paragraphs.push(...commentsOf(text));
  }
  paragraphs.push(...headed.map(([heading, text]) => `${heading}\n${text}`));
  for (const { card, passages } of agents) paragraphs.push(card, ...passages);
  const words = readFileSync(join(import.meta.dirname, 'related-words.txt'), 'utf8');
  hash.update(words);
  return { agents, headed, paragraphs, related: groupsOf(words), hash: hash.digest('hex') };
}

function isSource(path: string): boolean {
  if (/^agents\/[\w-]+\.md$/.test(path) || /^workflows\/[\w-]+\.yaml$/.test(path)) return true;
  // Its own page holds the figures of its evaluation.
  if (path.endsWith('.md')) return /^(?:docs\/|[A-Z]+\.md$)/.test(path) && !/embedd/.test(path);
  return /^src\/.*(?<!\.test)\.ts$/.test(path) && !path.startsWith('src/learning/embedding/');
}

function groupsOf(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => line.split(',').map((phrase) => phrase.trim()));
}

function readAgent(text: string): AgentTexts {
  const [, head = '', body = ''] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text) ?? [];
  const { name, description, centuria } = parse(head) as Frontmatter;
  const { category, capabilities, input } = centuria;
  const asked = Object.values(input?.properties ?? {}).flatMap((field) => field.description ?? []);
  const sections = sectionsOf(body).map(([heading, paragraph]) => `${heading}\n${paragraph}`);
  return {
    name,
    card: candidateText({ name, description, category, capabilities }),
    passages: [...description.split(/(?<=[.:]) /), ...capabilities, ...asked, ...sections],
  };
}

/** Each paragraph, list entry and table row of a Markdown text, with its nearest heading. */
function sectionsOf(markdown: string): [string, string][] {
  const found: [string, string][] = [];
  const prose = markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/<!--[\s\S]*?-->/g, '');
  let heading = '';
  for (const block of prose.split(/\n(?=#{1,6} )|\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|\n(?=\|)/)) {
    const [, title, rest = block] = /^#{1,6} +(.*)\n?([\s\S]*)$/.exec(block.trim()) ?? [];
    if (title !== undefined) heading = title;
    const text = rest.replace(/\s+/g, ' ').trim();
    if (/\p{L}{3}/u.test(text)) found.push([heading, text]);
  }
  return found;
}

/** Descriptions, comments and questions of a workflow: the lines that hold sentences. */
function proseOfYaml(path: string, text: string): string[] {
  const blocks = text.split(/\n\s*\n/).map((block) => block.replace(/\$\{[^}]*\}|[:>#'-]/g, ' '));
  return blocks.map((block) => `${basename(path, '.yaml')} ${block.replace(/\s+/g, ' ').trim()}`);
}

/** What the comments of a source say, with the line of code below each. */
function commentsOf(text: string): string[] {
  const found: string[] = [];
  for (const match of text.matchAll(/\/\*\*([\s\S]*?)\*\/\s*\n?(.*)|((?:^\s*\/\/.*\n)+)(.*)/gm)) {
    const said = (match[1] ?? match[3] ?? '').replace(/^\s*(?:\*|\/\/)/gm, ' ');
    const code = match[2] ?? match[4] ?? '';
    found.push(`${said} ${code}`.replace(/\s+/g, ' ').trim());
  }
  return found.filter((paragraph) => paragraph.length > 20);
}
