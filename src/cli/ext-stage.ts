import type { Command } from 'commander';
import type { Bundle } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { openBundle, type TrustFlags } from './ext-files.ts';
import { showExtProgress } from './ext-progress.ts';
import { addTargetFlags, withTarget, type TargetFlags } from './ext-target.ts';
import { assertFits } from './ext-view.ts';
import { addExamples } from './flags.ts';
import { printRows } from './output.ts';

interface StagedRow {
  readonly release: string;
  readonly folder: string;
  readonly bundle: string;
  readonly version: string;
}

/** `centuria ext stage`: its standard output is the releases and nothing else. */
export function registerExtStage(group: Command, context: CliContext): void {
  const command = group
    .command('stage')
    .description(
      'Lay bundles out on the target as releases, without switching to them; print them.',
    )
    .argument('<bundle...>', 'What `centuria ext build` has made.')
    .option('--allow-unsigned', 'Take what no trusted key signed.');
  addExamples(addTargetFlags(command), [
    [
      'In the afternoon, for the night',
      'centuria ext stage vector-0.8.0-pg17-x86_64.tar.gz --host db1',
    ],
  ]).action(async (paths: string[], flags: TargetFlags & TrustFlags) => {
    const bundles: Bundle[] = [];
    for (const path of paths) bundles.push(await openBundle(context, path, flags));
    const progress = showExtProgress(context);
    const rows = await withTarget(context, flags, {}, async ({ target, signal }) => {
      const { checkBundle, stage } = await import('../ext/ext.ts');
      const { host, facts, layout } = target;
      assertFits(
        context,
        bundles.flatMap((bundle) =>
          // Whether a name is taken matters when it is switched, not now.
          checkBundle(bundle, facts).filter(({ rule }) => rule !== 'name-clash'),
        ),
      );
      const staged: StagedRow[] = [];
      for (const bundle of bundles) {
        const { name, version } = bundle.metadata;
        progress.phase(`staging ${name} ${version} on ${host.name}`);
        const release = await stage(host, layout, bundle, signal);
        staged.push({ release, folder: `${layout.releases}/${release}`, bundle: name, version });
      }
      return staged;
    }).finally(progress.clear);
    if (context.format === 'table') {
      context.stdout.write(rows.map(({ release }) => `${release}\n`).join(''));
      return;
    }
    printRows(context, rows, { columns: [], empty: '' });
  });
}
