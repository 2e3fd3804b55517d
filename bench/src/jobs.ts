/**
 * Consensus, competition, a pipeline and redundancy on real jobs, run by the whole product with real
 * programs. The events of one run of each are printed on standard error as `centuria run events` does.
 */
import { measureLint } from './jobs-lint.ts';
import { withJobServer } from './jobs-server.ts';
import type { Measured, MeasureOptions } from './report.ts';

export async function measure({ progress }: MeasureOptions): Promise<Measured[]> {
  return withJobServer(async (server) => {
    progress('three linters vote on a list of defects');
    return measureLint(server, progress);
  });
}
