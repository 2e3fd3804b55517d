import {
  combineTextAndLanguageSettings,
  getDefaultBundledSettingsAsync,
  getDictionary,
  type SpellingDictionaryCollection,
} from 'cspell-lib';
import type { ToolReport } from '../base/base.ts';
import { findComments, LineIndex } from './comments.ts';
import { extensionOf, isGenerated, isLockFile, isTest, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type TextFile } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * A spelling tool is worth as much as its silence. A word is reported only when a known word is one
 * slip away from it, the code does not use it as a name, and it is rare: a word that a project uses
 * often is a term. Severities: low in documents, info in comments.
 */
const dictionaries =
  'en_us en-gb en-common-misspellings softwareTerms software-term-suggestions companies computing-acronyms public-licenses node bash fullstack filetypes git k8s docker';
const mostUses = 3;
/** Shorter words have too many neighbours for a slip to point at one. */
const leastLetters = 7;
const prose = new Set(['md', 'markdown', 'mdx', 'txt', 'rst', 'adoc']);

interface Use {
  readonly path: string;
  readonly offset: number;
}

/** What the code calls things. */
interface Names {
  readonly whole: Set<string>;
  readonly parts: Set<string>;
}

/** Misspelled words in documents and comments, offline, tolerant of names. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('spelling', context.limit);
  const uses = new Map<string, Use[]>();
  const names: Names = { whole: new Set(), parts: new Set() };
  const texts = new Map<string, string>();
  for (const file of repository.texts(({ path }) => mayHoldProse(path), 512 * 1024)) {
    if (isGenerated(file.path, file.text)) continue;
    if (readWords(file, uses, names)) texts.set(file.path, file.text);
  }
  context.progress(`looking up ${count(uses.size, 'word')}`);
  const dictionary = await loadDictionary();
  for (const [word, places] of uses) {
    if (places.length > mostUses || names.whole.has(word.toLowerCase())) continue;
    const right = correction(dictionary, word, names);
    if (right === undefined) continue;
    for (const { path, offset } of places) {
      const text = texts.get(path) ?? '';
      report.add({
        severity: prose.has(extensionOf(path)) ? 'low' : 'info',
        rule: 'misspelling',
        file: path,
        ...new LineIndex(text).at(offset),
        message: `"${word}" is probably "${right}".`,
        evidence: text.slice(Math.max(0, offset - 30), offset + word.length + 30),
        fix: `Write "${right}".`,
      });
    }
  }
  report.metric('filesRead', texts.size);
  report.metric('words', uses.size);
  report.notes(repository.notes());
  return report.build(
    `${count(uses.size, 'different word')} in ${count(texts.size, 'file')}; ${count(report.total, 'misspelling')}.`,
  );
}

function mayHoldProse(path: string): boolean {
  return (
    !isVendored(path) &&
    !isGenerated(path) &&
    !isLockFile(path) &&
    !/\.(svg|csv|tsv|dic)$/i.test(path)
  );
}

async function loadDictionary(): Promise<SpellingDictionaryCollection> {
  const bundled = await getDefaultBundledSettingsAsync();
  const settings = { ...bundled, language: 'en,en-GB', dictionaries: dictionaries.split(' ') };
  return getDictionary(combineTextAndLanguageSettings(settings, '', ['plaintext']));
}

/**
 * The word that was meant, when there is little doubt: the listed one for a common misspelling, else
 * the only word that is one slip away. cspell's own suggestions took 50 ms a word, this takes 2.
 */
function correction(
  dictionary: SpellingDictionaryCollection,
  word: string,
  names: Names,
): string | undefined {
  const lower = word.toLowerCase();
  for (const one of dictionary.dictionaries) {
    if (!/misspellings|suggestions/.test(one.name)) continue;
    const [listed] = one.suggest(lower, { numSuggestions: 1 });
    if (listed?.isPreferred === true) return listed.word;
  }
  // A capital may be a name's, and a name is not misspelled for being near a word.
  if (
    names.parts.has(lower) ||
    lower.length < leastLetters ||
    word !== lower ||
    dictionary.has(word)
  )
    return undefined;
  const english = dictionary.dictionaries.filter(({ name }) => /^en[_-]/.test(name));
  const isWord = (candidate: string): boolean => english.some((one) => one.has(candidate));
  const swapped = swapsOf(lower).filter(isWord);
  const found = swapped.length > 0 ? swapped : slipsOf(lower).filter(isWord);
  return new Set(found).size === 1 ? found[0] : undefined;
}

/** Two neighbours the wrong way round, which is the commonest slip of the hand. */
function swapsOf(word: string): string[] {
  return Array.from(
    word.slice(1),
    (_letter, at) => word.slice(0, at) + word.charAt(at + 1) + word.charAt(at) + word.slice(at + 2),
  );
}

/** One letter too many, too few or wrong. */
export function slipsOf(word: string): string[] {
  const slips: string[] = [];
  for (let at = 0; at <= word.length; at += 1) {
    const before = word.slice(0, at);
    const after = word.slice(at + 1);
    if (at < word.length) slips.push(before + after);
    for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
      slips.push(before + letter + word.slice(at));
      if (at < word.length) slips.push(before + letter + after);
    }
  }
  return slips;
}

/** Collects the words of comments or prose, and the names that the code uses. Says whether the file had any prose. */
function readWords(file: TextFile, uses: Map<string, Use[]>, names: Names): boolean {
  const { path, text } = file;
  const isProse = prose.has(extensionOf(path));
  const ranges = isProse ? [{ start: 0, end: text.length }] : findComments(path, text);
  let code = '';
  let from = 0;
  for (const { start, end } of ranges ?? []) {
    code += `${text.slice(from, start)} `;
    from = end;
    // Words in fixtures and licences are what they are.
    if (isTest(path)) continue;
    for (const { word, offset } of wordsOf(text.slice(start, end), isProse)) {
      const places = uses.get(word) ?? [];
      if (places.length <= mostUses) places.push({ path, offset: start + offset });
      uses.set(word, places);
    }
  }
  code += text.slice(from);
  if (!isProse) for (const [name] of code.matchAll(/[A-Za-z]{4,}/g)) addName(names, name);
  else
    for (const [name] of text.matchAll(/`[^`\n]{1,200}`|^\s{0,3}(```|~~~)[^]*?^\s{0,3}\1/gm))
      addNames(names, name);
  return ranges !== undefined && !isTest(path);
}

function addNames(names: Names, text: string): void {
  for (const [name] of text.matchAll(/[A-Za-z]{4,}/g)) addName(names, name);
}

/** `parseHunk` makes "parseHunk" a name and "hunk" a part of one. */
function addName(names: Names, name: string): void {
  names.whole.add(name.toLowerCase());
  for (const part of name.split(/(?<=[a-z])(?=[A-Z])/)) names.parts.add(part.toLowerCase());
}

const notProse =
  /`{3,}[^]*?`{3,}|`[^`\n]+`|<[^<>\n]{1,300}>|\]\([^)\n]*\)|\b[a-z][a-z0-9+.-]*:\/\/\S+|\S+@\S+|[@#$%\\/][\w./-]+|\S*[_/\\=(){}[\]<>|~^$#@&+*]\S*|\S*\w\.\w\S*|\w*\d\w*/gi;

/** Plain words: lower-case ones, or with a capital first. CamelCase, paths, addresses and code are names. */
export function wordsOf(text: string, isProse: boolean): { word: string; offset: number }[] {
  // In Markdown the signs around a word are its markup.
  const source = isProse
    ? text.replaceAll(/[*_]{1,3}(?=[A-Za-z])|(?<=[A-Za-z])[*_]{1,3}(?=[\s.,;:!?)]|$)/g, (signs) =>
        ' '.repeat(signs.length),
      )
    : text;
  const plain = source.replace(notProse, (match) => match.replaceAll(/[^\n]/g, ' '));
  const words: { word: string; offset: number }[] = [];
  for (const match of plain.matchAll(
    /(?<![\p{L}\p{N}'’-])\p{Lu}?\p{Ll}{3,}(?![\p{L}\p{N}'’-])/gu,
  )) {
    if (/^[A-Za-z]+$/.test(match[0])) words.push({ word: match[0], offset: match.index });
  }
  return words;
}
