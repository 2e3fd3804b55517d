/**
 * What one embedding of the offline embedder costs, by length of the text, beside SHA-256 of the same text
 * (what a key of a cache would cost), and what its loading does. Each repeat is the median of many.
 */
import { createHash } from 'node:crypto';
import { createOfflineEmbedder } from '../../src/learning/embedding/offline.ts';
import { loadNow, median, type Measured, type MeasureOptions } from './report.ts';

const defaultRepeats = 5;
const textsEach = 2_000;
/** The usual length of a task, and what the embedder promises to stay below for it. */
const target = { characters: 300, atMostMs: 0.2 };
const lengths = [60, target.characters, 4_000];

/** Sentences of work in other words each time: a cache would have nothing of them. */
const words =
  'find out why the nightly build of our payment service fails since Tuesday with exit status 137 on two runners and nobody changed the pipeline write down what you excluded propose a repair with a test that fails without it quokka zeppelin marmalade frobnicate'.split(
    ' ',
  );

function textOf(length: number, turn: number): string {
  let text = '';
  for (let at = turn; text.length < length; at += 1 + (turn % 5)) {
    text += `${words[at % words.length] ?? ''} `;
  }
  return text.slice(0, length);
}

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  const times = repeats ?? defaultRepeats;
  const loading: number[] = [];
  const loads: number[] = [];
  const embedding = new Map(lengths.map((length) => [length, [] as number[]]));
  const hashing = new Map(lengths.map((length) => [length, [] as number[]]));
  for (let repeat = 0; repeat < times; repeat += 1) {
    progress(`repeat ${repeat + 1} of ${times}`);
    loads.push(loadNow());
    const begun = performance.now();
    const embedder = await createOfflineEmbedder();
    loading.push(performance.now() - begun);
    for (const length of lengths) {
      const texts = Array.from({ length: textsEach }, (_, turn) => textOf(length, turn));
      embedding.get(length)?.push(await medianMs(texts, (text) => embedder.embed([text])));
      hashing.get(length)?.push(await medianMs(texts, hashOf));
    }
  }
  const perText = lengths.map((length): Measured => ({
    metric: `embed_${length}_characters_ms`,
    unit: 'ms',
    values: embedding.get(length) ?? [],
    peer: { name: 'SHA-256 of the text', values: hashing.get(length) ?? [] },
    loads,
    ...(length === target.characters ? { target: { atMost: target.atMostMs } } : {}),
  }));
  return [
    ...perText,
    { metric: 'load_ms', unit: 'ms', values: loading, target: { atMost: 30 }, loads },
  ];
}

async function hashOf(text: string): Promise<string> {
  return createHash('sha256').update(text).digest('hex');
}

async function medianMs(
  texts: readonly string[],
  work: (text: string) => Promise<unknown>,
): Promise<number> {
  const taken: number[] = [];
  for (const text of texts) {
    const begun = performance.now();
    await work(text);
    taken.push(performance.now() - begun);
  }
  return median(taken) ?? NaN;
}
