/** The lists of a predecessor's file: tools, triggers and the agents that it calls. */
import { show, type Path } from './fields.ts';
import type { Frontmatter } from './frontmatter.ts';
import type { Complain } from './import-complaint.ts';
import { foldName, type AgentNames } from './import-names.ts';
import { isRecord, textAt, type Field, type SourceFields } from './import-source.ts';

export interface Work {
  readonly front: Frontmatter;
  readonly fields: SourceFields;
  readonly complain: Complain;
}

/** What the predecessor's files name their groups. Where the indentation was lost they stand beside their empty field. */
const groups = {
  tools: [
    'required',
    'code_operations',
    'system_operations',
    'information',
    'workflow',
    'analysis',
  ],
  proactive_triggers: [
    'patterns',
    'context_triggers',
    'always_when',
    'auto_invoke',
    'keywords',
    'examples',
  ],
  invokes_agents: ['frequently', 'as_needed', 'conditionally', 'parallel_capable'],
} as const;

/** Values one by one, with the name of the group that they stand in. */
interface Item {
  readonly value: unknown;
  readonly path: Path;
  readonly group: string;
}

/** The field's values, from its groups wherever they stand; undefined when the field is not there. */
function itemsOf(
  name: keyof typeof groups,
  work: Work,
): { field: Field; parts: readonly Field[]; items: Item[] } | undefined {
  const field = work.fields.take(name);
  if (field === undefined) return undefined;
  const beside = field.value === null ? work.fields.takeBeside(field, groups[name]) : [];
  if (beside.length > 0) {
    const named = beside.map(({ path }) => String(path.at(-1))).join(', ');
    const message = `${name} is empty, and its groups stand beside it: ${named}`;
    work.complain('note', field.path, message, 'they were read as the groups of it');
  }
  const parts = beside.length > 0 ? beside : [field];
  return {
    field,
    parts,
    items: parts.flatMap(({ value, path }) => flatten(value, path, String(path.at(-1)))),
  };
}

function flatten(value: unknown, path: Path, group: string): Item[] {
  if (value === null) return [];
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => ({ value: item, path: [...path, index], group }));
  }
  if (!isRecord(value)) return [{ value, path, group }];
  return Object.entries(value).flatMap(([key, inner]) =>
    isRecord(inner) || Array.isArray(inner)
      ? flatten(inner, [...path, key], key)
      : [{ value: inner, path: [...path, key], group: key }],
  );
}

/** Tools that go by another name now; the work is the same. */
const renamedTools: Readonly<Record<string, string>> = { Task: 'Agent', MultiEdit: 'Edit' };

/** Tools that the predecessor's files name and Claude Code does not have (any more). */
const goneTools = new Set([
  'LS',
  'GitCommand',
  'ProjectKnowledgeSearch',
  'Analysis',
  'BashOutput',
  'KillBash',
]);

/** Every tool that any group names, once, as Claude Code writes them; undefined: all that there are. */
export function readTools(work: Work): string | readonly [] | undefined {
  const found = itemsOf('tools', work);
  if (found === undefined) return undefined;
  const tools = new Set<string>();
  const add = (name: string, path: Path): void => {
    const now = Object.hasOwn(renamedTools, name) ? renamedTools[name] : undefined;
    if (now !== undefined) {
      work.complain('note', path, `${name} is ${now} in Claude Code now`, `written as ${now}`);
    }
    if (goneTools.has(name)) {
      work.complain('note', path, `Claude Code has no tool ${name}`, 'kept; it grants nothing');
    }
    tools.add(now ?? name);
  };
  for (const { value, path, group } of found.items) {
    if (typeof value === 'string') {
      for (const name of splitTools(value)) add(name, path);
    } else if (value === true) {
      add(group, path);
    } else if (value !== false && value !== null) {
      work.complain('warning', path, `${show(value)} is no tool`, 'left out');
    }
  }
  if (tools.size > 0) return [...tools].join(', ');
  const isList = Array.isArray(found.field.value);
  const meaning = isList ? 'it gets no tool' : 'it inherits every tool, as an absent field says';
  work.complain('note', found.field.path, 'tools names no tool', meaning);
  return isList ? [] : undefined;
}

/** At commas outside parentheses: `Read, Bash(git log, git show)` names two. */
function splitTools(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** A description longer by this much still says at one look when to use an agent. */
const maxTriggerLength = 500;

/** A sentence for the description; where it has no room for everything, the field is left over as text. */
export function readTriggers(work: Work): string | undefined {
  const found = itemsOf('proactive_triggers', work);
  if (found === undefined) return undefined;
  const phrases: string[] = [];
  const keywords: string[] = [];
  const unread: string[] = [];
  for (const item of found.items) {
    const text = phraseOf(item, work);
    if (text === undefined || ['auto_invoke', 'examples'].includes(item.group)) {
      unread.push(text ?? show(item.value));
    } else (item.group === 'keywords' ? keywords : phrases).push(text);
  }
  const [first, firstLeft] = fit(phrases, maxTriggerLength);
  const [second, secondLeft] = fit(keywords, maxTriggerLength - first.join('; ').length);
  const left = [...firstLeft, ...secondLeft, ...unread];
  if (left.length > 0) {
    for (const part of found.parts) work.fields.leave(part);
    const message = `${left.length} of ${found.items.length} triggers are not in the description: ${left.join('; ')}`;
    work.complain('warning', found.field.path, cut(message), 'kept in the prompt, as text');
  }
  const sentences = [
    ...(first.length === 0 ? [] : [`Use proactively when the task matches: ${first.join('; ')}.`]),
    ...(second.length === 0 ? [] : [`Keywords: ${second.join(', ')}.`]),
  ];
  return sentences.length === 0 ? undefined : sentences.join(' ');
}

function phraseOf({ value, path }: Item, work: Work): string | undefined {
  if (typeof value === 'string') return value.trim() === '' ? undefined : oneLine(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (!isRecord(value)) return undefined;
  const { pattern } = value;
  if (typeof pattern === 'string') return oneLine(pattern);
  const [only, ...more] = Object.values(value);
  if (more.length > 0 || typeof only !== 'string') return undefined;
  const text = textAt(work.front, path);
  if (text === undefined || /\n|^\{/.test(text)) return undefined;
  work.complain('note', path, 'a colon makes a map of this text', 'read as the text');
  return text;
}

/** As many from the start as have room, and the others. */
function fit(texts: readonly string[], room: number): [string[], string[]] {
  let used = 0;
  const end = texts.findIndex((text) => (used += text.length + 2) > room);
  return end === -1 ? [[...texts], []] : [texts.slice(0, end), texts.slice(end)];
}

/** The fields of an entry that name the agent; the others say why. */
const nameFields = ['agent_name', 'agent', 'name'];
/** The format's limit. */
const maxInvokes = 100;

/** The agents that it may call, each once, in the order of the file. */
export function readInvokes(work: Work, own: string, resolveAgent: AgentNames): string[] {
  const found = itemsOf('invokes_agents', work);
  const invokes = new Set<string>();
  const drop = (path: Path, message: string): void =>
    work.complain('warning', path, message, 'left out of invokes');
  for (const { value, path, group } of found?.items ?? []) {
    const reference = referenceOf(value);
    const name = reference === undefined ? undefined : resolveAgent(reference);
    if (reference === undefined) drop(path, `${group} has ${show(value)}, which names no agent`);
    else if (name === undefined)
      drop(path, `${group} names ${show(reference)}, and no agent is called so`);
    else if (name === 'several')
      drop(path, `${group} names ${show(reference)}, which several agents could be`);
    else if (name === own) drop(path, `${group} names the agent itself`);
    else if (invokes.has(name)) {
      work.complain('note', path, `${group} names ${name} again`, 'written once');
    } else if (invokes.size === maxInvokes) {
      drop(path, `${group} names ${name}, beyond the limit of ${maxInvokes} agents`);
    } else invokes.add(name);
  }
  return [...invokes];
}

function referenceOf(value: unknown): string | undefined {
  const named = isRecord(value)
    ? nameFields.flatMap((name) => (Object.hasOwn(value, name) ? [value[name]] : []))[0]
    : value;
  return typeof named === 'string' && foldName(named) !== undefined ? named : undefined;
}

export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, ' ').trim();
}

/** A complaint is read on one line of a terminal or two. */
function cut(text: string): string {
  return text.length > 300 ? `${text.slice(0, 299)}…` : text;
}
