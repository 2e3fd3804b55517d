/**
 * A text as numbered features. Hashes and whole numbers only, so that every machine counts the same
 * ones; what decides of characters is Unicode's own tables, which do not change for assigned ones.
 */
import { taskTextLength } from '../types.ts';

export interface Word {
  readonly text: string;
  /** Of its text: what tables know it by. */
  readonly hash: number;
}

/** Rows of the table of n-grams: some share one, as fastText has it (Bojanowski et al., 2017, §3.2). */
export const bucketCount = 4_096;

const shortestGram = 3;
const longestGram = 5;
/** Of one word; what is longer is a key or an address, and says no more with every character. */
const longestWord = 40;

/**
 * `c++` and `c#`; capitals that stand together; a word with its capital (`parseConfig` is two); a
 * number; a symbol such as an emoji. Punctuation and control characters separate.
 */
const pattern =
  /\b[cC](?:\+\+|#)|\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{Lo}\p{Lm}\p{Lt}\p{M}]+|\p{N}+|\p{So}/gu;
/** Written without spaces: two characters at a time stand for words there. */
const unspaced = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}]/u;
const beyondAscii = /[^\0-\x7f]/;

/** The words of a text in their order, in lower case and without usual endings. Reads `taskTextLength` characters. */
export function wordsOf(text: string): Word[] {
  const read = text.slice(0, taskTextLength);
  const plain = beyondAscii.test(read) ? read.toWellFormed().normalize('NFKC') : read;
  const words: Word[] = [];
  for (const match of plain.match(pattern) ?? []) {
    const lower = match.toLowerCase().slice(0, longestWord);
    if (!beyondAscii.test(lower)) words.push(wordOf(stem(lower)));
    else if (unspaced.test(lower)) for (const pair of pairsOf(lower)) words.push(wordOf(pair));
    else words.push(wordOf(lower));
  }
  return words;
}

export function isNumber({ text }: Word): boolean {
  const first = text.charCodeAt(0);
  return first >= 48 && first <= 57;
}

/** Rows of the table of n-grams of a word with its ends marked: `<word>`. */
export function bucketsOf({ text }: Word): number[] {
  const marked = `<${text}>`;
  const found: number[] = [];
  for (let start = 0; start + shortestGram <= marked.length; start += 1) {
    const end = Math.min(start + longestGram, marked.length);
    for (let stop = start + shortestGram; stop <= end; stop += 1) {
      found.push(hashOf(marked, start, stop) & (bucketCount - 1));
    }
  }
  return found;
}

/** FNV-1a over UTF-16 code units, mixed at the end as MurmurHash3 does: the low bits alone are poor. */
export function hashOf(text: string, start = 0, end = text.length): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return mixed(hash);
}

/** Of two words beside each other. */
export function pairHash(first: number, second: number): number {
  return mixed(Math.imul(first, 0x9e3779b1) ^ second);
}

/** 32 signs, and what to call it with for the next 32: always the same ones after the same number. */
export function nextSigns(state: number): number {
  return mixed((state + 0x6d2b79f5) | 0);
}

function mixed(hash: number): number {
  let value = hash;
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

function wordOf(text: string): Word {
  return { text, hash: hashOf(text) };
}

function pairsOf(text: string): string[] {
  const characters = [...text];
  if (characters.length < 2) return characters;
  return characters.slice(1).map((character, index) => `${characters[index] ?? ''}${character}`);
}

const vowel = /[aeiouy]/;

/**
 * Takes endings of English off (steps 1a to 1c of Porter, 1980, and `-ly`): `crashes`, `crashed` and
 * `crashing` are one word. Whatever it does to words of other languages, it does the same every time.
 */
function stem(word: string): string {
  if (word.length < 4) return word;
  let rest = word;
  if (rest.endsWith('ies')) rest = rest.length > 4 ? `${rest.slice(0, -3)}y` : rest.slice(0, -1);
  else if (/(?:ss|sh|ch|x|z)es$/.test(rest)) rest = rest.slice(0, -2);
  else if (rest.endsWith('s') && !/[sui]s$/.test(rest)) rest = rest.slice(0, -1);
  if (rest.endsWith('ly') && rest.length > 5) rest = rest.slice(0, -2);
  if (rest.endsWith('eed')) return rest;
  const ending = rest.endsWith('ing') ? 3 : rest.endsWith('ed') ? 2 : 0;
  const begin = rest.slice(0, -ending);
  if (ending === 0 || begin.length < 3 || !vowel.test(begin)) return withoutE(rest);
  if (/([^aeiouylsz])\1$/.test(begin)) return begin.slice(0, -1);
  return begin;
}

/** `cache` and `caching` end alike. */
function withoutE(word: string): string {
  return word.length > 4 && word.endsWith('e') && !/[aeiou]e$/.test(word)
    ? word.slice(0, -1)
    : word;
}
