import { createHash } from 'node:crypto';
import { canonicalJson } from '../base/base.ts';

/** What an MCP server says of one tool: all that a reader, person or model, goes by. */
export interface McpToolDefinition {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly inputSchema: Readonly<Record<string, unknown>>;
  readonly outputSchema?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/** The same as libraries give it: with more, and with what is absent as undefined. */
export type ListedTool = {
  readonly [Field in keyof McpToolDefinition]: McpToolDefinition[Field] | undefined;
} & Pick<McpToolDefinition, 'name' | 'inputSchema'>;

const fields = [
  'name',
  'title',
  'description',
  'inputSchema',
  'outputSchema',
  'annotations',
] as const satisfies readonly (keyof McpToolDefinition)[];

/** The fields that count, of a tool as it was listed. */
export function definitionOf(tool: ListedTool): McpToolDefinition {
  const { name, title, description, inputSchema, outputSchema, annotations } = tool;
  return {
    name,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    inputSchema,
    ...(outputSchema === undefined ? {} : { outputSchema }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** SHA-256 of a definition, whatever the order of its keys. */
export function definitionHash(definition: McpToolDefinition): string {
  return createHash('sha256').update(canonicalJson(definition)).digest('hex');
}

/** The fields in which two definitions differ. */
export function changedFields(
  before: McpToolDefinition,
  after: McpToolDefinition,
): readonly string[] {
  return fields.filter((field) => canonicalJson(before[field]) !== canonicalJson(after[field]));
}

/**
 * What a reader does not see, or sees otherwise than it stands: control characters, soft hyphens, zero
 * widths, marks that turn the direction of writing, variation selectors, tags, private use.
 */
export const hidden =
  /(?!\r\n|[\t\n])[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** The text with what is hidden written out: `\u{200b}`. A backslash that stood there is doubled. */
export function shownText(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replace(hidden, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`);
}

/** A copy for people and programs that show it to people: nothing in it is hidden. */
export function shownValue(value: unknown): unknown {
  if (typeof value === 'string') return shownText(value);
  if (Array.isArray(value)) return value.map(shownValue);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [shownText(key), shownValue(item)]),
  );
}
