import type { Log } from '../base/base.ts';
import type { CliContext } from './context.ts';
import { formatDuration, note, oneLine, truncate } from './output.ts';
import { createTerminalLog } from './terminal-log.ts';

/** What goes on now, on standard error: standard output is for results alone. */
export interface ExtProgress {
  /** A phase: a line of its own where nothing is drawn. */
  phase(text: string): void;
  /** A line of a program: drawn in place on a terminal, printed with -v, else dropped. */
  line(text: string): void;
  clear(): void;
}

export function showExtProgress(context: CliContext): ExtProgress {
  const { stderr } = context;
  const isDrawn = stderr.isTTY && context.format === 'table' && !context.verbose;
  let drawn = false;
  const draw = (text: string): void => {
    stderr.write(`\r\u001B[K${truncate(oneLine(text), (stderr.columns ?? 80) - 1)}`);
    drawn = true;
  };
  const clear = (): void => {
    if (drawn) stderr.write('\r\u001B[K');
    drawn = false;
  };
  return {
    phase(text) {
      if (isDrawn) draw(`${text} …`);
      else if (context.format === 'table') note(context, `${text} …`);
    },
    line(text) {
      if (context.verbose) note(context, oneLine(text));
      else if (isDrawn) draw(text);
    },
    clear,
  };
}

/** A step as it begins and ends; the documents of -o json say the same in their own way. */
export function showSteps(
  context: CliContext,
): (step: string, event: 'begins' | 'ends' | 'fails') => void {
  const progress = showExtProgress(context);
  const { colours } = context.stderr;
  const began = new Map<string, number>();
  const ended = (step: string, mark: string): void => {
    const since = began.get(step) ?? context.clock.monotonicMs();
    began.delete(step);
    const took = formatDuration(context.clock.monotonicMs() - since);
    note(context, `${mark} ${step.padEnd(9)}  ${colours.dim(took)}`);
  };
  return (step, event) => {
    if (context.format !== 'table') return;
    if (event === 'begins') {
      progress.clear();
      // A step whose end nobody has told is the one that failed.
      for (const failed of began.keys()) ended(failed, colours.red('✗'));
      began.set(step, context.clock.monotonicMs());
      // One line a step is enough where nothing is drawn, unless somebody wants to know where it hangs.
      if (context.verbose || context.stderr.isTTY) progress.phase(step);
      return;
    }
    progress.clear();
    ended(step, event === 'ends' ? colours.green('✓') : colours.red('✗'));
  };
}

/** Warnings for people; with -v all that is done. */
export function extLog(context: CliContext): Log {
  return createTerminalLog(
    context,
    () => (context.verbose ? 'debug' : 'warn'),
    () => ({ line: (text) => note(context, text) }),
  );
}
