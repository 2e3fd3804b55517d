import type { CliContext } from './context.ts';

/** Facts about one thing, one a line, under names of one width. */
export function renderFacts(
  context: CliContext,
  facts: readonly (readonly [string, string])[],
): string {
  const { bold } = context.stdout.colours;
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${bold(name.padEnd(width))}  ${value}`).join('\n');
}
