/** Why an agent does a task that names none, in half a line. */
import type { RoutedView } from '../coordination/coordination.ts';
import { plural } from './output.ts';

/** ` (0.86 of 4; 23 outcomes)`: its probability of success, among how many, and what that stands on. */
export function choiceText({ of, success, basis, evidence }: RoutedView): string {
  if (success === undefined || of === undefined) return '';
  const ground = {
    outcomes: evidence === undefined ? 'outcomes' : plural(Math.round(evidence), 'outcome'),
    definitions: 'by its description',
    nothing: 'nothing is known yet',
  }[basis ?? 'nothing'];
  return ` (${success.toFixed(2)} of ${of}; ${ground})`;
}
