import type { Finding, Severity, ToolReport } from '../base/base.ts';

/** From the worst to the least; the position is the rank. */
export const severityOrder: readonly Severity[] = ['critical', 'high', 'medium', 'low', 'info'];

const messageLength = 500;
const evidenceLength = 240;
const noteLimit = 30;

/** Collects what a tool found and makes its report: worst first, cut at a limit, the same every time. */
export class ReportBuilder {
  readonly #tool: string;
  readonly #limit: number;
  readonly #notes = new Set<string>();
  readonly #metrics: Record<string, number> = {};
  readonly #counts = new Map<string, number>();
  #findings: Finding[] = [];
  #total = 0;

  constructor(tool: string, limit: number) {
    this.#tool = tool;
    this.#limit = limit;
  }

  get total(): number {
    return this.#total;
  }

  /** How often a rule was broken, also beyond the limit. */
  countOf(rule: string): number {
    return this.#counts.get(rule) ?? 0;
  }

  add(finding: Finding): void {
    this.#total += 1;
    this.#counts.set(finding.rule, this.countOf(finding.rule) + 1);
    this.#findings.push(clean(finding));
    // The worst are kept whatever comes later, so pruning early changes nothing but the memory taken.
    if (this.#findings.length > this.#limit * 4 + 1_000) this.#prune();
  }

  /** What a reader must know to trust the report. Said once, however often it is called. */
  note(text: string): void {
    this.#notes.add(shorten(text, messageLength));
  }

  notes(texts: Iterable<string>): void {
    for (const text of texts) this.note(text);
  }

  metric(name: string, value: number): void {
    this.#metrics[name] = value;
  }

  /** The report; `summary` is one sentence for people. */
  build(summary: string): ToolReport {
    this.#prune();
    const notes = [...this.#notes];
    return {
      tool: this.#tool,
      summary: shorten(summary, messageLength),
      findings: this.#findings,
      total: this.#total,
      truncated: this.#total > this.#findings.length,
      metrics: this.#metrics,
      notes:
        notes.length > noteLimit
          ? [...notes.slice(0, noteLimit), `${notes.length - noteLimit} more notes left out.`]
          : notes,
    };
  }

  #prune(): void {
    this.#findings.sort(compareFindings);
    this.#findings.length = Math.min(this.#findings.length, this.#limit);
  }
}

/** Severity, then file, line, column, rule and message: a total order, so that two runs agree. */
export function compareFindings(a: Finding, b: Finding): number {
  return (
    severityOrder.indexOf(a.severity) - severityOrder.indexOf(b.severity) ||
    compareText(a.file ?? '', b.file ?? '') ||
    (a.line ?? 0) - (b.line ?? 0) ||
    (a.column ?? 0) - (b.column ?? 0) ||
    compareText(a.rule, b.rule) ||
    compareText(a.message, b.message)
  );
}

/** By code unit: the same on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** `1 file`, `3 files`. */
export function count(amount: number, singular: string, plural = `${singular}s`): string {
  return `${amount} ${amount === 1 ? singular : plural}`;
}

/** One line of printable text: what a repository contains must not steer the terminal that shows it. */
export function shorten(text: string, length: number): string {
  const line = text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu, ' ').trim();
  if (line.length <= length) return line;
  // Not between the halves of a surrogate pair.
  const end = /[\ud800-\udbff]/.test(line.charAt(length - 2)) ? length - 2 : length - 1;
  return `${line.slice(0, end)}…`;
}

function clean(finding: Finding): Finding {
  return {
    ...finding,
    message: shorten(finding.message, messageLength),
    ...(finding.evidence === undefined
      ? {}
      : { evidence: shorten(finding.evidence, evidenceLength) }),
    ...(finding.fix === undefined ? {} : { fix: shorten(finding.fix, messageLength) }),
  };
}
