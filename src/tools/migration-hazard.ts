import type { Severity } from '../base/base.ts';

/**
 * High: breaks, loses data, or stops all traffic for a time that grows with the table. Medium: stops
 * writes for such a time, or breaks who runs beside it. Low: short, or only where something else is so.
 */
export interface Hazard {
  readonly severity: Severity;
  readonly rule: string;
  readonly message: string;
  /** The safe form, and the version that it holds for. */
  readonly fix: string;
  /** It takes a time that grows with the table. */
  readonly isLong: boolean;
}

export function hazard(
  severity: Severity,
  rule: string,
  message: string,
  fix: string,
  isLong = false,
): Hazard {
  return { severity, rule, message, fix, isLong };
}
