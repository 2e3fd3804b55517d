import { mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { toolReportSchema, type Severity } from '../base/base.ts';
import { ToolError } from './errors.ts';
import { renderReport } from './review-markdown.ts';
import { merge, type AgentResult, type MergedFinding } from './review-merge.ts';
import { readStandardInput } from './tool-input.ts';
import type { ToolContext } from './tools.ts';

const inputSchema = Type.Object({
  repo: Type.String({ minLength: 1 }),
  folder: Type.Optional(Type.String({ minLength: 1 })),
  results: Type.Record(
    Type.String(),
    Type.Object({
      agent: Type.String({ minLength: 1 }),
      status: Type.String(),
      output: Type.Optional(Type.Unknown()),
      error: Type.Optional(
        Type.Union([Type.Object({ code: Type.String(), message: Type.String() }), Type.Null()]),
      ),
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
  const document = {
    repo: input.repo,
    createdAt: new Date(context.nowMs).toISOString(),
    summary: { ...summary, cut },
    findings,
    agents: results.map(({ task, agent, report, reason }) => ({
      task,
      agent,
      examined: report !== undefined,
      ...(reason === undefined ? {} : { reason }),
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
  const reportMarkdown = write(place, 'report.md', renderReport(input.repo, results, merged));
  const reportJson = write(place, 'report.json', `${JSON.stringify(document, undefined, 2)}\n`);
  const top = findings.slice(0, topFindings);
  return { summary, top, reportMarkdown, reportJson };
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

/** An agent without a valid report is one that did not examine, whatever its status says. */
function readResults({ results }: Input): AgentResult[] {
  return Object.entries(results)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([task, { agent, status, output, error, reason }]) => {
      if (status !== 'completed') {
        const why = reason ?? (error ? `${error.message} (${error.code})` : undefined);
        return {
          task,
          agent,
          report: undefined,
          reason: why === undefined ? status : `${status}: ${why}`,
        };
      }
      if (Value.Check(toolReportSchema, output))
        return { task, agent, report: output, reason: undefined };
      const problem = Value.Errors(toolReportSchema, output)[0];
      const detail = `${problem?.instancePath ?? ''} ${problem?.message ?? ''}`.trim();
      return { task, agent, report: undefined, reason: `its output is not a report: ${detail}` };
    });
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
