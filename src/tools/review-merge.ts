import type { Finding, Severity, ToolReport } from '../base/base.ts';
import { isTest } from './paths.ts';
import { compareFindings, compareText, severityOrder } from './report.ts';

/** What came of one agent. */
export interface AgentResult {
  readonly task: string;
  readonly agent: string;
  /** Undefined where it did not come to a report. */
  readonly report: ToolReport | undefined;
  /** Why there is no report. */
  readonly reason: string | undefined;
  /** What an expert said in the words of its own schema. */
  readonly answer?: unknown;
}

export interface MergedFinding extends Finding {
  /** The agent whose words these are. */
  readonly agent: string;
  /** All that found it. */
  readonly agents: readonly string[];
  /** The other agents' names for it. */
  readonly alsoKnownAs: readonly string[];
}

export interface Merged {
  /** Most pressing first. */
  readonly findings: readonly MergedFinding[];
  readonly bySeverity: Readonly<Record<Severity, number>>;
  readonly byAgent: Readonly<Record<string, number>>;
  readonly filesTouched: number;
  /** Findings that the tools left out of their reports. */
  readonly cut: number;
}

interface Sighting extends Finding {
  readonly agent: string;
}

/** Makes one ranked list of all findings: severity first, then how many agents agree and how hot the file is. */
export function merge(results: readonly AgentResult[]): Merged {
  const sightings: Sighting[] = [];
  for (const { agent, report } of results) {
    for (const finding of report?.findings ?? []) sightings.push({ ...finding, agent });
  }
  sightings.sort((a, b) => compareFindings(a, b) || compareText(a.agent, b.agent));
  const findings = unite(sightings);
  const rank = ranking(findings);
  findings.sort((a, b) => rank(b) - rank(a) || compareFindings(a, b));
  const byAgent: Record<string, number> = {};
  for (const { agent, report } of results) {
    if (report !== undefined) byAgent[agent] = (byAgent[agent] ?? 0) + report.findings.length;
  }
  const bySeverity = { critical: 0, high: 0, medium: 0, low: 0, info: 0 };
  for (const { severity } of findings) bySeverity[severity] += 1;
  return {
    findings,
    bySeverity,
    byAgent,
    filesTouched: new Set(findings.flatMap(({ file }) => file ?? [])).size,
    cut: results.reduce(
      (sum, { report }) => sum + (report === undefined ? 0 : report.total - report.findings.length),
      0,
    ),
  };
}

/** Joins what several agents, or one of them twice, say of the same place under similar names. */
function unite(sightings: readonly Sighting[]): MergedFinding[] {
  const places = Map.groupBy(sightings, ({ file, line }) => `${file ?? ''}\0${line ?? ''}`);
  const united: MergedFinding[] = [];
  for (const group of places.values()) {
    const left = [...group];
    // The worst comes first, since the sightings are sorted, and its words stand for all.
    for (let first = left.shift(); first !== undefined; first = left.shift()) {
      const found = first;
      const same = left.filter((other) => isSame(found, other));
      for (const other of same) left.splice(left.indexOf(other), 1);
      united.push(join(found, same));
    }
  }
  return united;
}

function join(first: Sighting, same: readonly Sighting[]): MergedFinding {
  const all = [first, ...same];
  const evidence = all.find((one) => one.evidence !== undefined)?.evidence;
  const fix = all.find((one) => one.fix !== undefined)?.fix;
  return {
    ...first,
    ...(evidence === undefined ? {} : { evidence }),
    ...(fix === undefined ? {} : { fix }),
    agents: [...new Set(all.map(({ agent }) => agent))],
    alsoKnownAs: [...new Set(same.map(({ rule }) => rule))].filter((rule) => rule !== first.rule),
  };
}

function isSame(a: Sighting, b: Sighting): boolean {
  if (a.agent === b.agent) return a.rule === b.rule && a.message === b.message;
  // Without a line there is no place to agree on, only a subject.
  if (a.line === undefined) return keyOf(a.rule) === keyOf(b.rule);
  return (
    isSimilar(wordsOf(a.rule), wordsOf(b.rule)) || isSimilar(wordsOf(a.message), wordsOf(b.message))
  );
}

/** `plugin/no-unused-vars` and `NO_UNUSED_VARS` are the same rule. */
function keyOf(rule: string): string {
  return rule
    .slice(rule.lastIndexOf('/') + 1)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '');
}

const fillers = new Set([
  'a',
  'an',
  'the',
  'is',
  'in',
  'of',
  'to',
  'and',
  'or',
  'it',
  'found',
  'that',
  'this',
  'no',
  'not',
]);

function wordsOf(text: string): Set<string> {
  const words =
    text
      .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
      .toLowerCase()
      .match(/[a-z0-9]+/g) ?? [];
  return new Set(words.filter((word) => !fillers.has(word)));
}

/** Half of the words of both together are shared (Jaccard). */
function isSimilar(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size === 0 || b.size === 0) return false;
  const shared = [...a].filter((word) => b.has(word)).length;
  return shared / (a.size + b.size - shared) >= 0.5;
}

/** Within a severity: agreement of agents, heat of the file, other agents' findings in it; tests come later. */
function ranking(findings: readonly MergedFinding[]): (finding: MergedFinding) => number {
  const heat = new Map<string, number>();
  const agentsOf = new Map<string, Set<string>>();
  for (const { file, rule, severity, agents } of findings) {
    if (file === undefined) continue;
    if (rule === 'hot-spot') heat.set(file, severity === 'medium' ? 2 : 1);
    if (severity === 'info') continue;
    const known = agentsOf.get(file) ?? new Set();
    for (const agent of agents) known.add(agent);
    agentsOf.set(file, known);
  }
  return ({ file, severity, agents }) => {
    const base =
      (severityOrder.length - severityOrder.indexOf(severity)) * 100 + (agents.length - 1) * 3;
    if (file === undefined) return base;
    const others = Math.max(0, (agentsOf.get(file)?.size ?? 0) - agents.length);
    return base + (heat.get(file) ?? 0) + Math.min(1, others / 4) - (isTest(file) ? 2 : 0);
  };
}
