/**
 * What every part stands on: errors with codes, ids, time, retry, bounds, logging and settings. No
 * domain knowledge, and no input or output beyond standard error and the configuration file.
 */
export {
  AppError,
  errorCodes,
  errorRecord,
  toAppError,
  type AppErrorOptions,
  type ErrorCode,
  type ErrorRecord,
} from './errors.ts';
export { parseCheckedYaml, type CheckedYaml, type Complaint } from './checked-yaml.ts';
export { canonicalJson } from './canonical.ts';
export { BoundedQueue } from './bounded-queue.ts';
export { systemClock, type Clock } from './clock.ts';
export { flagName, loadConfig, type Config, type ConfigSources } from './config.ts';
export { settings, type SettingName, type Settings } from './settings.ts';
export {
  findingSchema,
  severities,
  toolReportSchema,
  type Finding,
  type Severity,
  type ToolReport,
} from './findings.ts';
export { idTimeMs, isId, lowestIdAt, newId } from './ids.ts';
export { createLog, type Log, type LogLevel, type LogOptions } from './log.ts';
export { redact, redactValue } from './redact.ts';
export { backoffMs, defaultRetry, retry, type RetryOptions, type RetryPolicy } from './retry.ts';
export { suggest } from './suggest.ts';
export { expand, references } from './template.ts';
