/** What extensions are to a database, in a form that can be compared. */
import { createHash } from 'node:crypto';
import type { TargetClient } from './connect.ts';
import { describeMembers } from './fingerprint-queries.ts';

/** A line an object of one extension, or of all, sorted. Two that differ say in what. */
export async function describeExtensions(
  client: TargetClient,
  extension?: string,
): Promise<readonly string[]> {
  const rows = await client.query(describeMembers(extension ?? null));
  return rows.map((row) => `${row.object} = ${row.details}`).toSorted();
}

/** SHA-256 over that, lower-case hexadecimal: the same before a deployment and after its rollback. */
export async function fingerprint(client: TargetClient, extension?: string): Promise<string> {
  const lines = await describeExtensions(client, extension);
  return createHash('sha256').update(JSON.stringify(lines)).digest('hex');
}
