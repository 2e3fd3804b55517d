import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { BundleStatus, ExtFinding, ExtTarget } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { addTargetFlags, withTarget, type TargetFlags } from './ext-target.ts';
import { isRefused, renderFindings } from './ext-view.ts';
import { Exit } from './failure.ts';
import { addExamples } from './flags.ts';
import { note, plural, printDocument } from './output.ts';

interface Verified {
  readonly bundle: string;
  readonly release: string;
  readonly isSound: boolean;
  readonly findings: readonly ExtFinding[];
}

/** `centuria ext verify`. */
export function registerExtVerify(group: Command, context: CliContext): void {
  const command = group
    .command('verify')
    .description('Verify that what runs is what was deployed: files, catalogues, smoke tests.')
    .argument('[name]', 'Of the bundle; all that are live unless given.');
  addExamples(addTargetFlags(command), [
    ['Everything on a machine', 'centuria ext verify --host root@db1'],
  ]).action(async (name: string | undefined, flags: TargetFlags) => {
    const verified = await withTarget(context, flags, {}, ({ target }) => verifyAll(target, name));
    printVerified(context, verified);
    if (verified.some(({ isSound }) => !isSound)) throw new Exit(1);
  });
}

async function verifyAll(target: ExtTarget, name: string | undefined): Promise<Verified[]> {
  const { statusOf, verifyLive } = await import('../ext/ext.ts');
  const { bundles, findings } = await statusOf(target);
  const wanted = bundles.filter((bundle) => name === undefined || bundle.name === name);
  if (name !== undefined && wanted.length === 0) {
    throw new AppError('not_found', `no release of ${name} is live on ${target.host.name}`, {
      remedy: 'centuria ext status shows what there is.',
    });
  }
  const gone = findings.filter(({ level }) => level === 'refuse');
  if (gone.length > 0)
    throw new AppError('ext_failed', gone[0]?.message ?? '', { details: { findings: gone } });
  const verified: Verified[] = [];
  for (const bundle of wanted) {
    const found = await verifyLive(target, expected(bundle), bundle.metadata);
    const { name: own, release } = bundle;
    verified.push({ bundle: own, release, isSound: !isRefused(found), findings: found });
  }
  return verified;
}

/** Each database that has an extension of it has the version that it offers. */
function expected({ release, installed }: BundleStatus) {
  return {
    release,
    needsRestart: [],
    catalogue: installed.map(({ database, name, offered }) => ({
      database,
      extension: name,
      action: 'none' as const,
      to: offered,
    })),
  };
}

function printVerified(context: CliContext, verified: readonly Verified[]): void {
  if (context.format === 'json') {
    printDocument(context, { items: verified }, () => '');
    return;
  }
  if (verified.length === 0)
    note(context, 'Nothing is deployed here. centuria ext deploy does it.');
  for (const each of verified) {
    const { bundle, release, isSound, findings } = each;
    const wrong = findings.filter(({ level }) => level === 'refuse').length;
    printDocument(context, each, () =>
      [
        isSound
          ? `${bundle}: ${release} is live, whole, and works.`
          : `${bundle}: ${release}: ${plural(wrong, 'thing')} is not as deployed.`,
        ...(findings.length === 0 ? [] : [renderFindings(findings, context.stdout.colours)]),
      ].join('\n'),
    );
  }
}
