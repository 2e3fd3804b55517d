import { mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import type { Severity } from '../base/base.ts';
import { ToolError } from './errors.ts';
import { decide, type Decision } from './review-gate.ts';
import { renderReport } from './review-markdown.ts';
import { merge, type AgentResult, type MergedFinding } from './review-merge.ts';
import { readResult } from './review-results.ts';
import { readStandardInput } from './tool-input.ts';
import type { ToolContext } from './tools.ts';

const severity = Type.Union([
  Type.Literal('critical'),
  Type.Literal('high'),
  Type.Literal('medium'),
  Type.Literal('low'),
  Type.Literal('info'),
]);

const inputSchema = Type.Object({
  /** The heading of the page; a review of the repository unless given. */
  title: Type.Optional(Type.String({ minLength: 1 })),
  /** By task, the least severity that makes it a no-go. With it the report decides. */
  gate: Type.Optional(Type.Record(Type.String(), severity)),
  /** Groups whose findings count only where several agree. */
  unsure: Type.Optional(Type.Array(Type.String())),
  repo: Type.String({ minLength: 1 }),
  folder: Type.Optional(Type.String({ minLength: 1 })),
  results: Type.Record(
    Type.String(),
    Type.Object({
      agent: Type.Union([Type.String({ minLength: 1 }), Type.Null()]),
      status: Type.String(),
      output: Type.Optional(Type.Unknown()),
      error: Type.Optional(
        Type.Union([
          Type.Object({
            code: Type.String(),
            message: Type.String(),
            details: Type.Optional(Type.Unknown()),
          }),
          Type.Null(),
        ]),
      ),
      verdict: Type.Optional(Type.Unknown()),
      reason: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    }),
  ),
});
type Input = Static<typeof inputSchema>;

export interface ReviewSummary {
  readonly summary: {
    readonly bySeverity: Readonly<Record<Severity, number>>;
    readonly byAgent: Readonly<Record<string, number>>;
    readonly filesTouched: number;
    /** Agents without a report: what they look at was not examined. */
    readonly agentsFailed: readonly { readonly agent: string; readonly reason: string }[];
  };
  readonly top: readonly MergedFinding[];
  /** Where a gate was given. */
  readonly verdict?: Decision;
  /** Absolute paths. */
  readonly reportMarkdown: string;
  readonly reportJson: string;
}

const topFindings = 50;
const inputBytes = 256 * 1024 * 1024;

/** Merges the results on standard input into `report.md` and `report.json` in a folder. */
export async function run(context: ToolContext): Promise<ReviewSummary> {
  const input = parseInput(await readStandardInput(inputBytes));
  const folder = context.folder ?? input.folder;
  if (folder === undefined) {
    throw new ToolError('usage', 'no folder for the report was given', 'Give --folder PATH.');
  }
  const results = readResults(input);
  const merged = merge(results);
  const agentsFailed = results.flatMap(({ agent, report, reason }) =>
    report === undefined ? [{ agent, reason: reason ?? 'no reason given' }] : [],
  );
  const { findings, bySeverity, byAgent, filesTouched, cut } = merged;
  const summary = { bySeverity, byAgent, filesTouched, agentsFailed };
  const verdict = input.gate === undefined ? undefined : decide(input.gate, results);
  const document = {
    repo: input.repo,
    createdAt: new Date(context.nowMs).toISOString(),
    ...(verdict === undefined ? {} : { verdict }),
    summary: { ...summary, cut },
    findings,
    agents: results.map(({ task, agent, report, reason, answer }) => ({
      task,
      agent,
      examined: report !== undefined,
      ...(reason === undefined ? {} : { reason }),
      ...(answer === undefined ? {} : { answer }),
      ...(report === undefined
        ? {}
        : {
            summary: report.summary,
            total: report.total,
            metrics: report.metrics,
            notes: report.notes,
          }),
    })),
  };
  const place = prepare(folder);
  const reportMarkdown = write(
    place,
    'report.md',
    renderReport(titleOf(input), results, merged, verdict),
  );
  const reportJson = write(place, 'report.json', `${JSON.stringify(document, undefined, 2)}\n`);
  const top = findings.slice(0, topFindings);
  return {
    summary,
    top,
    ...(verdict === undefined ? {} : { verdict }),
    reportMarkdown,
    reportJson,
  };
}

function parseInput(text: string): Input {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ToolError(
      'usage',
      `standard input is not JSON: ${error instanceof Error ? error.message : ''}`,
    );
  }
  if (Value.Check(inputSchema, value)) return value;
  const problem = Value.Errors(inputSchema, value)[0];
  throw new ToolError(
    'usage',
    `standard input: ${problem?.instancePath ?? ''} ${problem?.message ?? 'is wrong'}`,
  );
}

function readResults({ results, repo, unsure = [] }: Input): AgentResult[] {
  const rules = { repo, unsure: new Set(unsure) };
  return Object.entries(results)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([task, result]) => readResult(task, result, rules));
}

function titleOf({ title, repo }: Input): string {
  const name = repo.split('/').findLast((part) => part !== '') ?? repo;
  return `${title ?? 'Review'} of ${name}`;
}

function prepare(folder: string): string {
  try {
    mkdirSync(resolve(folder), { recursive: true });
    return realpathSync(resolve(folder));
  } catch (error) {
    throw unwritable(folder, error);
  }
}

/** Whole or not at all: a reader never sees half a report, also when this process is ended. */
function write(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  const temporary = join(folder, `.${name}.${process.pid}`);
  try {
    writeFileSync(temporary, text, { flush: true });
    renameSync(temporary, path);
    return path;
  } catch (error) {
    rmSync(temporary, { force: true });
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): ToolError {
  const reason = error instanceof Error ? error.message : String(error);
  return new ToolError(
    'unavailable',
    `${path} can not be written: ${reason}`,
    'Give --folder a folder that can be.',
  );
}
