import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { incident, writeIncident } from '../../test/support/incident-logs.ts';
import type { ToolReport } from '../base/base.ts';
import { Drain, mask } from './drain.ts';
import { readLine } from './log-formats.ts';
import { failureKind, withoutSecrets } from './log-kinds.ts';
import { run } from './log-triage.ts';

const nowMs = Date.UTC(2026, 9, 11);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'centuria-logs-'));
  writeIncident(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

function triage(input: Readonly<Record<string, unknown>> = {}): Promise<ToolReport> {
  return run({
    repo: folder,
    limit: 500,
    folder: undefined,
    nowMs,
    progress: () => undefined,
    input,
  });
}

test('log-triage finds every planted part of an incident, and what is usual is not among it', async () => {
  const { findings, metrics, summary } = await triage();
  const find = (rule: string) => findings.filter((item) => item.rule === rule);
  expect(find('disk-full')).toMatchObject([{ severity: 'critical', file: 'postgresql.log.1.gz' }]);
  expect(find('disk-full')[0]?.message).toMatch(/^2 × .*\(2 kinds of message\)/);
  // A line of a compressed file is a line of nothing that could be opened.
  expect(find('disk-full')[0]).not.toHaveProperty('line');
  expect(find('disk-full')[0]?.evidence).toContain('HINT:  Check free disk space.');
  expect(find('connection-refused')).toMatchObject([{ severity: 'high', file: 'shop.jsonl' }]);
  expect(find('connection-refused')[0]?.message).toContain(
    `48 × connect ECONNREFUSED <ip>, from ${incident.refused}`,
  );
  expect(find('timeout')).toMatchObject([{ severity: 'medium' }]);
  expect(find('http-502')).toMatchObject([{ severity: 'high', file: 'web/access.log' }]);
  expect(find('http-502')[0]?.message).toContain(
    '60 × POST /orders/<n> answered 502 (3.3 % of all requests)',
  );
  expect(find('restart-after-crash')).toHaveLength(1);
  expect(find('incident')[0]?.message).toContain(incident.refused.slice(0, 15));
  expect(find('incident')[0]?.message).toContain('first appearance: disk-full');
  expect(find('silent-gap').map(({ file, message }) => [file, message])).toEqual([
    ['shop.jsonl', expect.stringContaining(`from ${incident.silentFrom} to ${incident.silentTo}`)],
  ]);
  expect(find('stopped')).toHaveLength(1);
  expect(find('stopped')[0]?.message).toContain('queue has <n> waiting jobs');
  expect(find('stopped')[0]?.evidence).toContain(incident.lastHeartbeat);
  expect(find('new-before-failures').map(({ message }) => message)).toEqual([
    expect.stringContaining('configuration reloaded'),
  ]);
  expect(find('same-requests')[0]?.message).toMatch(
    /^48 ids in both, in this order: connect .* → request timed out/,
  );
  expect(find('same-requests')[0]?.evidence).toMatch(/^req-\d+/);
  expect(JSON.stringify(findings)).not.toContain('hunter');
  expect(metrics).toMatchObject({ files: 3, fatal: 1, error: 157, templates: expect.any(Number) });
  expect(metrics['templates']).toBeLessThan(20);
  expect(summary).toContain('2026-10-10T18:00:00Z to 2026-10-10T19:59:5');
  const known = new Set(
    'disk-full connection-refused timeout http-502 restart-after-crash incident silent-gap stopped new-before-failures same-requests restarts start-or-end warning'.split(
      ' ',
    ),
  );
  expect(findings.filter(({ rule }) => !known.has(rule))).toEqual([]);
});

test('only the files and the time that are asked for are examined', async () => {
  const quiet = await triage({
    files: 'shop.jsonl',
    from: '2026-10-10T18:00:00Z',
    to: '2026-10-10T18:30:00Z',
  });
  expect(quiet.findings.map(({ rule }) => rule)).toEqual(['warning']);
  expect(quiet.metrics['lines']).toBe(361 + 61 + 2);
  await expect(triage({ files: 'none*.log' })).rejects.toThrow('is named none*.log');
  await expect(triage({ from: 'yesterday' })).rejects.toThrow('from must be a time');
});

test('a line of any length and a file that breaks off leave a report that says so', async () => {
  const place = mkdtempSync(join(tmpdir(), 'centuria-logs-'));
  try {
    const long = `2026-10-10T18:00:00Z ERROR ${'x'.repeat(700_000)}\n2026-10-10T18:00:01Z ERROR after\n`;
    writeFileSync(join(place, 'long.log'), long);
    writeFileSync(join(place, 'cut.log.gz'), Buffer.from('1f8b0800000000000003abcd', 'hex'));
    writeFileSync(join(place, 'binary.log'), Buffer.from([0, 1, 2]));
    const report = await run({
      repo: place,
      limit: 50,
      folder: undefined,
      nowMs,
      progress: () => undefined,
      input: {},
    });
    expect(report.metrics).toMatchObject({ lines: 2, error: 2 });
    expect(report.notes.join('\n')).toMatch(/cut\.log\.gz could be read to line 0 only/);
    expect(report.notes.join('\n')).toMatch(/long\.log: of 1 very long line the start was read/);
    expect(report.notes.join('\n')).toMatch(/binary\.log is not a readable text file/);
  } finally {
    rmSync(place, { recursive: true });
  }
});

test.each([
  [
    'JSON lines',
    '{"level":50,"time":1791655200000,"msg":"down","err":{"message":"ECONNRESET"}}',
    'error',
    'down: ECONNRESET',
    1791655200000,
  ],
  [
    'JSON lines',
    '{"log":"2026-10-10 18:00:01 WARN late\\n","stream":"stderr","time":"2026-10-10T18:00:01.5Z"}',
    'warning',
    'late',
    1791655201000,
  ],
  [
    'web access',
    '::1 - ada [10/Oct/2026:20:00:00 +0200] "GET /a?b HTTP/2.0" 503 12',
    'error',
    'GET /a answered 503',
    1791655200000,
  ],
  [
    'web errors',
    '2026/10/10 18:00:00 [crit] 7#7: *9 connect() failed',
    'fatal',
    'connect() failed',
    1791655200000,
  ],
  [
    'web errors',
    '[Sat Oct 10 18:00:00.5 2026] [proxy:error] [pid 7] AH01: no',
    'error',
    'AH01: no',
    1791655200500,
  ],
  [
    'PostgreSQL',
    '2026-10-10 18:00:00.000 UTC [7] a@b FATAL:  sorry, too many clients already',
    'fatal',
    'sorry, too many clients already',
    1791655200000,
  ],
  [
    'syslog',
    'Oct 10 18:00:00 host kernel: Out of memory: Killed process 7',
    'error',
    'kernel: Out of memory: Killed process 7',
    1791655200000,
  ],
  [
    'syslog',
    '<131>1 2026-10-10T18:00:00Z host app 7 ID [a b="c"] gone',
    'error',
    'app: gone',
    1791655200000,
  ],
  ['klog', 'E1010 18:00:00.000000    7 a.go:1] failed', 'error', 'failed', 1791655200000],
  [
    'lines with a time',
    '2026-10-10T18:00:00,500 [main] WARN  a.B - slow',
    'warning',
    '[main] WARN  a.B - slow',
    1791655200500,
  ],
])('%s: %s', (format, line, level, message, timeMs) => {
  expect(readLine(line, nowMs)).toMatchObject({ format, level, message, timeMs });
});

test('a line without a time or a level is not made into one with', () => {
  expect(readLine('    at main (a.js:1:2)', nowMs)).toBeUndefined();
  expect(readLine('2026-10-10T18:00:00Z no errors were found', nowMs)).toMatchObject({
    level: 'info',
  });
  // December, read in January.
  expect(readLine('Dec 31 23:00:00 host a: b', Date.UTC(2027, 0, 1))?.timeMs).toBe(
    Date.UTC(2026, 11, 31, 23),
  );
});

test('Drain puts messages that differ in values into one template, and severities apart', () => {
  const drain = new Drain();
  const one = drain.add('error', 'failed to open room 7 for user ada');
  expect(drain.add('error', 'failed to open room 12 for user bob')).toBe(one);
  expect(one?.words.join(' ')).toBe('failed to open room <n> for user <*>');
  expect(drain.add('info', 'failed to open room 12 for user bob')).not.toBe(one);
  expect(drain.add('error', 'disk full on one two three')).not.toBe(one);
  expect(
    mask('id 3f2a9c81-0000-4000-8000-000000000000 from 10.0.0.1:80 at "x y" a1b2c3d4e5 99.5ms'),
  ).toBe('id <id> from <ip> at <text> <id> <n>ms');
});

test('Drain keeps no more templates than it was told to', () => {
  const drain = new Drain({ maxTemplates: 3 });
  const found = ['a b', 'c d e', 'f g h i', 'j k l m n', 'a b'].map(
    (text) => drain.add('info', text)?.id,
  );
  expect(found).toEqual([0, 1, 2, undefined, 0]);
});

test('failures are told apart by what they say, and secrets are struck out', () => {
  expect(failureKind('sorry, too many clients already', true)?.name).toBe('connections-exhausted');
  expect(failureKind('x509: certificate has expired', true)?.name).toBe('certificate');
  expect(failureKind('retry with timeout 5 s', false)).toBeUndefined();
  expect(failureKind('kernel: Out of memory: Killed process 7', false)?.name).toBe('out-of-memory');
  expect(
    withoutSecrets('password: "a b", token=abc, Bearer aaa.bbb, postgres://u:p@h/d, note: x'),
  ).toBe('password: ***, token=***, Bearer ***, postgres://u:***@h/d, note: x');
});
