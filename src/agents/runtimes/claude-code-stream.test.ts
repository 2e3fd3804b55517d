import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { apiError, sessionError } from './claude-code-errors.ts';
import { ClaudeStream } from './claude-code-stream.ts';

const transcripts = join(import.meta.dirname, '../../../test/fixtures/claude-code');

function recorded(name: string): Buffer {
  return readFileSync(join(transcripts, `${name}.jsonl`));
}

/** What comes of a transcript that arrives in these pieces. */
function read(...chunks: readonly Buffer[]) {
  const told: unknown[] = [];
  const stream = new ClaudeStream(
    {
      onProgress: (line) => told.push(line),
      onRetry: (retry) => told.push(retry),
      onTokens: (tokens) => told.push(tokens),
    },
    '/repo',
  );
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  return { stream, told };
}

function errorOf(transcript: Buffer, exitCode: number, stderr = '') {
  return sessionError('asked', read(transcript).stream, { exitCode, stderr });
}

test('tells what is done, and what it came to with tokens and money', () => {
  const { stream, told } = read(recorded('tools'));
  expect(told).toEqual([
    'Let me look.',
    '→ Read a.txt',
    '→ Bash touch zz',
    '← Bash is not allowed',
    'done',
  ]);
  expect(stream).toMatchObject({ text: 'done', hasAnswered: true, malformed: 0 });
  expect(stream.result).toMatchObject({
    text: 'done',
    isError: false,
    denied: ['Bash'],
    usage: { tokens: 360 },
  });
  expect(stream.result?.usage.microUsd).toBeGreaterThan(0);
  expect(errorOf(recorded('tools'), 0)).toBeUndefined();
});

test('is read the same in whatever pieces it arrives', () => {
  const whole = read(recorded('tools'));
  fc.assert(
    fc.property(fc.array(fc.nat(recorded('tools').length), { maxLength: 20 }), (cuts) => {
      const bytes = recorded('tools');
      const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const pieces = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
      const { stream, told } = read(...pieces);
      expect(told).toEqual(whole.told);
      expect(stream.result).toEqual(whole.stream.result);
    }),
  );
});

test('counts tokens while it goes on', () => {
  const { told } = read(recorded('parts'));
  expect(told).toContain(120);
});

test('refusals of the API that call themselves a success are none', () => {
  expect(errorOf(recorded('limited'), 1)).toMatchObject({
    code: 'agent_busy',
    retryable: true,
    details: { status: 429 },
  });
  expect(errorOf(recorded('refused'), 1)).toMatchObject({ code: 'agent_failed', retryable: false });
  // The words of the API's error are none of the model's.
  expect(read(recorded('limited')).stream).toMatchObject({ text: '', hasAnswered: false });
});

test('limits that were reached are said as what they are', () => {
  expect(errorOf(recorded('turns'), 1)).toMatchObject({
    code: 'agent_failed',
    details: { reason: 'error_max_turns' },
  });
  expect(errorOf(recorded('money'), 1)).toMatchObject({ code: 'budget_exceeded' });
  const { stream } = read(recorded('money'));
  // Its own total is zero then; that by models is what was spent.
  expect(stream.result?.usage).toEqual({ tokens: 120_000, microUsd: 800_000 });
});

test('a stream that was cut anywhere before its end is a failure', () => {
  const whole = recorded('tools');
  const lastLine = whole.lastIndexOf('\n', whole.length - 2) + 1;
  fc.assert(
    fc.property(fc.nat(whole.length - 3), (length) => {
      const error = errorOf(whole.subarray(0, length), 0);
      expect(error).toMatchObject({ code: 'agent_failed', retryable: true });
    }),
  );
  expect(read(whole.subarray(0, lastLine)).stream.text).toBe('done');
});

test('lines that are none of its protocol are counted, and hide nothing', () => {
  const rubbish = Buffer.from('Segmentation fault\n[1, 2]\n{"type": \n\n"text"\n{"type":"news"}\n');
  const { stream } = read(rubbish, recorded('tools'));
  expect(stream.malformed).toBe(4);
  expect(stream.result?.text).toBe('done');
  expect(errorOf(rubbish, 3, 'out of paper')).toMatchObject({
    code: 'agent_failed',
    message:
      'agent asked: Claude Code ended with exit status 3 and without a result, after 4 lines that are none of its protocol: out of paper',
  });
});

test('a success with a bad exit status, or one that does not say so, is a failure', () => {
  expect(errorOf(recorded('tools'), 1)).toMatchObject({ code: 'agent_failed' });
  const unsaid = Buffer.from('{"type":"result","subtype":"success","result":"done"}');
  expect(errorOf(unsaid, 0)).toMatchObject({ code: 'agent_failed' });
  expect(read(unsaid).stream.result?.usage).toEqual({});
});

test.for([
  [429, 'agent_busy', true],
  [503, 'agent_busy', true],
  [529, 'agent_busy', true],
  [500, 'agent_failed', true],
  [400, 'agent_failed', false],
  [401, 'agent_failed', false],
  [404, 'agent_failed', false],
] as const)('the status %i of the API is %s', ([status, code, retryable]) => {
  expect(apiError('asked', { status, delayMs: 7_000 })).toMatchObject({ code, retryable });
});
