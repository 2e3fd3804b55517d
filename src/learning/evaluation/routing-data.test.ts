import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { parseCsv } from './csv.ts';
import { isHeldOut, readRoutingData } from './routing-data.ts';

const folder = mkdtempSync(join(tmpdir(), 'centuria-routing-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const texts = (csv: string): string[][] =>
  parseCsv(csv, 'x.csv').map((row) => row.map(({ text }) => text));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const header = 'prompt,weak_correct,strong_correct';

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

describe('CSV', () => {
  test('quoted values hold commas, quotes and line ends', () => {
    expect(texts('a,"b ""c"", d"\r\n"e\nf",\n')).toEqual([
      ['a', 'b "c", d'],
      ['e\nf', ''],
    ]);
    expect(texts('\uFEFFa,b\n\n1,')).toEqual([
      ['a', 'b'],
      ['1', ''],
    ]);
    expect(texts('""\n')).toEqual([]);
  });

  test('places count lines within quotes', () => {
    const [, second] = parseCsv('"x\ny",1\nz,2\n', 'x.csv');
    expect(second).toEqual([
      { text: 'z', line: 3, column: 1 },
      { text: '2', line: 3, column: 3 },
    ]);
  });

  test('what a writer quotes comes back, whatever it holds', () => {
    const value = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é') });
    fc.assert(
      fc.property(
        fc.array(fc.array(value, { minLength: 2, maxLength: 3 })),
        fc.constantFrom('\n', '\r\n'),
        (rows, end) => {
          expect(texts(rows.map((row) => row.map(quoted).join(',')).join(end))).toEqual(rows);
        },
      ),
    );
  });

  test.each([
    ['a,"b', 'x.csv:1:3: the quote that begins here is never closed'],
    ['a,b\nc,"d"e', 'x.csv:2:6: a comma or the end of the line must follow'],
    ['a,b"c', 'x.csv:1:3: a quote within a value'],
  ])('%j is refused with its place', (csv, message) => {
    expect(() => parseCsv(csv, 'x.csv')).toThrow(message);
  });
});

describe('routing data', () => {
  test('a table gives prompts and what each agent came to', async () => {
    const path = file(
      'a.csv',
      `${header},weak_cost_usd,strong_cost_usd\n"One, two?",True,0,0.001,0.02\nThree,false,1,0,1e-3\n`,
    );
    expect(await readRoutingData(path)).toEqual({
      file: path,
      agents: ['weak', 'strong'],
      rows: [
        { prompt: 'One, two?', correct: [true, false], costUsd: [0.001, 0.02] },
        { prompt: 'Three', correct: [false, true], costUsd: [0, 0.001] },
      ],
    });
  });

  test('JSON lines say the same', async () => {
    const lines = [
      { prompt: 'One', weak_correct: true, strong_correct: 0, weak_ms: 5, strong_ms: 7.5 },
      { prompt: 'Two', weak_correct: 'False', strong_correct: 1, weak_ms: 0, strong_ms: 9 },
    ];
    const path = file('a.jsonl', `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
    expect((await readRoutingData(path)).rows).toEqual([
      { prompt: 'One', correct: [true, false], ms: [5, 7.5] },
      { prompt: 'Two', correct: [false, true], ms: [0, 9] },
    ]);
  });

  test.each([
    ['b.csv', `${header}\na,True,maybe\n`, 'b.csv:2:8: strong_correct is "maybe"'],
    ['c.csv', `${header}\na,True,\n`, 'c.csv:2:8: strong_correct is ""'],
    ['d.csv', `${header}\n"a\nb",True,True\n,True,True\n`, 'd.csv:4:1: prompt is empty'],
    ['e.csv', `${header}\na,True\n`, 'e.csv:2: 2 values; the header has 3'],
    ['f.csv', 'prompt,weak_correct\na,1\n', 'f.csv:1: two or more columns AGENT_correct'],
    ['g.csv', 'text,a_correct,b_correct\nx,1,1\n', 'g.csv:1: there is no column prompt'],
    ['h.csv', `${header},weak_ms\na,1,1,5\n`, 'h.csv:1: strong_ms is missing'],
    ['i.csv', `${header},weak_ms,strong_ms\na,1,1,5,-1\n`, 'i.csv:2:9: strong_ms is "-1"'],
    ['j.csv', `${header},weak_correct\n`, 'j.csv:1:36: there are two columns weak_correct'],
    ['k.jsonl', '{"prompt": "a"}\n[1]\n', 'k.jsonl:2: an object is needed'],
    ['l.jsonl', '{"prompt": \n', 'l.jsonl:1: '],
    [
      'm.jsonl',
      '{"prompt": "a", "a_correct": 1, "b_correct": 1}\n{"prompt": "b", "a_correct": 1}',
      'm.jsonl:2: b_correct is',
    ],
    ['n.csv', '', 'n.csv:1: there is no column prompt'],
    ['o.csv', new Uint8Array([0x70, 0xff, 0xfe]), 'o.csv is not UTF-8'],
  ])('%s is refused with file, line and column', async (name, content, message) => {
    await expect(readRoutingData(file(name, content))).rejects.toThrow(message);
  });

  test('a file that is not there, and a folder, are refused', async () => {
    await expect(readRoutingData(join(folder, 'none.csv'))).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(readRoutingData(folder)).rejects.toMatchObject({ code: 'invalid_input' });
  });

  test('about half of all questions are held out, always the same ones', () => {
    const held = Array.from({ length: 1000 }, (_, index) => isHeldOut(`question ${index}`));
    const count = held.filter(Boolean).length;
    expect(count).toBeGreaterThan(440);
    expect(count).toBeLessThan(560);
    // Of SHA-256, whose vectors are published: that of "abc" begins with ba, an even byte.
    expect(isHeldOut('abc')).toBe(false);
    expect(isHeldOut(' abc\n')).toBe(isHeldOut('abc'));
  });
});
