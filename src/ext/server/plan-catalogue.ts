import { AppError } from '../../base/base.ts';
import { updatePath } from '../check/update-path.ts';
import type { CatalogueStep, ServerState } from '../deployment-types.ts';
import type { ExtensionEntry } from '../types.ts';

export interface PlanCatalogueOptions {
  readonly extensions: readonly ExtensionEntry[];
  /** Of the release, without folders: its scripts say which way leads from one version to another. */
  readonly fileNames: readonly string[];
  /** All that take connections by default. */
  readonly databases?: readonly string[];
  /** Extensions to be made where they are not; asks for `databases`. */
  readonly create?: readonly string[];
}

/**
 * What is to be done where, in the order of databases and extensions. On a standby nothing is: its
 * catalogue comes from the primary. Throws `ext_refused` where no scripts lead to the version,
 * `not_found` and `usage` for wrong options.
 */
export function catalogueSteps(
  state: Pick<ServerState, 'databases' | 'installed' | 'isStandby'>,
  { extensions, fileNames, databases, create = [] }: PlanCatalogueOptions,
): CatalogueStep[] {
  const foreign = create.find((name) => !extensions.some((extension) => extension.name === name));
  if (foreign !== undefined) {
    throw new AppError('usage', `“${foreign}” can not be created: the bundle does not hold it`, {
      details: { create, extensions: extensions.map(({ name }) => name) },
    });
  }
  if (create.length > 0 && databases === undefined) {
    throw new AppError('usage', 'in which databases to create extensions is not said', {
      remedy: 'Name the databases.',
    });
  }
  const absent = databases?.find((name) => !state.databases.includes(name));
  if (absent !== undefined) {
    throw new AppError('not_found', `the server has no database “${absent}” to be connected to`, {
      details: { database: absent, databases: state.databases },
    });
  }
  if (state.isStandby) return [];
  return (databases ?? state.databases).flatMap((database) =>
    extensions.flatMap(({ name, version: to }): CatalogueStep[] => {
      const from = state.installed.find(
        (installed) => installed.database === database && installed.name === name,
      )?.version;
      const step = { database, extension: name, to };
      if (from === undefined) return create.includes(name) ? [{ ...step, action: 'create' }] : [];
      if (from === to) return [{ ...step, action: 'none', from }];
      if (updatePath(name, fileNames, from, to) === undefined)
        throw noWay(database, name, from, to);
      const back = updatePath(name, fileNames, to, from);
      if (back === undefined) return [{ ...step, action: 'update', from }];
      return [{ ...step, action: 'update', from, back }];
    }),
  );
}

function noWay(database: string, extension: string, from: string, to: string): AppError {
  return new AppError(
    'ext_refused',
    `no scripts of the bundle lead ${extension} from ${from}, which database “${database}” has, to ${to}`,
    {
      details: { database, extension, from, to },
      remedy: `Add ${extension}--${from}--${to}.sql, or leave the database out.`,
    },
  );
}
