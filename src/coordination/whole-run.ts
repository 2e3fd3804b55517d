/** A claimed run with all that was written about it. */
import type { ClaimedRow, ClaimedWhole, SignalRow, TurnRow } from './queries.ts';

export interface WholeRun {
  readonly row: ClaimedRow;
  readonly turns: readonly TurnRow[];
  readonly signals: readonly SignalRow[];
}

/** As the claim of a free run gives it. */
export function wholeRun(row: ClaimedWhole): WholeRun {
  const { run_id: runId } = row;
  return {
    row,
    turns: (row.turns ?? []).map(([seq, ms, epoch, body]) => ({
      run_id: runId,
      seq,
      at: new Date(ms),
      epoch: BigInt(epoch),
      body,
    })),
    signals: (row.signals ?? []).map(([id, kind, body]) => ({
      run_id: runId,
      signal_id: id,
      kind,
      body,
    })),
  };
}
