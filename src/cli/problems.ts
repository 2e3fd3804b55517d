import { relative } from 'node:path';
import type { CliContext } from './context.ts';
import type { Column } from './output.ts';

/** A complaint about a file of agents or workflows. */
interface FileProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly severity?: 'error' | 'warning';
  readonly message: string;
  readonly suggestion?: string;
}

/** Where, how grave, what is wrong and what would be right; the place can be clicked in editors. */
export function problemColumns(context: CliContext): Column<FileProblem>[] {
  const { colours } = context.stdout;
  return [
    {
      title: 'PLACE',
      cell: ({ file, line, column }) => `${nearPath(context.cwd, file)}:${line}:${column}`,
    },
    {
      title: 'SEVERITY',
      cell: ({ severity }) => severity ?? 'error',
      style: (text, { severity }) =>
        severity === 'warning' ? colours.yellow(text) : colours.red(text),
    },
    { title: 'PROBLEM', cell: ({ message }) => message, cut: true },
    { title: 'INSTEAD', cell: ({ suggestion }) => suggestion ?? '', cut: true },
  ];
}

/** A path as it is short to read and can be opened from `cwd`. */
export function nearPath(cwd: string, file: string): string {
  const near = relative(cwd, file);
  return near.startsWith('..') || near === '' ? file : near;
}
