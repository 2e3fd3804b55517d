/** What the last message of a model comes to: a text, or a value that fits a schema. */
import Schema from 'typebox/schema';
import { toolReportSchema } from '../../base/base.ts';
import type { AgentDefinition } from '../agents.ts';
import type { Verify } from '../definition-schema.ts';

export interface AnswerFormat {
  /** Of the value that is wanted; absent where a text is. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** What the model is told of it. */
  readonly instruction?: string;
  /** Reads the answer, or says what is wrong with it in words for the model. */
  read(text: string): { readonly value: unknown } | { readonly problem: string };
}

/** By the definition's `verify`: a schema or a format make the answer structured. */
export function answerFormat(definition: AgentDefinition): AnswerFormat {
  const verify = (definition.verify ?? {}) as Verify;
  const schema =
    verify.schema ?? (verify.format === 'findings' ? plain(toolReportSchema) : undefined);
  if (schema === undefined) return { read: (text) => ({ value: text }) };
  const shown = JSON.stringify(schema);
  return {
    schema,
    instruction: `Your last message must be one JSON value and nothing else. It must fit this JSON Schema:\n${shown}`,
    read: (text) => readStructured(text, schema),
  };
}

function readStructured(
  text: string,
  schema: Readonly<Record<string, unknown>>,
): { readonly value: unknown } | { readonly problem: string } {
  const value = parsed(text);
  if (value === undefined) return { problem: 'it is not one JSON value' };
  const [fits, errors] = Schema.Errors(schema, value);
  if (fits) return { value };
  const [first] = errors;
  const where = first?.instancePath ? `at ${first.instancePath} ` : '';
  return { problem: `${where}it ${first?.message ?? 'does not fit its schema'}` };
}

/** Models put a fence around JSON although they were asked not to. */
function parsed(text: string): unknown {
  const fence = /```(?:json)?\s*\n([\s\S]*?)\n\s*```/.exec(text)?.[1];
  for (const candidate of [text, fence]) {
    if (candidate === undefined) continue;
    try {
      return JSON.parse(candidate) as unknown;
    } catch {
      // The next form, or none.
    }
  }
  return undefined;
}

/** Without the marks that only the schema library sees. */
function plain(schema: unknown): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(schema)) as Readonly<Record<string, unknown>>;
}
