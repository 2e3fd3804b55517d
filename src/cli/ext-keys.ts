import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { CliContext } from './context.ts';
import { keyFolder } from './ext-target.ts';
import { addExamples } from './flags.ts';
import { printDocument, printRows } from './output.ts';

interface KeyRow {
  readonly keyId: string;
  readonly what: 'own' | 'trusted';
}

/** `centuria ext key` and `centuria ext trust`. */
export function registerExtKeys(group: Command, context: CliContext): void {
  const key = group
    .command('key')
    .description('The key that bundles and packages are signed with here.');
  addExamples(key.command('show').description('List the own key and those that are trusted.'), [
    ['Ids alone', 'centuria ext key show -o jsonl | jq -r .keyId'],
  ]).action(() => showKeys(context));
  addExamples(
    key
      .command('create')
      .description('Make the signing key if there is none, and print the file of its public half.'),
    [['For those who are to trust it', 'scp "$(centuria ext key create)" db1:']],
  ).action(async () => {
    const { openSigningKey, publicKeyName } = await import('../ext/ext.ts');
    const folder = keyFolder(context);
    const { keyId } = await openSigningKey(folder);
    printDocument(context, { keyId, file: join(folder, publicKeyName) }, ({ file }) => file);
  });
  addExamples(
    group
      .command('trust')
      .description('Trust what the key of this file has signed, from now on.')
      .argument('<file>', 'A signing-key.pub, got on a way that you trust.'),
    [['What the build machine signs', 'centuria ext trust build-machine.pub']],
  ).action(async (file: string) => {
    const { trustKey } = await import('../ext/ext.ts');
    const { keyId } = await trustKey(keyFolder(context), resolve(context.cwd, file)).catch(
      (cause: unknown) => {
        if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
        throw new AppError('not_found', `${file} is not there`, { cause });
      },
    );
    printDocument(context, { keyId }, () => `Trusted: ${keyId}`);
  });
}

async function showKeys(context: CliContext): Promise<void> {
  const { publicKeyName, parsePublicKey, readTrustedKeys } = await import('../ext/ext.ts');
  const folder = keyFolder(context);
  const file = join(folder, publicKeyName);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  const own = text === undefined ? undefined : parsePublicKey(text, file).keyId;
  const rows = (await readTrustedKeys(folder)).map(({ keyId }): KeyRow => ({
    keyId,
    what: keyId === own ? 'own' : 'trusted',
  }));
  printRows(context, rows, {
    columns: [
      { title: 'KEY', cell: ({ keyId }) => keyId },
      { title: 'WHAT', cell: ({ what }) => what },
    ],
    empty: 'There is no key. centuria ext key create makes one, centuria ext trust FILE takes one.',
  });
}
