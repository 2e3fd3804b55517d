import { isDeepStrictEqual } from 'node:util';
import { Document, isMap, isScalar, visit, type ToStringOptions } from 'yaml';
import { AppError } from '../base/base.ts';
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
 * again changes nothing. Throws `invalid_input` for a value that is no YAML.
 */
export function formatAgent(agent: AgentText): string {
  const before = agent.source === undefined ? undefined : readSource(agent.source);
  if (before === undefined) {
    return join('---\n', toYaml(agent.frontmatter), '---\n', bodyOf(agent.prompt));
  }
  const sameFields = isDeepStrictEqual({ ...before.fields }, { ...agent.frontmatter });
  const samePrompt = promptOf(before.body) === promptOf(agent.prompt);
  const yaml = sameFields ? before.yaml : toYaml(agent.frontmatter, before);
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

type Fields = AgentText['frontmatter'];

/**
 * YAML that says exactly `fields`, as near to what stood before as can be. The library writes some
 * texts of blanks and line ends so that they read otherwise, so each form is read back before it is
 * trusted, down to the one with every text in quotes.
 */
function toYaml(fields: Fields, before?: Frontmatter): string {
  const forms = [
    ...(before === undefined || hasAliases(before.document)
      ? []
      : [() => print(edited(before, fields))]),
    () => print(written(fields)),
    () => print(written(fields), { defaultStringType: 'QUOTE_DOUBLE' }),
  ];
  for (const form of forms) {
    const yaml = form();
    const again = readSource(`---\n${yaml}---\n`);
    if (again !== undefined && isDeepStrictEqual({ ...again.fields }, { ...fields })) return yaml;
  }
  throw new AppError('invalid_input', 'the frontmatter can not be written as YAML', {
    remedy: 'Use texts, numbers, true, false, null, lists and maps, at most 32 levels deep.',
  });
}

/** Lines are never folded: a folded description would read as a change in every diff. */
function print(document: Document, options: ToStringOptions = {}): string {
  return document.toString({ lineWidth: 0, directives: false, ...options });
}

function written(fields: Fields): Document {
  return new Document({ ...fields }, { aliasDuplicateObjects: false });
}

function edited(before: Frontmatter, fields: Fields): Document {
  update(before.document, before.fields, fields, []);
  return before.document;
}

/** An edit could take away the anchor that an alias elsewhere needs, so a file with aliases is written anew. */
function hasAliases(document: Document): boolean {
  let aliases = 0;
  visit(document, { Alias: () => void (aliases += 1) });
  return aliases > 0;
}

/** Makes the document say `after`, touching only what differs. */
function update(document: Document, before: Fields, after: Fields, path: readonly string[]): void {
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

function isRecord(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
