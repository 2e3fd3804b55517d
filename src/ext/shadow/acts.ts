/** What is done on the rehearsal's server: the old state, a fresh one, the update and the way back. */
import type { ExtensionEntry, ExtFinding } from '../types.ts';
import { createDatabase, createExtension, updateExtension } from './commands.ts';
import { selectPath, selectVersions } from './queries.ts';
import { inSession, refusal, type Session, type SessionOptions } from './sessions.ts';
import type { ShadowServer } from './shadow-server.ts';
import { describeDifference, inOrderOfNeed, smokeFor, type InstalledSet } from './versions.ts';

/** What one update came to. */
export interface RehearsedUpdate {
  readonly extension: string;
  readonly from: string;
  readonly to: string;
  /** Databases of the live server that it stands for. */
  readonly databases: readonly string[];
  /** `differs`: the way back leaves another catalogue than the one before. */
  readonly back: 'same' | 'differs' | 'fails' | 'none';
}

/** What all acts share. */
export interface Act {
  readonly shadow: ShadowServer;
  readonly session: SessionOptions;
  readonly extensions: readonly ExtensionEntry[];
  readonly smoke: ReadonlyMap<string, string>;
  readonly findings: ExtFinding[];
  /** For the message when the server dies of it: `updating vector to 0.8.0`. */
  doing: string;
}

/** Members of extensions, by extension and then by object. */
type Members = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** A set of installed versions, made in a database of its own with the live files. */
export interface OldSet extends InstalledSet {
  readonly database: string;
  /** Without those that the live files can not make any more. */
  readonly before: Members;
}

/** Makes each set with the files as they are now. What can't be made is a warning: it isn't new code. */
export async function makeOld(act: Act, sets: readonly InstalledSet[]): Promise<OldSet[]> {
  const { shadow, session, findings } = act;
  const made: OldSet[] = [];
  for (const [at, set] of sets.entries()) {
    const database = `updated_${at + 1}`;
    await inSession(shadow, 'postgres', session, ({ script }) => script(createDatabase(database)));
    const before = await inSession(shadow, database, session, async (client) => {
      const members = new Map<string, ReadonlyMap<string, string>>();
      for (const { name, version } of await orderOf(client, set.versions)) {
        act.doing = `making ${name} ${version} with the live files`;
        try {
          await client.script(createExtension(name, version));
        } catch (error) {
          const what = `the live files can not make ${name} ${version}, so its update was not rehearsed`;
          const rule = 'update-not-rehearsed';
          findings.push({ ...refusal(error, { what, rule }), level: 'warn' });
          continue;
        }
        members.set(name, await client.members(name));
      }
      return members;
    });
    made.push({ ...set, database, before });
  }
  return made;
}

/** Makes every extension of the release at its version, with the new files, where there was none. */
export async function makeFresh(act: Act): Promise<Members> {
  const { shadow, session, extensions, findings } = act;
  return await inSession(shadow, 'postgres', session, async (client) => {
    const made = new Map<string, ReadonlyMap<string, string>>();
    for (const { name, version } of await orderOf(client, extensions)) {
      act.doing = `creating ${name} ${version}`;
      try {
        await client.script(createExtension(name, version));
      } catch (error) {
        const what = `${name} ${version} can not be created`;
        findings.push(refusal(error, { what, rule: 'create-fails', remedy: mendScript }));
        continue;
      }
      made.set(name, await client.members(name));
    }
    await prove(act, client, [...made.keys()], 'created');
    return made;
  });
}

const mendScript = 'Mend the extension’s script or library, and build it again.';

/** Updates a set with the new files, proves it, and goes back. Returns the updates that succeeded. */
export async function update(act: Act, set: OldSet, fresh: Members): Promise<RehearsedUpdate[]> {
  const { shadow, session, extensions } = act;
  return await inSession(shadow, set.database, session, async (client) => {
    const old = new Map(set.versions.map(({ name, version }) => [name, version]));
    const toUpdate = extensions.filter(({ name }) => set.before.has(name));
    const updated: ExtensionEntry[] = [];
    for (const entry of await orderOf(client, toUpdate)) {
      if (await updateOne(act, client, entry, old.get(entry.name) ?? '', fresh)) {
        updated.push(entry);
      }
    }
    await prove(
      act,
      client,
      updated.map(({ name }) => name),
      'updated',
    );
    const done: RehearsedUpdate[] = [];
    for (const { name, version } of updated.toReversed()) {
      const from = old.get(name) ?? '';
      const before = set.before.get(name) ?? new Map<string, string>();
      const back = await goBack(act, client, { name, from, to: version, before });
      done.unshift({ extension: name, from, to: version, databases: set.databases, back });
    }
    return done;
  });
}

async function updateOne(
  act: Act,
  client: Session,
  { name, version }: ExtensionEntry,
  from: string,
  fresh: Members,
): Promise<boolean> {
  act.doing = `updating ${name} from ${from} to ${version}`;
  const path = `${name} ${from} → ${version}`;
  try {
    if (from !== version) await client.script(updateExtension(name, version));
  } catch (error) {
    const remedy = 'Mend the update script, or ship the ones that are missing on the way.';
    act.findings.push(refusal(error, { what: `${path} fails`, rule: 'update-fails', remedy }));
    return false;
  }
  const expected = fresh.get(name);
  if (expected === undefined) return true;
  const difference = describeDifference(await client.members(name), expected);
  if (difference === undefined) return true;
  const how = from === version ? 'is other than a fresh one' : 'is other than a fresh install';
  act.findings.push({
    level: 'warn',
    rule: 'update-differs',
    message: `${path} ${how}: ${difference}`,
    remedy: 'Mend the update script, so that both ways lead to the same extension.',
  });
  return true;
}

/** The smoke SQL of the extensions that are there, in a transaction that is rolled back. */
async function prove(
  act: Act,
  client: Session,
  present: readonly string[],
  how: 'created' | 'updated',
): Promise<void> {
  for (const [file, text] of smokeFor(act.smoke, act.extensions, present)) {
    act.doing = `running ${file} (${how})`;
    try {
      await client.script('begin');
      await client.script(text);
    } catch (error) {
      const what = `${file} fails on the ${how} extension`;
      const remedy = 'Mend the extension, or its smoke SQL where that is wrong.';
      act.findings.push(refusal(error, { what, rule: 'smoke-fails', remedy, file }, text));
    } finally {
      // Fails only where the session is gone, of which the statement before has told.
      await client.script('rollback').catch(() => undefined);
    }
  }
}

/** A way back is a convenience of the extension: that it's missing or imperfect stops no deployment. */
async function goBack(
  act: Act,
  client: Session,
  way: {
    readonly name: string;
    readonly from: string;
    readonly to: string;
    readonly before: ReadonlyMap<string, string>;
  },
): Promise<RehearsedUpdate['back']> {
  const { name, from, to, before } = way;
  if (from !== to) {
    const [row] = await client.query(selectPath(name, to, from));
    if ((row?.path ?? null) === null) return 'none';
  }
  const path = `${name} ${to} → ${from}, the way back,`;
  act.doing = `going back with ${name} from ${to} to ${from}`;
  try {
    if (from !== to) await client.script(updateExtension(name, from));
  } catch (error) {
    const finding = refusal(error, { what: `${path} fails`, rule: 'way-back-fails' });
    act.findings.push({ ...finding, level: 'warn' });
    return 'fails';
  }
  const difference = describeDifference(await client.members(name), before);
  if (difference === undefined) return 'same';
  const message = `${path} leaves another catalogue than the one before: ${difference}`;
  act.findings.push({ level: 'warn', rule: 'way-back-differs', message });
  return 'differs';
}

async function orderOf(
  client: Session,
  entries: readonly ExtensionEntry[],
): Promise<ExtensionEntry[]> {
  if (entries.length < 2) return [...entries];
  const rows = await client.query(selectVersions(entries.map(({ name }) => name)));
  return inOrderOfNeed(entries, rows);
}
