/** What came of each task of a review: a tool's report, an expert's answer, or what a vote took. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { Value } from 'typebox/value';
import { severities, toolReportSchema, type Finding, type ToolReport } from '../base/base.ts';
import { asRecord } from './packages.ts';
import { count, shorten } from './report.ts';
import type { AgentResult } from './review-merge.ts';

export interface TaskResult {
  /** Null for a group of tasks. */
  readonly agent: string | null;
  readonly status: string;
  readonly output?: unknown;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly details?: unknown;
  } | null;
  readonly reason?: string | null;
  readonly verdict?: unknown;
}

export interface ReadingRules {
  readonly repo: string;
  /** Groups whose members are not sure by themselves: what one alone names is lowered to `info`. */
  readonly unsure: ReadonlySet<string>;
}

const maxFileBytes = 4 * 1024 * 1024;

/** An agent without a report or an answer is one that did not examine, whatever its status says. */
export function readResult(task: string, result: TaskResult, rules: ReadingRules): AgentResult {
  const agent = result.agent ?? task;
  const nothing = (reason: string): AgentResult => ({ task, agent, report: undefined, reason });
  if (result.status !== 'completed') return nothing(whyNot(result));
  const { output } = result;
  if (Value.Check(toolReportSchema, output))
    return { task, agent, report: output, reason: undefined };
  if (Array.isArray(output) && asRecord(result.verdict) !== undefined)
    return { task, agent, report: fromVote(task, result.verdict, rules), reason: undefined };
  const answer = readAnswer(agent, output, rules.repo);
  if (answer !== undefined)
    return { task, agent, report: answer, reason: undefined, answer: output };
  const problem = Value.Errors(toolReportSchema, output)[0];
  const detail = `${problem?.instancePath ?? ''} ${problem?.message ?? ''}`.trim();
  return nothing(`its output is not a report: ${detail}`);
}

function whyNot({ status, error, reason }: TaskResult): string {
  const why = reason ?? (error ? `${error.message} (${error.code})` : undefined);
  const votes = asRecord(error?.details)?.['votes'];
  const each = (Array.isArray(votes) ? (votes as unknown[]) : []).flatMap((vote) => {
    const { task, error: said } = asRecord(vote) ?? {};
    return typeof task === 'string' && typeof said === 'string' ? [`${task}: ${said}`] : [];
  });
  return [why === undefined ? status : `${status}: ${why}`, ...each].join('; ');
}

/** The answer of an agent with a schema of its own, as a report; undefined where it is none. */
function readAnswer(agent: string, output: unknown, repo: string): ToolReport | undefined {
  if (typeof output === 'string' && output.trim() !== '') return toReport(agent, output, [], []);
  const fields = asRecord(output);
  // With the name of a tool it is a report that is wrong, and no answer.
  if (fields === undefined || 'tool' in fields || Object.keys(fields).length === 0)
    return undefined;
  const list = fields['findings'] ?? [];
  if (!Array.isArray(list)) return undefined;
  const findings = (list as unknown[]).map((item) => readFinding(item));
  if (!findings.every((item) => item !== undefined)) return undefined;
  const { placed, lost } = checkPlaces(findings, repo);
  const notes = [
    'What it says was judged by a model; its places were looked up, its claims were not.',
  ];
  if (lost > 0)
    notes.push(`${count(lost, 'place')} that it names is not in the repository and was taken out.`);
  return toReport(agent, summaryOf(fields), placed, notes);
}

function toReport(
  tool: string,
  summary: string,
  findings: readonly Finding[],
  notes: readonly string[],
): ToolReport {
  return {
    tool,
    summary: shorten(summary, 500) || 'It gave an answer.',
    findings: [...findings],
    total: findings.length,
    truncated: false,
    metrics: {},
    notes: [...notes],
  };
}

function summaryOf(fields: Readonly<Record<string, unknown>>): string {
  const said =
    fields['summary'] ?? Object.values(fields).find((value) => typeof value === 'string');
  return typeof said === 'string' ? said : `It answered by ${Object.keys(fields).join(', ')}.`;
}

/** A finding in the words of another schema: a title for a message, a repair for a fix. */
function readFinding(value: unknown): Finding | undefined {
  const fields = asRecord(value);
  const severity = severities.find((known) => known === fields?.['severity']);
  if (fields === undefined || severity === undefined) return undefined;
  const text = (...names: string[]) =>
    names
      .map((name) => fields[name])
      .find((item): item is string => typeof item === 'string' && item.trim() !== '');
  const message = text('message', 'title', 'effect', 'problem');
  if (message === undefined) return undefined;
  const { line } = fields;
  const file = text('file');
  const evidence = text('evidence', 'impact');
  const fix = text('fix', 'repair', 'change');
  return {
    severity,
    rule: text('rule', 'cwe', 'area') ?? 'finding',
    message: shorten(message, 500),
    ...(file === undefined ? {} : { file: file.replace(/^\.\//, '') }),
    ...(file === undefined || !Number.isInteger(line) || Number(line) < 1
      ? {}
      : { line: Number(line) }),
    ...(evidence === undefined ? {} : { evidence: shorten(evidence, 240) }),
    ...(fix === undefined ? {} : { fix: shorten(fix, 500) }),
  };
}

/** A model may name a file or a line that is not there; then the finding stays and its place goes. */
function checkPlaces(
  findings: readonly Finding[],
  repo: string,
): { placed: Finding[]; lost: number } {
  const lengths = new Map<string, number | undefined>();
  let lost = 0;
  const placed = findings.map((finding) => {
    const { file, line, ...rest } = finding;
    if (file === undefined) return finding;
    if (!lengths.has(file)) lengths.set(file, linesOf(repo, file));
    const length = lengths.get(file);
    if (length !== undefined && (line ?? 1) <= length) return finding;
    lost += 1;
    return rest;
  });
  return { placed, lost };
}

function linesOf(repo: string, file: string): number | undefined {
  try {
    const top = realpathSync(repo);
    const path = realpathSync(join(top, file));
    if (!path.startsWith(top + sep)) return undefined;
    const stat = statSync(path);
    if (!stat.isFile() || stat.size > maxFileBytes) return undefined;
    return readFileSync(path, 'utf8').split('\n').length;
  } catch {
    return undefined;
  }
}

/** What a vote on findings took, and what it did not: dissent is part of the record. */
function fromVote(task: string, verdict: unknown, rules: ReadingRules): ToolReport {
  const { elements, votes } = asRecord(verdict) ?? {};
  const cast = (Array.isArray(votes) ? (votes as unknown[]) : []).map((vote) => asRecord(vote));
  const voters = cast.filter((vote) => Number(vote?.['answer'] ?? -1) >= 0).length;
  const silent = cast.length - voters;
  const findings: Finding[] = [];
  let taken = 0;
  for (const item of Array.isArray(elements) ? (elements as unknown[]) : []) {
    const { element, share, taken: isTaken } = asRecord(item) ?? {};
    const finding = readFinding(element);
    if (finding === undefined) continue;
    if (isTaken === true) taken += 1;
    const named = `named by ${Math.round(Number(share) * 100)} % of ${voters}`;
    const isLowered = isTaken !== true && rules.unsure.has(task);
    findings.push({
      ...finding,
      ...(isLowered ? { severity: 'info' as const } : {}),
      message: shorten(`${finding.message} [${named}]`, 500),
    });
  }
  const { placed, lost } = checkPlaces(findings, rules.repo);
  const notes = [];
  if (silent > 0) notes.push(`${silent} of ${count(cast.length, 'voter')} gave no answer.`);
  if (lost > 0) notes.push(`${count(lost, 'place')} that is not in the repository was taken out.`);
  if (rules.unsure.has(task))
    notes.push('What one voter alone names is shown as info, however grave he finds it.');
  const summary = `${count(voters, 'voter')}: ${taken} of ${count(findings.length, 'finding')} agreed on.`;
  return toReport(task, summary, placed, notes);
}
