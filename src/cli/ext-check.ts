import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { Bundle, ExtFinding, ServerFacts } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { openBundle, readFacts, type TrustFlags } from './ext-files.ts';
import { addTargetFlags, withTarget, type TargetFlags } from './ext-target.ts';
import { isRefused, renderFindings } from './ext-view.ts';
import { Exit } from './failure.ts';
import { addExamples } from './flags.ts';
import { printDocument } from './output.ts';

interface CheckFlags extends TargetFlags, TrustFlags {
  readonly pgDevPackage?: string;
}

/** `centuria ext check`. */
export function registerExtCheck(group: Command, context: CliContext): void {
  const command = group
    .command('check')
    .description('Say whether a bundle fits a server: that of a package, or a running one.')
    .argument('<bundle>', 'What `centuria ext build` has made.')
    .option('--pg-dev-package <file>', 'The package of the server: nothing else is asked then.')
    .option('--allow-unsigned', 'Take what no trusted key signed.');
  addExamples(addTargetFlags(command), [
    [
      'Before anything is sent anywhere',
      'centuria ext check vector-0.8.0-pg17-x86_64.tar.gz --pg-dev-package postgresql-17.6-x86_64.tar.gz',
    ],
    ['Against a running server', 'centuria ext check vector-0.8.0-pg17-x86_64.tar.gz --host db1'],
  ]).action(async (path: string, flags: CheckFlags) => {
    if (flags.pgDevPackage !== undefined && flags.host !== undefined) {
      throw new AppError('usage', '--pg-dev-package and --host name two servers', {
        remedy: 'Give one of them.',
      });
    }
    const bundle = await openBundle(context, path, flags);
    const { facts, findings } = await checked(context, bundle, flags);
    const { name, version, target } = bundle.metadata;
    const fits = !isRefused(findings);
    const server = {
      version: facts.version,
      architecture: facts.architecture,
      origin: facts.origin,
    };
    printDocument(context, { bundle: { name, version, target }, server, fits, findings }, () =>
      [
        `${name} ${version}, built for PostgreSQL ${target.version} on ${target.architecture}, ` +
          `${fits ? 'fits' : 'does not fit'} PostgreSQL ${facts.version} of ${facts.origin}.`,
        ...(findings.length === 0 ? [] : [renderFindings(findings, context.stdout.colours)]),
      ].join('\n'),
    );
    if (!fits) throw new Exit(2);
  });
}

async function checked(
  context: CliContext,
  bundle: Bundle,
  flags: CheckFlags,
): Promise<{ facts: ServerFacts; findings: readonly ExtFinding[] }> {
  const { checkBundle } = await import('../ext/ext.ts');
  if (flags.pgDevPackage !== undefined) {
    const facts = await readFacts(context, flags.pgDevPackage, flags);
    return { facts, findings: checkBundle(bundle, facts) };
  }
  return await withTarget(context, flags, {}, async ({ target }) => {
    const { facts, server } = target;
    const names = bundle.metadata.extensions.map(({ name }) => name);
    const { installed } = await server.state();
    const catalogueFunctions = await server.catalogueFunctions(names);
    // That files of this name are there already is for a plan to judge: most often they are our own.
    const findings = checkBundle(bundle, facts, { installed, catalogueFunctions });
    return { facts, findings: findings.filter(({ rule }) => rule !== 'name-clash') };
  });
}
