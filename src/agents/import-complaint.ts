import type { Problem } from './agents.ts';
import { offsetAt, type Path } from './fields.ts';
import type { Frontmatter } from './frontmatter.ts';

/**
 * What was found in a file that is imported, and what was done about it. An `error` refuses the
 * file, a `warning` says that something of it was left out, a `note` that something was read or
 * written otherwise and nothing is missing.
 */
export interface ImportComplaint {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly severity: 'error' | 'warning' | 'note';
  readonly message: string;
  /** What was done instead; for an error, what would be right. */
  readonly instead?: string;
}

export type Complain = (
  severity: ImportComplaint['severity'],
  path: Path,
  message: string,
  instead?: string,
) => void;

/** Complains about values of a frontmatter by their paths; the complaints are added to `list`. */
export function complainer(
  front: Frontmatter,
  file: string,
  list: ImportComplaint[],
  placeOf: (offset: number) => { line: number; column: number },
): Complain {
  return (severity, path, message, instead) => {
    const place = placeOf(path.length === 0 ? 0 : offsetAt(front, path));
    list.push({ file, ...place, severity, message, ...(instead === undefined ? {} : { instead }) });
  };
}

/** A complaint of the parser as one of the import: what it warns of is kept as it stands. */
export function fromProblem(problem: Problem): ImportComplaint {
  const { file, line, column, message, suggestion } = problem;
  return {
    file,
    line,
    column,
    severity: problem.severity === 'error' ? 'error' : 'note',
    message,
    ...(suggestion === undefined ? {} : { instead: suggestion }),
  };
}
