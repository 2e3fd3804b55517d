import { isDeepStrictEqual } from 'node:util';
import { Document, isMap, isScalar, visit } from 'yaml';
import type { Problem } from './agents.ts';
import { decodeSource, readFrontmatter, type Frontmatter } from './frontmatter.ts';
import { promptOf } from './parse.ts';

/** What a definition file is written from. */
export interface AgentText {
  readonly frontmatter: Readonly<Record<string, unknown>>;
  readonly prompt: string;
  /** The file as it stood: comments and the layout of what did not change are taken from it. */
  readonly source?: string;
}

/**
 * The text of a definition file. With a `source` that says the same it is that source, byte for
 * byte; otherwise only the fields that differ are written anew. Reading and formatting the result
 * again changes nothing.
 */
export function formatAgent(agent: AgentText): string {
  const before = agent.source === undefined ? undefined : readSource(agent.source);
  if (before === undefined) {
    return join('---\n', toYaml(written(agent.frontmatter)), '---\n', bodyOf(agent.prompt));
  }
  const sameFields = isDeepStrictEqual({ ...before.fields }, { ...agent.frontmatter });
  const samePrompt = promptOf(before.body) === promptOf(agent.prompt);
  let yaml = before.yaml;
  if (!sameFields) {
    yaml = toYaml(edited(before, agent.frontmatter));
  }
  const closing = before.closing.endsWith('\n') ? before.closing : `${before.closing}\n`;
  return sameFields && samePrompt
    ? join(before.opening, yaml, before.closing, before.body)
    : join(before.opening, yaml, closing, samePrompt ? before.body : bodyOf(agent.prompt));
}

function readSource(source: string): Frontmatter | undefined {
  const problems: Problem[] = [];
  const text = decodeSource(source, '', problems);
  return text === undefined ? undefined : readFrontmatter(text, '', problems);
}

const join = (...parts: string[]): string => parts.join('');

function bodyOf(prompt: string): string {
  const text = promptOf(prompt);
  return text === '' ? '' : `\n${text}\n`;
}

/** Lines are never folded: a folded description would read as a change in every diff. */
function toYaml(document: Document): string {
  return document.toString({ lineWidth: 0, directives: false });
}

function written(frontmatter: AgentText['frontmatter']): Document {
  return new Document({ ...frontmatter }, { aliasDuplicateObjects: false });
}

/** An edit could take away the anchor that an alias elsewhere needs, so a file with aliases is written anew. */
function edited(before: Frontmatter, frontmatter: AgentText['frontmatter']): Document {
  let aliases = 0;
  visit(before.document, { Alias: () => void (aliases += 1) });
  if (aliases > 0) return written(frontmatter);
  update(before.document, before.fields, frontmatter, []);
  return before.document;
}

/** Makes the document say `after`, touching only what differs. */
function update(
  document: Document,
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  path: readonly string[],
): void {
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) document.deleteIn([...path, key]);
  }
  for (const [key, value] of Object.entries(after)) {
    const old = Object.hasOwn(before, key) ? before[key] : undefined;
    if (Object.hasOwn(before, key) && isDeepStrictEqual(old, value)) continue;
    const at = [...path, key];
    const node: unknown = document.getIn(at, true);
    if (isMap(node) && isRecord(old) && isRecord(value)) {
      update(document, old, value, at);
    } else if (isScalar(node) && (value === null || typeof value !== 'object')) {
      const comment = node.comment;
      const fresh = document.createNode(value);
      if (comment !== null && comment !== undefined) fresh.comment = comment;
      document.setIn(at, fresh);
    } else {
      document.setIn(at, document.createNode(value, { aliasDuplicateObjects: false }));
    }
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
