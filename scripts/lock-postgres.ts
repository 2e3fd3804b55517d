/**
 * Writes src/database/postgres-MAJOR.lock.json anew from the mirror that apt is set up with:
 * `node scripts/lock-postgres.ts 17`. Run it when a point release appears, and read the difference.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveLock } from '../src/database/postgres-install.ts';

const major = Number(process.argv[2] ?? '17');
const scratch = await mkdtemp(join(tmpdir(), 'lock-postgres-'));
try {
  const lock = await resolveLock(major, ['amd64', 'arm64'], scratch);
  const file = new URL(`../src/database/postgres-${major}.lock.json`, import.meta.url);
  await writeFile(file, `${JSON.stringify(lock, null, 2)}\n`);
} finally {
  await rm(scratch, { recursive: true });
}
