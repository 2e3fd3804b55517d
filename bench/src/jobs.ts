/**
 * Consensus, competition, a pipeline and redundancy on real jobs, run by the whole product with real
 * programs. Their events are printed on standard error as `centuria run events` prints them.
 */
import { measureLint } from './jobs-lint.ts';
import { measurePipeline } from './jobs-pipeline.ts';
import { measureRedundancy } from './jobs-redundant.ts';
import { measureSearch } from './jobs-search.ts';
import { withJobServer } from './jobs-server.ts';
import type { Measured, MeasureOptions } from './report.ts';

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  return withJobServer(async (server) => {
    progress('three linters vote on a list of defects');
    const lint = await measureLint(server, progress);
    progress('two searchers race');
    const search = await measureSearch(server, repeats, progress);
    progress('a pipeline of three stages');
    const pipeline = await measurePipeline(server, progress);
    progress('redundant agents');
    return [...lint, ...search, ...pipeline, ...(await measureRedundancy(server, progress))];
  });
}
