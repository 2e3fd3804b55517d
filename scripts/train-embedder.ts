/**
 * Makes the numbers of the offline embedder from the project's own texts, the same bytes from the same
 * texts, and prints how well it does: `node scripts/train-embedder.ts`. `--check` tells whether texts or
 * programs have changed since; `--evaluate` prints the figures of the present file; `--without-related`
 * trains without the list of related words, prints the figures and writes nothing.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bm25, cosine, paraphrases, readQuestions, retrieval } from './embedder/evaluate.ts';
import type { Measure, Questions } from './embedder/evaluate.ts';
import { readCorpus, type Corpus } from './embedder/corpus.ts';
import { programHash } from './embedder/program-hash.ts';
import { sampleDigest } from './embedder/sample.ts';
import { trainModel } from './embedder/train.ts';
import {
  embedWith,
  untrainedModel,
  type OfflineModel,
} from '../src/learning/embedding/offline-model.ts';
import { readWeights, writeWeights } from '../src/learning/embedding/offline-weights.ts';

const path = join(import.meta.dirname, '../src/learning/embedding/offline-weights.bin');

const measureOf = (model: OfflineModel): Measure => cosine((text) => embedWith(model, text));

function row(name: string, corpus: Corpus, questions: Questions, measure: Measure): string {
  const { recallAt1, recallAt5, meanReciprocalRank } = retrieval(
    corpus,
    measure,
    questions.heldOut,
  );
  const tuned = retrieval(corpus, measure, questions.tuning);
  const shown = [recallAt1, recallAt5, meanReciprocalRank, tuned.meanReciprocalRank];
  const figures = [...shown, paraphrases(measure, questions.pairs)];
  return `| ${name} | ${figures.map((figure) => figure.toFixed(3)).join(' | ')} |\n`;
}

function evaluate(name: string, corpus: Corpus, model: OfflineModel): void {
  const questions = readQuestions();
  process.stdout.write(
    '| embedder | recall@1 | recall@5 | MRR | MRR of the tuning questions | paraphrases |\n|---|---|---|---|---|---|\n',
  );
  process.stdout.write(row('BM25', corpus, questions, bm25));
  process.stdout.write(row('untrained', corpus, questions, measureOf(untrainedModel())));
  process.stdout.write(row(name, corpus, questions, measureOf(model)));
}

function check(corpus: Corpus): void {
  const { head } = readWeights(readFileSync(path), path);
  const program = head.program === programHash() ? 'as they were' : 'changed since';
  const sources = head.sources === corpus.hash ? 'as they were' : 'changed since';
  process.stdout.write(`${head.name}: programs ${program}, texts ${sources}\n`);
  if (head.program !== programHash()) process.exitCode = 1;
}

function main(flags: ReadonlySet<string>): void {
  const corpus = readCorpus();
  if (flags.has('--check')) return check(corpus);
  if (flags.has('--evaluate')) {
    const { head, model } = readWeights(readFileSync(path), path);
    return evaluate(head.name, corpus, model);
  }
  const begun = process.cpuUsage();
  const isWhole = !flags.has('--without-related');
  const model = trainModel(isWhole ? corpus : { ...corpus, related: [] });
  const seconds = process.cpuUsage(begun).user / 1e6;
  process.stderr.write(
    `trained on ${corpus.paragraphs.length} paragraphs in ${seconds.toFixed(0)} s\n`,
  );
  if (!isWhole) return evaluate('without related words', corpus, model);
  const origin = { program: programHash(), sources: corpus.hash, sample: sampleDigest(model) };
  const file = writeWeights(model, origin);
  const isNew = !existsSync(path) || !readFileSync(path).equals(file);
  writeFileSync(path, file);
  process.stderr.write(`${isNew ? 'written' : 'unchanged'}: ${path}, ${file.length} bytes\n`);
  const { head, model: read } = readWeights(file, path);
  return evaluate(head.name, corpus, read);
}

main(new Set(process.argv.slice(2)));
