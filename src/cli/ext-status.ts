import type { Command } from 'commander';
import type { BundleStatus, ExtStatus } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { addTargetFlags, withTarget, type TargetFlags } from './ext-target.ts';
import { renderFindings } from './ext-view.ts';
import { Exit } from './failure.ts';
import { addExamples } from './flags.ts';
import { formatAge, oneLine, plural, printDocument, renderTable, type Column } from './output.ts';

type Deployment = ExtStatus['deployments'][number];

/** As many as fit under the bundles; the document has more. */
const mostDeployments = 8;

/** `centuria ext status`. */
export function registerExtStatus(group: Command, context: CliContext): void {
  const command = group
    .command('status')
    .description(
      'Show what is live, what of it has drifted, and what was deployed; exit 1 on drift.',
    );
  addExamples(addTargetFlags(command), [
    ['As a check, every night', 'centuria ext status --host root@db1 -o json > status.json'],
  ]).action(async (flags: TargetFlags) => {
    const status = await withTarget(context, flags, {}, async ({ target }) => {
      const { statusOf } = await import('../ext/ext.ts');
      return await statusOf(target);
    });
    printDocument(context, status, () => renderStatus(context, status));
    if (!isSound(status)) throw new Exit(1);
  });
}

function isSound({ bundles, deployments, findings }: ExtStatus): boolean {
  const settled = new Set<Deployment['state']>(['deployed', 'rolled_back']);
  return (
    bundles.every(({ drift }) => drift.length === 0) &&
    deployments.every(({ state }) => settled.has(state)) &&
    findings.every(({ level }) => level === 'note')
  );
}

export function renderStatus(context: CliContext, status: ExtStatus): string {
  const { bundles, deployments, findings, server, host } = status;
  const { bold, red } = context.stdout.colours;
  const table = <Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string =>
    renderTable(rows, columns, context.stdout.columns, bold);
  const drift = bundles.flatMap(({ name, drift: each }) =>
    each.map(({ kind, message }) => `${red(kind.padEnd(8))}  ${name}: ${oneLine(message)}`),
  );
  const recent = deployments.slice(0, mostDeployments);
  return [
    `PostgreSQL ${server.version}, ${server.architecture}, on ${host}`,
    bundles.length === 0
      ? 'Nothing is deployed here. centuria ext deploy does it.\n'
      : table(bundles, bundleColumns),
    ...(drift.length === 0 ? [] : [`${drift.join('\n')}\n`]),
    ...(recent.length === 0 ? [] : [table(recent, deploymentColumns(context))]),
    ...(findings.length === 0 ? [] : [renderFindings(findings, context.stdout.colours)]),
  ].join('\n');
}

const bundleColumns: readonly Column<BundleStatus>[] = [
  { title: 'BUNDLE', cell: ({ name }) => name },
  { title: 'VERSION', cell: ({ metadata }) => metadata.version },
  { title: 'RELEASE', cell: ({ release }) => release, cut: true },
  { title: 'DATABASES', cell: databasesOf, cut: true },
  {
    title: 'DRIFT',
    cell: ({ drift }) => (drift.length === 0 ? 'none' : plural(drift.length, 'file')),
  },
  { title: 'STALE', cell: staleOf },
];

/** Those that are not at the version of the release say which one they are at. */
function databasesOf({ installed }: BundleStatus): string {
  if (installed.length === 0) return 'none';
  return installed
    .map(({ database, name, version, offered }) =>
      version === offered ? database : `${database} (${name} ${version})`,
    )
    .filter((text, index, all) => all.indexOf(text) === index)
    .join(', ');
}

function staleOf({ stale }: BundleStatus): string {
  if ('unavailable' in stale) return 'unknown';
  return stale.value.length === 0 ? 'none' : plural(stale.value.length, 'backend');
}

function deploymentColumns(context: CliContext): Column<Deployment>[] {
  const { colours } = context.stdout;
  const nowMs = context.clock.nowMs();
  return [
    { title: 'DEPLOYMENT', cell: ({ id }) => id.slice(-8) },
    { title: 'RELEASE', cell: ({ release }) => release, cut: true },
    {
      title: 'STATE',
      cell: ({ state }) => state.replaceAll('_', ' '),
      style: (text, { state }) =>
        state === 'deployed' || state === 'rolled_back' ? text : colours.yellow(text),
    },
    { title: 'LAST STEP', cell: ({ lastStep }) => lastStep },
    { title: 'WHEN', cell: ({ at }) => formatAge(at === '' ? undefined : at, nowMs) },
  ];
}
