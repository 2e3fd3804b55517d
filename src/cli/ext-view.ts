/** Plans, findings and their like, for people. */
import { AppError } from '../base/base.ts';
import type { CatalogueStep, ExtFinding, Plan } from '../ext/ext.ts';
import type { CliContext, Colours } from './context.ts';
import { note, oneLine, plural } from './output.ts';

/** Names of one kind that are shown; `-v` and the document have them all. */
const mostNames = 8;

/** Each with what would put it right; those that refuse first. */
export function renderFindings(findings: readonly ExtFinding[], colours: Colours): string {
  const styles = { refuse: colours.red, warn: colours.yellow, note: colours.dim };
  return (['refuse', 'warn', 'note'] as const)
    .flatMap((level) => findings.filter((finding) => finding.level === level))
    .flatMap(({ level, rule, message, remedy, file, line }, index, sorted) => {
      const place =
        file === undefined || message.includes(file)
          ? ''
          : `${file}${line === undefined ? '' : `:${line}`}: `;
      return [
        `${styles[level](level.padEnd(6))}  ${rule}: ${oneLine(place + message)}`,
        // What mends several in a row is said once, below the last of them.
        ...(remedy === undefined || sorted[index + 1]?.remedy === remedy
          ? []
          : [`        ${colours.cyan('→')} ${oneLine(remedy)}`]),
      ];
    })
    .join('\n');
}

export interface PlanView {
  readonly colours: Colours;
  readonly verbose: boolean;
}

/** What a deployment would do, in the order in which it would do it. */
export function renderPlan(plan: Plan, { colours, verbose }: PlanView): string {
  const { bundle, host, server, release, from } = plan;
  const lines = [
    colours.bold(`${bundle.name} ${bundle.version} to PostgreSQL ${server.version} on ${host}`),
    `  release    ${release}${from === release ? ', which is live already' : ''}`,
    ...(from === undefined || from === release ? [] : [`  instead of ${from}`]),
    ...names(
      'keeps',
      plan.adopted.map(({ path }) => path),
      verbose,
    ),
    ...names('adds', plan.added, verbose),
    ...names('changes', plan.changed, verbose),
    ...names('removes', plan.removed, verbose),
    ...plan.needsRestart.map((name) => `  restart    for ${name}, a preloaded library`),
    ...plan.catalogue.map(catalogueLine),
    ...(plan.catalogue.length === 0 ? ['  catalogue  no database has it: nothing to update'] : []),
    ...staleLines(plan),
  ];
  if (plan.findings.length > 0) lines.push(renderFindings(plan.findings, colours));
  return lines.join('\n');
}

function names(what: string, all: readonly string[], verbose: boolean): string[] {
  if (all.length === 0) return [];
  const shown = verbose ? all : all.slice(0, mostNames);
  const rest = all.length - shown.length;
  return [
    `  ${what.padEnd(9)}  ${shown.join(', ')}${rest > 0 ? ` and ${plural(rest, 'file')} more` : ''}`,
  ];
}

function catalogueLine({ database, extension, action, from, to, back }: CatalogueStep): string {
  const name = `  catalogue  ${database}: `;
  if (action === 'none') return `${name}${extension} is ${to} already`;
  if (action === 'create') return `${name}create ${extension} ${to}; back: it is dropped again`;
  const way = back === undefined ? 'no way back' : `back: ${back.join(' → ')}`;
  return `${name}update ${extension} ${from ?? '?'} → ${to}; ${way}`;
}

function staleLines({ stale }: Plan): string[] {
  if ('unavailable' in stale) return [`  backends   can not be looked at: ${stale.unavailable}`];
  if (stale.value.length === 0) return [];
  const pids = stale.value.map(({ pid }) => pid).join(', ');
  return [`  backends   ${pids} run an older library even now`];
}

/** What stands against it, if anything does, on standard error. */
export function tellFindings(context: CliContext, findings: readonly ExtFinding[]): void {
  if (context.format !== 'table' || findings.length === 0) return;
  note(context, renderFindings(findings, context.stderr.colours));
}

/** Those of an error's details; one from elsewhere has none. */
export function findingsOf(details: Readonly<Record<string, unknown>>): readonly ExtFinding[] {
  const { findings } = details;
  return Array.isArray(findings) ? (findings as ExtFinding[]) : [];
}

export function isRefused(findings: readonly ExtFinding[]): boolean {
  return findings.some(({ level }) => level === 'refuse');
}

/** Tells all that stands against it and throws `ext_refused`, before anything is written. */
export function assertFits(context: CliContext, findings: readonly ExtFinding[]): void {
  const refusals = findings.filter(({ level }) => level === 'refuse');
  if (refusals.length === 0) return;
  tellFindings(context, refusals);
  throw refused(refusals);
}

/** After all of it was told. */
export function refused(refusals: readonly ExtFinding[]): AppError {
  const rules = [...new Set(refusals.map(({ rule }) => rule))].join(', ');
  return new AppError(
    'ext_refused',
    `refused for ${plural(refusals.length, 'reason')} (${rules}); nothing was written`,
    {
      details: { findings: refusals },
      remedy: 'Each reason has its remedy above; the guide docs/guides/extensions.md lists them.',
    },
  );
}
