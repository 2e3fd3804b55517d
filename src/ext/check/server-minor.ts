import type { ElfFacts, ExtFinding, Metadata, ServerFacts } from '../types.ts';

/**
 * The releases of 2024-11-14 made `struct ResultRelInfo` larger, those of 2024-11-21 gave it its former
 * size back (release notes of 17.2, 16.6, 15.10, 14.15, 13.18 and 12.22: "Repair ABI break for extensions
 * that work with struct ResultRelInfo"). So one release of each major stands alone, in both directions.
 */
const outliers: Readonly<Record<number, number>> = { 12: 21, 13: 17, 14: 14, 15: 9, 16: 5, 17: 1 };

/** Functions that are handed a ResultRelInfo, or an array of them, by a caller that knows how large one is. */
const sizedBy: ReadonlySet<string> = new Set([
  'InitResultRelInfo',
  'ExecInitResultRelation',
  'ExecOpenIndices',
  'ExecCloseIndices',
  'ExecInsertIndexTuples',
  'ExecConstraints',
  'ExecSimpleRelationInsert',
  'ExecSimpleRelationUpdate',
  'ExecSimpleRelationDelete',
  'CheckValidResultRel',
]);

/** The minor version that it was built against, and the one that it comes to. */
export function checkMinor(
  target: Metadata['target'],
  facts: ServerFacts,
  libraries: ReadonlyMap<string, ElfFacts>,
): readonly ExtFinding[] {
  if (target.major !== facts.major) return [];
  const built = minorOf(target.version);
  const server = minorOf(facts.version);
  if (built === undefined || server === undefined) {
    const message = `Built against ${target.version}, for ${facts.version}: which is the newer is unknown.`;
    return [{ level: 'note', rule: 'minor-unknown', message }];
  }
  const remedy = `Build it against a package of ${facts.version}.`;
  const outlier = outliers[facts.major];
  if (built !== server && (built === outlier || server === outlier)) {
    const file = [...libraries].find(([, elf]) =>
      [...sizedBy].some((name) => elf.undefined.has(name)),
    );
    const message =
      `Built against ${target.version}, for ${facts.version}: struct ResultRelInfo has another size in ` +
      `${facts.major}.${outlier} than in all others`;
    return file === undefined
      ? [
          {
            level: 'warn',
            rule: 'minor-layout',
            message: `${message}, and no library here calls what takes one.`,
            remedy,
          },
        ]
      : [
          {
            level: 'refuse',
            rule: 'minor-layout',
            message: `${message}, and ${file[0]} calls what takes one.`,
            remedy,
            file: file[0],
          },
        ];
  }
  if (built <= server) return [];
  const message = `Built against ${target.version}, which is newer than the server, ${facts.version}.`;
  return [{ level: 'warn', rule: 'newer-minor', message, remedy }];
}

function minorOf(version: string): number | undefined {
  const minor = /^\d+\.(\d+)/.exec(version)?.[1];
  return minor === undefined ? undefined : Number(minor);
}
