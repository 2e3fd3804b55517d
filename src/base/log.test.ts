import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError, createLog, redact, redactValue, type LogLevel } from './base.ts';

/** What one call of the log writes, as a value. */
function written(fields: object, level: LogLevel = 'info'): Record<string, unknown> {
  const lines: string[] = [];
  const log = createLog({ level, destination: { write: (line) => void lines.push(line) } });
  log.info(fields, 'message');
  expect(lines).toHaveLength(1);
  expect(lines[0]?.endsWith('\n')).toBe(true);
  return JSON.parse(lines[0] ?? '') as Record<string, unknown>;
}

test('a line is JSON with level, time, fields and message', () => {
  const line = written({ runId: 'r', count: 2n ** 60n });
  expect(line).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    runId: 'r',
    count: '1152921504606846976',
    msg: 'message',
  });
});

test('nothing below the level is written', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'warn', destination: { write: (line) => void lines.push(line) } });
  log.debug({}, 'a');
  log.info({}, 'b');
  log.warn({}, 'c');
  log.error({}, 'd');
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['c', 'd']);
});

test('a child carries its fields on every line, and its own child both', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
  log.child({ worker: 'w', token: 't0psecret' }).child({ run: 'r' }).info({ a: 1 }, 'x');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    worker: 'w',
    token: '[redacted]',
    run: 'r',
    a: 1,
  });
});

const secretField = fc.constantFrom(
  'token',
  'password',
  'apiKey',
  'api_key',
  'x-api-key',
  'Authorization',
  'Set-Cookie',
  'clientSecret',
  'refresh_token',
  'privateKey',
);

test('a field with a secret’s name is replaced at any depth', () => {
  fc.assert(
    fc.property(secretField, fc.uuid(), fc.nat(8), (name, secret, depth) => {
      let fields: Record<string, unknown> = {
        [name]: secret,
        list: [{ [name]: { inner: secret } }],
      };
      for (let i = 0; i < depth; i += 1) fields = { inner: fields };
      expect(JSON.stringify(written(fields))).not.toContain(secret);
    }),
  );
});

test('a field that only sounds alike stays', () => {
  const fields = { tokens: 12, hasToken: true, secretary: 'x', passwordless: 'y', keyword: 'z' };
  expect(written(fields)).toMatchObject(fields);
});

test('passwords in URLs and bearer tokens are replaced wherever they stand', () => {
  const password = fc.stringMatching(/^[A-Za-z][A-Za-z0-9!$%^*()_+,.;=/@:-]{5,20}$/);
  fc.assert(
    fc.property(password, (secret) => {
      const text = `connect postgres://me:${secret}@db.local:5432/x failed`;
      expect(redact(text)).toBe('connect postgres://me:[redacted]@db.local:5432/x failed');
      const line = JSON.stringify(written({ a: { b: [text] }, err: new Error(text) }));
      expect(line).not.toContain(`${secret}@`);
    }),
  );
  expect(redact('Authorization: Bearer abcdef.ghijkl-mn_o')).toBe(
    'Authorization: Bearer [redacted]',
  );
  expect(redact('open http://localhost:8081/login?token=abc123&x=1')).toBe(
    'open http://localhost:8081/login?token=[redacted]&x=1',
  );
  expect(redact('host=h password=hunter2 port=1')).toBe('host=h password=[redacted] port=1');
});

test('a text without a secret stays as it is', () => {
  for (const text of [
    'http://localhost:8081/users/me@example.org',
    'http://localhost:8081, mail me@example.org',
    'git@github.com:owner/name.git',
    'a basic rule',
    '{"a":"http://x:80","b":"me@x"}',
  ]) {
    expect(redact(text)).toBe(text);
  }
});

test('what was JSON is still JSON after redaction', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom('http://a:b', 'x@y', 'token=q', ''), (json, more) => {
      const text = JSON.stringify({ more: `${more}"`, json, inner: JSON.parse(json) as unknown });
      expect(() => JSON.parse(redact(text))).not.toThrow();
    }),
  );
});

test('a long text is redacted in time that grows with its length', () => {
  const long = `${'a'.repeat(200_000)} ${'x://a:'.repeat(30_000)}`;
  expect(redact(long)).toHaveLength(long.length);
});

test('nothing that is logged makes the log throw', () => {
  const cyclic: Record<string, unknown> = { name: 'me' };
  cyclic['self'] = cyclic;
  cyclic['list'] = [cyclic];
  expect(written(cyclic)).toMatchObject({ self: '[circular]', list: ['[circular]'] });
  const throwing = Object.defineProperty({}, 'x', {
    enumerable: true,
    get() {
      throw new Error('no');
    },
  });
  expect(written({ throwing })).toMatchObject({ throwing: '[unreadable: no]' });
  const noJson = {
    toJSON() {
      throw new Error('never');
    },
  };
  expect(written({ noJson })).toMatchObject({ noJson: '[unreadable: never]' });
  fc.assert(
    fc.property(
      fc.object({ withBigInt: true, withDate: true, withMap: true, withSet: true }),
      (value) => {
        expect(written({ value })).toHaveProperty('msg', 'message');
      },
    ),
  );
});

test('the same object twice is no circle', () => {
  const shared = { a: 1 };
  expect(written({ one: shared, two: shared })).toMatchObject({ one: { a: 1 }, two: { a: 1 } });
});

test('an error is logged with its code, details, stack and causes', () => {
  const cause = new Error('connect postgres://u:s3cret@h/d');
  const error = new AppError('database_unreachable', 'down', { cause, details: { token: 't0p' } });
  const line = written({ err: error });
  expect(line['err']).toMatchObject({
    type: 'AppError',
    message: 'down',
    code: 'database_unreachable',
    details: { token: '[redacted]' },
    cause: { message: 'connect postgres://u:[redacted]@h/d' },
    stack: expect.stringContaining('log.test.ts'),
  });
  expect(JSON.stringify(line)).not.toContain('s3cret');
  expect(redactValue(error)).toMatchObject({ type: 'AppError', message: 'down' });
});
