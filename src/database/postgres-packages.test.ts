import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import lock from './postgres-17.lock.json' with { type: 'json' };
import { verifyPackages } from './postgres-packages.ts';
import { isUnpacked } from './postgres-unpack.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'centuria-packages-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const content = Buffer.from('what a mirror sent');
const item = {
  name: 'libcrypt1',
  version: '1:4.4.38-1',
  architecture: 'amd64',
  sha256: createHash('sha256').update(content).digest('hex'),
};

test('a downloaded file with the pinned hash is accepted, under the name that apt gives it', async () => {
  const file = join(folder, 'libcrypt1_1%3a4.4.38-1_amd64.deb');
  await writeFile(file, content);
  expect(await verifyPackages(folder, [item])).toEqual([file]);
});

test('a downloaded file with one other byte is refused, naming the package', async () => {
  const other = Buffer.from(content);
  other.writeUInt8(other.readUInt8(3) ^ 1, 3);
  await writeFile(join(folder, 'libcrypt1_1%3a4.4.38-1_amd64.deb'), other);
  await expect(verifyPackages(folder, [item])).rejects.toMatchObject({
    code: 'postgres_install_failed',
    message: expect.stringContaining('libcrypt1 1:4.4.38-1'),
    details: { reason: 'hash_mismatch', expected: item.sha256 },
  });
});

test('a file that is not there is no success', async () => {
  const absent = { ...item, name: 'libpq5' };
  await expect(verifyPackages(folder, [absent])).rejects.toThrow('libpq5');
});

test('the lock pins the server, its tools and pgvector for both architectures, by hash', () => {
  expect(Object.keys(lock.packages)).toEqual(['amd64', 'arm64']);
  for (const packages of Object.values(lock.packages)) {
    const names = packages.map(({ name }) => name);
    for (const name of [
      'postgresql-17',
      'postgresql-client-17',
      'postgresql-17-pgvector',
      'libc6',
    ]) {
      expect(names).toContain(name);
    }
    expect(packages.filter((each) => !isUnpacked(each))).toEqual([]);
    expect(packages.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256))).toBe(true);
  }
  expect(JSON.stringify(lock)).not.toContain('://');
});
