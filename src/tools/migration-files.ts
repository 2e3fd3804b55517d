/** Which files are migrations, what of their text goes forward, and whether their tool wraps them in a transaction. */
import { posix } from 'node:path';

const folder =
  /(^|\/)(migrations?|migrate|db\/(deploy|change|versions)|flyway|liquibase|schema_changes)\//i;
const name = /(^|\/)(V?\d{3,}[._-]|V\d+__|\d{4}-\d{2}-\d{2})[^/]*\.sql$/;
const backward =
  /(^|\/)(schema|structure)\.sql$|([._-](down|undo|rollback|revert)\.sql|\/(down|revert|rollback|undo)\/[^/]*|(^|\/)U\d+__[^/]*)$/i;

/** A file that changes a schema forward, by its name or the folder it lies in. */
export function isMigration(path: string): boolean {
  return /\.sql$/i.test(path) && (folder.test(path) || name.test(path)) && !backward.test(path);
}

/** A file that goes backward, or is a dump of the result. */
export function isBackward(path: string): boolean {
  return backward.test(path);
}

/** The order in which migration tools run files: by the numbers in their names, then by name. */
export function migrationOrder(a: string, b: string): number {
  return posix.basename(a).localeCompare(posix.basename(b), 'en', { numeric: true });
}

/** Where the way back begins: dbmate, goose, sql-migrate, golang-migrate in one file, node-pg-migrate. */
const down =
  /^[ \t]*--[ \t]*(migrate:down|\+goose[ \t]+down|\+migrate[ \t]+down|down migration|@down|rollback)\b/im;

/** The text with its way back blanked, so that places stay where they were. */
export function forwardText(text: string): string {
  const at = down.exec(text)?.index;
  return at === undefined ? text : text.slice(0, at) + text.slice(at).replaceAll(/[^\n]/g, ' ');
}

/** Words by which tools are told to run a file without a transaction. */
const noTransaction =
  /^[ \t]*--+!?[ \t]*(\+goose[ \t]+no[ \t]+transaction|\+migrate[ \t]+up[ \t]+notransaction|migrate:up[ \t]+transaction:[ \t]*false|no-?transaction|disable[-_]?(ddl[-_]?)?transaction|atlas:txmode[ \t]+none|executeInTransaction[ \t]*=[ \t]*false|transaction:[ \t]*(false|none))\b/im;

export function saysNoTransaction(text: string): boolean {
  return noTransaction.test(text);
}
