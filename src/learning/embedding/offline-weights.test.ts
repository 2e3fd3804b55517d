import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { programHash } from '../../../scripts/embedder/program-hash.ts';
import { sampleDigest } from '../../../scripts/embedder/sample.ts';
import { readWeights, weightsDigest, writeWeights } from './offline-weights.ts';
import { weightsPath } from './offline.ts';

const file = readFileSync(weightsPath);
const { head, model } = readWeights(file, weightsPath);

test('the weights were made by the programs as they are (node scripts/train-embedder.ts)', () => {
  expect(head.program).toBe(programHash());
});

test('the name tells the numbers apart', () => {
  expect(head.name).toBe(`offline-1-${weightsDigest(file, head).slice(0, 12)}`);
  const other = writeWeights({ ...model, weights: { ...model.weights, pair: 1 } }, head);
  expect(readWeights(other, 'other').head.name).not.toBe(head.name);
});

test('vectors are the same here as where the weights were made', () => {
  expect(sampleDigest(model)).toBe(head.sample);
});

test('what is written is read back', () => {
  expect(writeWeights(model, head).equals(file)).toBe(true);
});

test('a file that is cut off, longer or something else is refused by its path', () => {
  for (const broken of [file.subarray(0, 3), file.subarray(0, -1), Buffer.concat([file, file])]) {
    expect(() => readWeights(broken, '/x/weights.bin')).toThrow(
      expect.objectContaining({
        code: 'embedding_invalid',
        message: expect.stringMatching(/^\/x\/weights.bin: /),
      }),
    );
  }
  const changed = Buffer.from(file);
  changed.write('{{', 12);
  expect(() => readWeights(changed, 'x')).toThrow('its head can not be read');
});
