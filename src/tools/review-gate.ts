/** Whether something may go on, by what was found and by what was not looked at. */
import type { Severity } from '../base/base.ts';
import { count, severityOrder, shorten } from './report.ts';
import type { AgentResult } from './review-merge.ts';

/** By task, the least severity of a finding that stops. */
export type Gate = Readonly<Record<string, Severity>>;

export interface Decision {
  /** `undecided`: nothing stops it, and something that had to be examined was not. */
  readonly decision: 'go' | 'no-go' | 'undecided';
  readonly reasons: readonly string[];
}

export function decide(gate: Gate, results: readonly AgentResult[]): Decision {
  const stops: string[] = [];
  const unknown: string[] = [];
  for (const [task, least] of Object.entries(gate)) {
    const result = results.find((item) => item.task === task);
    const report = result?.report;
    if (report === undefined) {
      unknown.push(`${task} was not examined: ${result?.reason ?? 'there is no such task'}`);
      continue;
    }
    const limit = severityOrder.indexOf(least);
    const grave = report.findings.filter(
      ({ severity }) => severityOrder.indexOf(severity) <= limit,
    );
    const [first] = grave;
    if (first === undefined) continue;
    const where =
      first.file === undefined
        ? ''
        : ` (${first.file}${first.line === undefined ? '' : `:${first.line}`})`;
    const more = grave.length > 1 ? `, and ${count(grave.length - 1, 'more', 'more')}` : '';
    stops.push(`${task}: ${first.severity}, ${first.message.replace(/\.$/, '')}${where}${more}`);
  }
  const decision = stops.length > 0 ? 'no-go' : unknown.length > 0 ? 'undecided' : 'go';
  return { decision, reasons: [...stops, ...unknown].map((text) => shorten(text, 400)) };
}
