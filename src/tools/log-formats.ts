/** Reading one line of a log, whoever wrote it. */
import { asRecord } from './packages.ts';
import {
  isoTime,
  readAccessTime,
  readApacheTime,
  readEpoch,
  readIsoTime,
  readSyslogTime,
} from './log-times.ts';

/** From the least to the worst. */
export const levels = ['debug', 'info', 'warning', 'error', 'fatal'] as const;
export type Level = (typeof levels)[number];

export interface LogRecord {
  readonly format: string;
  readonly timeMs: number | undefined;
  /** Whether the line said its zone; true where it has no time. */
  readonly hasZone: boolean;
  readonly level: Level;
  readonly message: string;
  /** What correlates lines, of warnings and worse: request, trace and session ids. */
  readonly ids: readonly string[];
  /** Of a request to a web server. */
  readonly status?: number;
}

export interface Format {
  readonly name: string;
  read(line: string, nowMs: number): LogRecord | undefined;
}

const words: readonly [Level, RegExp][] = [
  ['fatal', /\b(fatal|panic|emerg(?:ency)?|crit(?:ical)?|alert)\b/i],
  ['error', /\b(error|err|severe|failure)\b/i],
  ['warning', /\b(warn(?:ing)?)\b/i],
  ['debug', /\b(debug|trace|verbose|fine)\b/i],
  ['info', /\b(info|notice|log)\b/i],
];
/** Where no level is said, what a message says of itself. */
const saysError =
  /\b(exception|traceback|segfault|out of memory|oom-kill\w*|killed process|panicked|fatal|unhandled|i\/o error)\b|\berror\b(?! ?(?:count|rate)s?\b)|\bfailed (?:to|with|password|because)\b/i;

/** A level by a word of a log library; undefined where the word is none. */
export function levelOf(word: string): Level | undefined {
  return words.find(([, pattern]) => new RegExp(`^${pattern.source}$`, 'i').test(word))?.[0];
}

function record(
  format: string,
  timeMs: number | undefined,
  level: Level,
  message: string,
  more: { hasZone?: boolean; status?: number; ids?: readonly string[] } = {},
): LogRecord {
  const { hasZone = true, status } = more;
  // Of lines that report nothing bad nobody asks which request they belong to; looking costs a sixth of the time.
  const isBad = levels.indexOf(level) >= levels.indexOf('warning');
  const ids = isBad ? (more.ids ?? idsOf(message)) : [];
  const common = { format, timeMs, hasZone, level, message, ids };
  return status === undefined ? common : { ...common, status };
}

const idPattern =
  /\b(?:(?:request|trace|correlation|session|transaction|req|span)[-_ ]?id|traceparent|x-request-id|txid)["']?\s*[=:]\s*["']?([\w-]{6,64})|\b([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})\b/gi;

function idsOf(message: string): string[] {
  const found: string[] = [];
  for (const match of message.matchAll(idPattern)) {
    const id = match[1] ?? match[2];
    if (id !== undefined && found.length < 4 && !found.includes(id)) found.push(id);
  }
  return found;
}

const json: Format = {
  name: 'JSON lines',
  read(line, nowMs) {
    if (!line.startsWith('{')) return undefined;
    let fields: Readonly<Record<string, unknown>> | undefined;
    try {
      fields = asRecord(JSON.parse(line));
    } catch {
      return undefined;
    }
    return fields === undefined ? undefined : fromJson(fields, nowMs);
  },
};

const timeKeys = 'time timestamp ts @timestamp datetime date t eventTime'.split(' ');
const levelKeys = 'level severity lvl levelname log.level loglevel severityText'.split(' ');
const messageKeys = 'msg message event text log body'.split(' ');
const idKeys =
  'trace_id traceId trace.id request_id requestId reqId req_id correlation_id correlationId session_id sessionId'.split(
    ' ',
  );

function fromJson(fields: Readonly<Record<string, unknown>>, nowMs: number): LogRecord {
  const pick = (keys: readonly string[]) =>
    keys.map((key) => fields[key]).find((value) => value !== undefined && value !== null);
  const time = pick(timeKeys);
  const read = typeof time === 'string' ? readIsoTime(time) : undefined;
  const timeMs = read?.ms ?? (typeof time === 'number' ? readEpoch(time) : undefined);
  const text = pick(messageKeys);
  const error = asRecord(fields['err'] ?? fields['error'] ?? fields['exception']);
  const cause = error?.['message'] ?? fields['error'] ?? fields['exception'] ?? '';
  const reason = typeof cause === 'string' ? cause : '';
  const said = typeof text === 'string' ? text : '';
  // Docker keeps the line of the program as it was.
  if (typeof fields['log'] === 'string' && fields['stream'] !== undefined) {
    const inner = readLine(said.trimEnd(), nowMs);
    if (inner !== undefined)
      return { ...inner, timeMs: inner.timeMs ?? timeMs, format: 'JSON lines' };
  }
  const message = reason === '' || said.includes(reason) ? said : `${said}: ${reason}`;
  const level = jsonLevel(pick(levelKeys)) ?? (saysError.test(message) ? 'error' : 'info');
  const ids = idKeys
    .map((key) => fields[key])
    .filter((value) => typeof value === 'string' && value.length >= 4)
    .map(String);
  const shown = message === '' ? JSON.stringify(fields) : message;
  const hasZone = read?.hasZone ?? true;
  return record('JSON lines', timeMs, level, shown, {
    hasZone,
    ids: ids.length > 0 ? ids : idsOf(message),
  });
}

function jsonLevel(value: unknown): Level | undefined {
  // Pino and Bunyan count by tens.
  if (typeof value === 'number')
    return levels[Math.min(4, Math.max(0, Math.floor(value / 10) - 2))];
  return typeof value === 'string' ? levelOf(value) : undefined;
}

const access: Format = {
  name: 'web access',
  read(line) {
    const found = /^(\S+) \S+ \S+ \[([^\]]{20,40})\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)/.exec(
      line,
    );
    if (found === null) return undefined;
    const [, , time = '', request = '', code = ''] = found;
    const timeMs = readAccessTime(time);
    if (timeMs === undefined) return undefined;
    const status = Number(code);
    const [method = '', target = ''] = request.split(' ');
    const path = target.replace(/\?.*$/, '');
    const level = status >= 500 ? 'error' : status === 429 || status === 499 ? 'warning' : 'info';
    const ids = level === 'info' ? [] : idsOf(line);
    return record('web access', timeMs, level, `${method} ${path} answered ${status}`, {
      status,
      ids,
    });
  },
};

const webErrors: Format = {
  name: 'web errors',
  read(line) {
    const nginx =
      /^(\d{4}\/\d{2}\/\d{2} \d{2}:\d{2}:\d{2}) \[(\w+)\] \d+#\d+: (?:\*\d+ )?(.*)$/.exec(line);
    if (nginx !== null) {
      const [, time = '', level = '', message = ''] = nginx;
      return record('web errors', readIsoTime(time)?.ms, levelOf(level) ?? 'info', message, {
        hasZone: false,
      });
    }
    const apache = /^\[(\w{3} \w{3} [ \d]\d [\d:.]+ \d{4})\] \[(?:\w*:)?(\w+)\] (.*)$/.exec(line);
    if (apache === null) return undefined;
    const [, time = '', level = '', message = ''] = apache;
    const rest = message.replace(/^(\[(?:pid|client)[^\]]*\] )+/, '');
    return record('web errors', readApacheTime(time), levelOf(level) ?? 'info', rest, {
      hasZone: false,
    });
  },
};

const postgres: Format = {
  name: 'PostgreSQL',
  read(line) {
    const found =
      /^(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?:\.\d+)?) (\w+|[+-]\d+) (.{0,120}?)\b(LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG\d?): {1,2}(.*)$/.exec(
        line,
      );
    if (found === null) return undefined;
    const [, time = '', zone = '', , level = '', message = ''] = found;
    const known = level.startsWith('DEBUG') ? 'debug' : (levelOf(level) ?? 'info');
    return record('PostgreSQL', readIsoTime(`${time} ${zone}`)?.ms, known, message, {
      hasZone: /^(UTC|GMT|[+-])/.test(zone),
    });
  },
};

/** What PostgreSQL says further about the line before. */
export const furtherWords =
  /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}.{0,160}?\b(DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION): /;

const syslog: Format = {
  name: 'syslog',
  read(line, nowMs) {
    const modern = /^<(\d{1,3})>1 (\S+) \S+ (\S+) \S+ \S+ (?:-|\[.*?[^\\]\]) ?(.*)$/.exec(line);
    if (modern !== null) {
      const [, priority, time = '', program = '', message = ''] = modern;
      const read = readIsoTime(time);
      const level = priorityLevel(Number(priority));
      return record('syslog', read?.ms, level, `${program}: ${message}`);
    }
    const found =
      /^(?:<(\d{1,3})>)?(\w{3} [ \d]\d \d{2}:\d{2}:\d{2}|\d{4}-\d{2}-\d{2}T[\d:.+Z-]+) (\S+) ([\w./()-]+)(?:\[\d+\])?: (.*)$/.exec(
        line,
      );
    if (found === null) return undefined;
    const [, priority, time = '', , program = '', message = ''] = found;
    const read = readIsoTime(time);
    const timeMs = read?.ms ?? readSyslogTime(time, nowMs);
    const level =
      priority === undefined ? levelInText(message, 32) : priorityLevel(Number(priority));
    return record('syslog', timeMs, level, `${program}: ${message}`, {
      hasZone: read?.hasZone ?? false,
    });
  },
};

function priorityLevel(priority: number): Level {
  const severity = priority % 8;
  if (severity <= 2) return 'fatal';
  return severity === 3 ? 'error' : severity === 4 ? 'warning' : severity === 7 ? 'debug' : 'info';
}

const klog: Format = {
  name: 'klog',
  read(line, nowMs) {
    const found = /^([IWEF])(\d{2})(\d{2}) (\d{2}:\d{2}:\d{2})\.\d+ +\d+ \S+\] (.*)$/.exec(line);
    if (found === null) return undefined;
    const [, letter, month, day, clock, message = ''] = found;
    const level = { I: 'info', W: 'warning', E: 'error', F: 'fatal' }[letter ?? 'I'];
    const year = new Date(nowMs).getUTCFullYear();
    const timeMs = readIsoTime(`${year}-${month}-${day} ${clock}`)?.ms;
    return record('klog', timeMs, (level as Level | undefined) ?? 'info', message, {
      hasZone: false,
    });
  },
};

const plain: Format = {
  name: 'lines with a time',
  read(line) {
    const found = isoTime.exec(line);
    // A time further in is part of what is told.
    if (found === null || found.index > 24) return undefined;
    const read = readIsoTime(line);
    const rest = line.slice(found.index + found[0].length).replace(/^[\])}\s|:,-]+/, '');
    return record('lines with a time', read?.ms, levelInText(rest, 60), withoutLevel(rest), {
      hasZone: read?.hasZone ?? true,
    });
  },
};

/** The level as a word among the first signs, in the way that libraries write it; else by what is said. */
function levelInText(text: string, signs: number): Level {
  const start = text.slice(0, signs);
  for (const [level, pattern] of words) {
    const found = pattern.exec(start)?.[0];
    // `an error` in a sentence is no level; `ERROR`, `[error]`, `error:` are.
    if (found === undefined) continue;
    const at = start.indexOf(found);
    const after = start[at + found.length] ?? '';
    if (found === found.toUpperCase() || /[\]:|=]/.test(after)) return level;
  }
  return saysError.test(text) ? 'error' : 'info';
}

function withoutLevel(text: string): string {
  return text.replace(
    /^[[(<]?(?:FATAL|CRITICAL|ERROR|SEVERE|WARN(?:ING)?|INFO|NOTICE|DEBUG|TRACE)[\])>]?[\s:|-]+/i,
    '',
  );
}

/** In the order in which they are tried: the particular ones first. */
export const formats: readonly Format[] = [json, access, webErrors, postgres, klog, syslog, plain];

/** A line in whatever format reads it; undefined for one that none reads. */
export function readLine(line: string, nowMs: number): LogRecord | undefined {
  for (const format of formats) {
    const found = format.read(line, nowMs);
    if (found !== undefined) return found;
  }
  return undefined;
}
