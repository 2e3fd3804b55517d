/** Names, categories and colours of the predecessor as ours. */
import { agentCategories } from './definition-schema.ts';
import { show } from './fields.ts';
import type { AgentCategory } from './agents.ts';

const longestName = 64;

/** `APIDesigner`, `C_INTERNAL` and `Über Agent` as `api-designer`, `c-internal` and `uber-agent`; undefined where no name is left. */
export function foldName(text: string): string | undefined {
  const name = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return name === '' || name.length > longestName ? undefined : name;
}

/** The complaint about a name that had to be folded. */
export function otherName(given: unknown): string {
  return `the name ${show(given)} has more than lower-case letters, digits and hyphens`;
}

/** What is left of a name without hyphens: `SECURITYAUDITOR` and `SecurityAuditor` are one agent. */
function squash(name: string): string {
  return name.replaceAll('-', '');
}

export type AgentNames = (reference: string) => string | 'several' | undefined;

/** Finds the agent that a reference means among `names`, with or without the hyphens between its words. */
export function agentNames(names: Iterable<string>): AgentNames {
  const known = new Set(names);
  const squashed = new Map<string, string | 'several'>();
  for (const name of known) {
    const key = squash(name);
    squashed.set(key, squashed.has(key) ? 'several' : name);
  }
  return (reference) => {
    const name = foldName(reference);
    if (name === undefined || known.has(name)) return name;
    return squashed.get(squash(name));
  };
}

/** Words that the predecessor had for one of the ten. */
const otherWords: Readonly<Record<string, AgentCategory>> = {
  strategic: 'command',
  platform: 'platforms',
  language: 'languages',
};

/** The category that is meant, in whatever case; undefined where none of the ten is. */
export function foldCategory(text: string): AgentCategory | undefined {
  const word = text.trim().toLowerCase();
  if (Object.hasOwn(otherWords, word)) return otherWords[word];
  return agentCategories.find((category) => category === word);
}

/** The colours that Claude Code shows, with what stands for them on a screen. */
const colours: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [220, 38, 38],
  blue: [37, 99, 235],
  green: [22, 163, 74],
  yellow: [234, 179, 8],
  purple: [147, 51, 234],
  orange: [249, 115, 22],
  pink: [236, 72, 153],
  cyan: [8, 145, 178],
};

/** One of Claude Code's colours: the same word, or the nearest to `#RRGGBB` or `#RGB`; undefined for anything else. */
export function foldColour(text: string): string | undefined {
  const word = text.trim().toLowerCase();
  if (Object.hasOwn(colours, word)) return word;
  const digits = /^#([0-9a-f]{6}|[0-9a-f]{3})$/.exec(word)?.[1];
  if (digits === undefined) return undefined;
  const long = digits.length === 6 ? digits : digits.replace(/./g, '$&$&');
  const parts = [0, 2, 4].map((at) => Number.parseInt(long.slice(at, at + 2), 16));
  const distance = (of: readonly number[]): number =>
    parts.reduce((sum, part, index) => sum + (part - (of[index] ?? 0)) ** 2, 0);
  return Object.entries(colours).reduce((best, next) =>
    distance(next[1]) < distance(best[1]) ? next : best,
  )[0];
}
