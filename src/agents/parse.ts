import { createHash } from 'node:crypto';
import { Value } from 'typebox/value';
import { isMap } from 'yaml';
import { suggest } from '../base/base.ts';
import type { AgentDefinition, Problem, RuntimeSpec, VerifySpec } from './agents.ts';
import { frontmatterSchema, runtimeKind, runtimeKinds, verifySchema } from './definition-schema.ts';
import {
  checkFields,
  checkValue,
  complain,
  offsetAt,
  resolve,
  show,
  valueAt,
  type Path,
} from './fields.ts';
import { decodeSource, readFrontmatter, type Frontmatter } from './frontmatter.ts';
import { schemaProblem } from './json-schema.ts';
import { runtimeSpecs } from './runtime-specs.ts';

export interface ParsedAgent {
  /** Absent when one of the problems is an error. */
  readonly definition?: AgentDefinition;
  readonly problems: readonly Problem[];
}

/** What a task gets where neither it nor its agent says anything. */
const defaults = { timeoutMs: 30_000, retries: 3 } as const;

/**
 * Reads a definition: markdown with YAML frontmatter, in Claude Code's format with the key
 * `centuria`. Never throws for what a file may hold: each complaint is a problem with the line and
 * column of the file. Unknown fields are warnings and kept, inside `centuria` they are errors.
 * `category` is `specialized` and `sideEffects` is `external` where a file does not say.
 */
export function parseAgent(source: string | Uint8Array, file: string): ParsedAgent {
  const problems: Problem[] = [];
  const text = decodeSource(source, file, problems);
  const front = text === undefined ? undefined : readFrontmatter(text, file, problems);
  if (text === undefined || front === undefined) return { problems };
  checkFields(front, frontmatterSchema, [], 'warning');
  checkModel(front);
  checkPermissions(front);
  checkRuntime(front);
  checkInput(front);
  checkVerify(front);
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  if (problems.some((problem) => problem.severity === 'error')) return { problems };
  return { definition: buildDefinition(front, text, file), problems };
}

function buildDefinition(front: Frontmatter, text: string, file: string): AgentDefinition {
  const fields = Value.Parse(frontmatterSchema, front.fields);
  const own = fields.centuria ?? {};
  return {
    name: fields.name,
    description: fields.description,
    category: own.category ?? 'specialized',
    capabilities: own.capabilities ?? [],
    runtime: own.runtime as RuntimeSpec | undefined,
    timeoutMs:
      own.timeoutSeconds === undefined
        ? defaults.timeoutMs
        : Math.max(1, Math.round(own.timeoutSeconds * 1_000)),
    retries: own.retries ?? defaults.retries,
    invokes: own.invokes ?? [],
    requires: {
      binaries: own.requires?.binaries ?? [],
      environment: own.requires?.environment ?? [],
    },
    // What nobody has said is taken as the most that it could be.
    sideEffects: own.sideEffects ?? 'external',
    verify: own.verify as VerifySpec | undefined,
    ...(own.input === undefined ? {} : { input: own.input }),
    ...(own.budget === undefined ? {} : { budget: own.budget }),
    frontmatter: front.fields,
    prompt: promptOf(front.body),
    hash: createHash('sha256').update(text, 'utf8').digest('hex'),
    source: text,
    file,
  };
}

/** The prompt without the blank lines around it. */
export function promptOf(body: string): string {
  return body.replace(/^(?:[ \t]*\r?\n)+/, '').trimEnd();
}

const modelAliases = ['sonnet', 'opus', 'haiku', 'fable', 'inherit'];

/** A full id has a hyphen, a digit or a colon; a plain word that is no alias is most likely misspelled. */
export function looksLikeModel(model: string): boolean {
  if (modelAliases.includes(model)) return true;
  return /^[A-Za-z0-9][\w.:/@[\]-]*$/.test(model) && /[-\d:]/.test(model);
}

function checkModel(front: Frontmatter): void {
  const { model } = front.fields;
  if (typeof model !== 'string' || looksLikeModel(model)) return;
  const near = suggest(model, modelAliases);
  const message = `model ${show(model)} is no known alias and does not look like the id of a model`;
  front.report(
    'warning',
    offsetAt(front, ['model']),
    message,
    near === undefined
      ? `One of ${modelAliases.join(', ')} or a full id.`
      : `Did you mean ${near}?`,
  );
}

function checkPermissions(front: Frontmatter): void {
  if (front.fields['permissionMode'] !== 'bypassPermissions') return;
  front.report(
    'warning',
    offsetAt(front, ['permissionMode']),
    'permissionMode bypassPermissions is not granted by a definition',
    'Name the tools that it needs under tools.',
  );
}

function checkRuntime(front: Frontmatter): void {
  const path = ['centuria', 'runtime'];
  const runtime = valueAt(front.fields, path);
  if (runtime === undefined) return;
  const kind = valueAt(runtime, ['kind']);
  if (!isMap(resolve(front.document, path)) || kind === undefined) {
    complain(front, path, `must be a map with the field kind, one of ${runtimeKinds.join(', ')}`);
    return;
  }
  checkValue(front, runtimeKind, [...path, 'kind'], kind);
  const spec = Value.Check(runtimeKind, kind) ? runtimeSpecs[kind] : undefined;
  if (spec === undefined) return;
  checkFields(front, spec.schema, path, 'error');
  if (Value.Check(spec.schema, runtime)) spec.check?.(front, runtime, path);
}

function checkVerify(front: Frontmatter): void {
  const path = ['centuria', 'verify'];
  const verify = valueAt(front.fields, path);
  if (!Value.Check(verifySchema, verify)) return;
  if (verify.pattern !== undefined) {
    try {
      void new RegExp(verify.pattern, 'mu');
    } catch (error) {
      complain(front, [...path, 'pattern'], `is no regular expression: ${String(error)}`);
    }
  }
  if (verify.schema !== undefined) checkSchema(front, [...path, 'schema'], verify.schema);
}

function checkInput(front: Frontmatter): void {
  const path = ['centuria', 'input'];
  const input = valueAt(front.fields, path);
  if (isMap(resolve(front.document, path))) checkSchema(front, path, input);
}

function checkSchema(front: Frontmatter, path: Path, schema: unknown): void {
  const problem = schemaProblem(schema);
  if (problem !== undefined) complain(front, [...path, ...problem.path], problem.message);
}
