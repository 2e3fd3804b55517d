/** A file of questions, measured and told: what `learn evaluate --data` does. */
import type { Embedder } from '../types.ts';
import { readRoutingData } from './routing-data.ts';
import { evaluateRouting, type RoutingEvaluation } from './routing-evaluation.ts';
import { verdicts, writeRoutingReport } from './routing-report.ts';
import { routerLearner } from './router-learner.ts';

export interface EvaluateFileOptions {
  /** CSV or JSON lines, as `readRoutingData` has them. */
  readonly data: string;
  /** Folder of the report; made if it is not there. `learn-report` unless given. */
  readonly out?: string;
  /** 5 unless given. */
  readonly seeds?: number;
  readonly resamples?: number;
  readonly embedder: Embedder;
  readonly signal?: AbortSignal;
  progress?(text: string): void;
}

export interface EvaluatedFile {
  readonly evaluation: RoutingEvaluation;
  /** What the figures mean, a sentence a learner, in Markdown. */
  readonly verdicts: readonly string[];
  /** Paths of what was written. */
  readonly files: readonly string[];
}

/** Needs neither a server nor a database. Throws what reading and measuring throw, by file, line and column. */
export async function evaluateFile(options: EvaluateFileOptions): Promise<EvaluatedFile> {
  const { data: path, out = 'learn-report', ...rest } = options;
  const data = await readRoutingData(path);
  const evaluation = await evaluateRouting({ ...rest, data, learners: [routerLearner()] });
  const files = await writeRoutingReport(evaluation, out);
  return { evaluation, verdicts: verdicts(evaluation), files };
}
