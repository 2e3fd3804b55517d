import { createReadStream } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { isAbsolute, join, resolve, sep } from 'node:path';
import Schema from 'typebox/schema';
import { Value } from 'typebox/value';
import { AppError, toolReportSchema, type Finding, type ToolReport } from '../base/base.ts';
import type { AgentDefinition } from './agents.ts';
import type { Verify } from './definition-schema.ts';

/** Above this many findings a sample of so many, evenly spread, is held against the files. */
const checkedFindings = 2_000;

/** Throws `invalid_input` where what an agent is given does not fit its `centuria.input`. */
export function checkInput(agent: AgentDefinition, input: unknown): void {
  if (agent.input === undefined) return;
  const why = misfit(agent.input, input);
  if (why === undefined) return;
  throw new AppError('invalid_input', `agent ${agent.name}: the input ${why}`, {
    details: { agent: agent.name },
    remedy: `\`centuria agent show ${agent.name}\` says what it takes.`,
  });
}

/**
 * Holds an agent's output against its definition's `verify` and throws `agent_output_invalid` where
 * it does not pass. Several checks must all pass; without `verify` any output does.
 *
 * - `format: findings`: a ToolReport; each finding's file exists under `input.repo` and has its line.
 * - `schema`: a JSON Schema (2020-12).
 * - `pattern`: a regular expression that the text (JSON as it was written) must match.
 */
export async function verifyOutput(
  agent: AgentDefinition,
  output: unknown,
  input: unknown,
): Promise<void> {
  const verify = (agent.verify ?? {}) as Verify;
  const refuse = (why: string, details: object = {}): never => {
    throw new AppError('agent_output_invalid', `agent ${agent.name}: ${why}`, {
      details: { agent: agent.name, ...details },
    });
  };
  if (verify.schema !== undefined) {
    const why = misfit(verify.schema, output);
    if (why !== undefined) refuse(`the output ${why}`);
  }
  if (verify.pattern !== undefined) {
    const text = typeof output === 'string' ? output : JSON.stringify(output);
    if (!new RegExp(verify.pattern, 'mu').test(text)) {
      refuse(`the output does not match /${verify.pattern}/`);
    }
  }
  if (verify.format === 'findings') {
    const problem = reportProblem(output) ?? (await placeProblem(output as ToolReport, input));
    if (problem !== undefined) refuse(problem);
  }
}

/** What of a value does not fit a JSON Schema, and where: the rest of a sentence. Undefined when all fits. */
export function misfit(
  schema: Readonly<Record<string, unknown>>,
  value: unknown,
): string | undefined {
  const [fits, errors] = Schema.Errors(schema, value);
  if (fits) return undefined;
  const [first] = errors;
  const where = first?.instancePath ? `at ${first.instancePath} ` : '';
  return `${where}${first?.message ?? 'does not fit its schema'}`;
}

/** What is wrong with a report in itself; undefined when nothing is. */
export function reportProblem(output: unknown): string | undefined {
  const wrong = Value.Errors(toolReportSchema, output)[0];
  if (wrong !== undefined) {
    const where = wrong.instancePath === '' ? 'the report' : `${wrong.instancePath} of the report`;
    const params = wrong.params as {
      requiredProperties?: string[];
      additionalProperties?: string[];
    };
    const fields = params.requiredProperties ?? params.additionalProperties;
    return `${where} ${wrong.message}${fields === undefined ? '' : `: ${fields.join(', ')}`}`;
  }
  const report = output as ToolReport;
  const shown = report.findings.length;
  if (report.total < shown) return `the report says total ${report.total} and shows ${shown}`;
  if (report.truncated !== report.total > shown) {
    return `the report says truncated ${report.truncated} with ${shown} of ${report.total} findings`;
  }
  return undefined;
}

/** The first finding that points to nowhere; undefined when each has its place. */
async function placeProblem(report: ToolReport, input: unknown): Promise<string | undefined> {
  const located = report.findings.filter((finding) => finding.file !== undefined);
  if (located.length === 0) return undefined;
  const repo =
    input !== null && typeof input === 'object' ? (input as { repo?: unknown }).repo : undefined;
  if (typeof repo !== 'string' || repo === '') {
    return 'the findings name files, and the input names no repo to look them up in';
  }
  const root = resolve(repo);
  const lines = new Map<string, number | undefined>();
  for (const finding of sample(located, checkedFindings)) {
    const problem = await findingProblem(finding, root, lines);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

async function findingProblem(
  finding: Finding,
  root: string,
  lines: Map<string, number | undefined>,
): Promise<string | undefined> {
  const { file = '', line, rule } = finding;
  const path = join(root, ...file.split('/'));
  if (isAbsolute(file) || !(path === root || path.startsWith(root + sep))) {
    return `the finding ${rule} names ${file}, which is not inside the repository`;
  }
  let found;
  try {
    // A link whose target is gone is a file of the repository all the same.
    found = await stat(path).catch(() => lstat(path));
  } catch {
    return `the finding ${rule} names ${file}, which does not exist`;
  }
  if (line === undefined) return undefined;
  if (!found.isFile()) return `the finding ${rule} names line ${line} of ${file}, which is no file`;
  if (!lines.has(path)) lines.set(path, await countLines(path));
  const count = lines.get(path) ?? 0;
  if (line <= count) return undefined;
  return `the finding ${rule} names line ${line} of ${file}, which has ${count}`;
}

/** One more than its line feeds: tools report the end of a file at the empty line after the last. */
async function countLines(path: string): Promise<number> {
  let count = 1;
  for await (const chunk of createReadStream(path)) {
    const bytes = chunk as Buffer;
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count += 1;
  }
  return count;
}

function sample<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items;
  const step = items.length / most;
  return Array.from({ length: most }, (_, index) => items[Math.floor(index * step)]).filter(
    (item) => item !== undefined,
  );
}
