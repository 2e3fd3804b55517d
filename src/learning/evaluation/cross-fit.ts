/** Predictions of rows by models that were not fitted on them. */
import { createHash } from 'node:crypto';
import { AppError } from '../../base/base.ts';

/**
 * Fits a model for each fold on all the others and predicts the fold with it. Rows of one group (a task
 * that was done several times) are in one fold, by the group's hash: the model has never seen any of it.
 * Predictions come in the order of the rows. A row whose group is the only one is refused.
 */
export function crossFit<Row, Prediction>(
  rows: readonly Row[],
  groupOf: (row: Row) => string,
  fit: (rows: readonly Row[]) => (row: Row) => Prediction,
  folds = 5,
): Prediction[] {
  const foldOf = foldsOf(rows.map(groupOf), folds);
  const used = new Set(foldOf);
  if (used.size < 2) {
    throw new AppError('invalid_input', 'all rows are of one group: nothing is left to fit on');
  }
  const models = new Map(
    [...used].map((fold) => [fold, fit(rows.filter((_, index) => foldOf[index] !== fold))]),
  );
  return rows.map((row, index) => {
    const model = models.get(foldOf[index] ?? 0);
    if (model === undefined) throw new AppError('internal', `row ${index + 1} has no fold`);
    return model(row);
  });
}

/** In the order of their hashes the groups go round: folds differ by one group at the most. */
function foldsOf(groups: readonly string[], folds: number): number[] {
  const sorted = [...new Set(groups)]
    .map((group) => ({ group, hash: createHash('sha256').update(group).digest('hex') }))
    .toSorted((a, b) => (a.hash < b.hash ? -1 : 1));
  const fold = new Map(sorted.map(({ group }, index) => [group, index % folds]));
  return groups.map((group) => fold.get(group) ?? 0);
}
