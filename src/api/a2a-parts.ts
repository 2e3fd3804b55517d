/** Between the parts of messages and artifacts and what agents take and give. */
import type { AgentDefinition } from '../agents/agents.ts';
import type { WorkflowDefinition } from '../coordination/coordination.ts';
import { A2aError } from './a2a-errors.ts';
import { readAnswer, type SentPart, type WirePart } from './a2a-schemas.ts';
import type { AnswerRunRequest } from './run-schemas.ts';
import { invalid } from './validate.ts';

export const textType = 'text/plain';
export const jsonType = 'application/json';
export const mediaTypes = [jsonType, textType] as const;

interface Said {
  /** All texts, a line break between them. */
  readonly text: string | undefined;
  /** The one data part, where there is one. */
  readonly data: { readonly value: unknown } | undefined;
}

/** What an agent is given: the data as it is, or the text in the shape that its input has. */
export function agentInput(agent: AgentDefinition, parts: readonly SentPart[]): unknown {
  const said = readParts(parts);
  if (said.data !== undefined) return withTask(said.data.value, said.text);
  return takesTask(agent) ? { task: said.text } : said.text;
}

/** The inputs of a workflow; a text is its input `task`, where it has one. */
export function workflowInput(
  { name, inputs }: WorkflowDefinition,
  parts: readonly SentPart[],
): Readonly<Record<string, unknown>> {
  const { text, data } = readParts(parts);
  const input =
    data === undefined ? (text === undefined ? {} : { task: text }) : withTask(data.value, text);
  if (!isRecord(input)) {
    throw invalid('body', 'message.parts', `must hold the inputs of ${name} as one JSON object`);
  }
  if (data === undefined && inputs['task'] === undefined) {
    const names = Object.keys(inputs).join(', ') || 'none';
    throw invalid(
      'body',
      'message.parts',
      `must hold a data part with the inputs of ${name} (${names})`,
    );
  }
  return input;
}

/** Whether what it is told in words belongs into a field of its own. */
function takesTask({ input, runtime }: AgentDefinition): boolean {
  if (input === undefined) return runtime?.kind === 'model' || runtime?.kind === 'claude-code';
  const properties = input['properties'];
  return input['type'] === 'object' || (isRecord(properties) && 'task' in properties);
}

function withTask(value: unknown, text: string | undefined): unknown {
  if (text === undefined) return value;
  if (isRecord(value) && !('task' in value)) return { ...value, task: text };
  throw invalid(
    'body',
    'message.parts',
    'must not hold a text beside data that is no object, or has a task',
  );
}

function readParts(parts: readonly SentPart[]): Said {
  const texts: string[] = [];
  const data: unknown[] = [];
  for (const [index, part] of parts.entries()) {
    const kinds = (['text', 'raw', 'url', 'data'] as const).filter(
      (kind) => part[kind] !== undefined,
    );
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1) {
      throw invalid('body', `message.parts.${index}`, 'must have one of text and data');
    }
    if (kind === 'raw' || kind === 'url') throw filesRefused(part.mediaType);
    if (kind === 'text') texts.push(part.text ?? '');
    else data.push(part.data);
  }
  if (data.length > 1)
    throw invalid('body', 'message.parts', 'must hold one data part at the most');
  return {
    text: texts.length === 0 ? undefined : texts.join('\n'),
    data: data.length === 0 ? undefined : { value: data[0] },
  };
}

function filesRefused(mediaType = ''): A2aError {
  return new A2aError(
    'CONTENT_TYPE_NOT_SUPPORTED',
    'files are not taken: send what is in them as a text or data part',
    mediaType === '' ? {} : { mediaType },
  );
}

/** Whether the client can take what agents give. */
export function assertAccepts(modes: readonly string[] | undefined): void {
  if (modes === undefined || modes.length === 0) return;
  const isOurs = (mode: string) =>
    mode === '*/*' || mediaTypes.some((own) => mode === own || mode === `${own.split('/')[0]}/*`);
  if (modes.some(isOurs)) return;
  throw new A2aError(
    'CONTENT_TYPE_NOT_SUPPORTED',
    `agents give ${mediaTypes.join(' or ')}, and none of it is accepted`,
  );
}

/** A result as the one part of an artifact; none for `null`. */
export function outputPart(output: unknown): WirePart | undefined {
  if (output === undefined || output === null) return undefined;
  return typeof output === 'string'
    ? { text: output, mediaType: textType }
    : { data: output, mediaType: jsonType };
}

/**
 * What a message answers to a question. In words it counts only when it says nothing else: a decision
 * is not guessed out of a sentence.
 */
export function answerIn(parts: readonly SentPart[]): AnswerRunRequest {
  const { text, data } = readParts(parts);
  if (data !== undefined && text === undefined) return readAnswer(data.value);
  const [, word = '', comment = ''] =
    /^\s*(approved?|yes|reject(?:ed)?|no)\s*(?:[.!]\s*|:([^]*))?$/i.exec(text ?? '') ?? [];
  if (data === undefined && word !== '') {
    const decision = /^(a|y)/i.test(word) ? 'approve' : 'reject';
    return readAnswer({ decision, ...(comment.trim() === '' ? {} : { comment: comment.trim() }) });
  }
  throw invalid(
    'body',
    'message.parts',
    'must answer the question: a data part {"decision": "approve" | "reject", "comment", "choice", "add"}, or the text approve or reject, with a comment after a colon',
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
