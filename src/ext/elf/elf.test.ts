import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError } from '../../base/base.ts';
import { architectures } from '../types.ts';
import { readElf } from './elf.ts';
import { readMagic } from './magic.ts';

const folder = join(import.meta.dirname, '../../../test/fixtures/elf');
const fixture = (name: string): Buffer => readFileSync(join(folder, `${name}.so`));
/** Bytes of Pg_magic_struct, of the headers of each major version. */
const sizes = { 12: 28, 13: 24, 15: 56, 17: 56, 18: 72 };

test('a library says what it is, what it offers and what it needs', () => {
  for (const architecture of architectures) {
    const facts = readElf(fixture(`${architecture}-17`), 'sample.so');
    expect(facts).toMatchObject({ architecture, soname: 'sample.so', needed: ['libc.so.6'] });
    expect([...facts.defined].toSorted()).toEqual([
      'Pg_magic_func',
      'pg_finfo_sample_sort',
      'sample_sort',
    ]);
    expect([...facts.undefined].toSorted()).toEqual(['errstart_cold', 'qsort']);
    expect(facts.versioned).toEqual(new Map([['qsort', 'libc.so.6']]));
    const oldest = architecture === 'x86_64' ? 'GLIBC_2.2.5' : 'GLIBC_2.17';
    expect(facts.versions).toEqual(new Map([['libc.so.6', [oldest]]]));
    expect(facts.buildId).toMatch(/^[0-9a-f]{40}$/);
  }
});

test('the magic of every layout is read for both architectures', () => {
  for (const architecture of architectures) {
    for (const [major, sizeBytes] of Object.entries(sizes)) {
      expect(readMagic(fixture(`${architecture}-${major}`), 'sample.so')).toEqual({
        sizeBytes,
        major: Number(major),
        funcMaxArgs: 100,
        indexMaxKeys: 32,
        nameDataLength: 64,
        float8ByValue: true,
        abiExtra: sizeBytes >= 56 ? 'PostgreSQL' : '',
        ...(sizeBytes === 72 ? { name: 'sample', version: '1.2' } : {}),
      });
    }
  }
});

test('a library without sections is read the same', () => {
  for (const architecture of architectures) {
    const whole = fixture(`${architecture}-17`);
    const bare = withoutSections(whole);
    expect(readElf(bare, 'sample.so')).toEqual(readElf(whole, 'sample.so'));
    expect(readMagic(bare, 'sample.so')).toEqual(readMagic(whole, 'sample.so'));
  }
});

test('what is no sound library is refused by its name', () => {
  const library = fixture('x86_64-17');
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(library);
    bytes[at] = value;
    return bytes;
  };
  const wrong: readonly [Buffer, RegExp][] = [
    [Buffer.from('#!/bin/sh\nexit 0\n'), /is not an ELF file/],
    [Buffer.alloc(0), /is not an ELF file/],
    [library.subarray(0, 40), /is cut off/],
    [library.subarray(0, library.length - 1), /is cut off: its sections end/],
    [withoutSections(library).subarray(0, 1_000), /is cut off: a segment ends/],
    [changed(4, 1), /is not a 64-bit file/],
    [changed(5, 2), /is not little-endian/],
    [changed(18, 243), /is for machine 243/],
    [changed(16, 1), /neither a shared library nor a program/],
  ];
  for (const [bytes, message] of wrong) {
    const failure = catchAppError(() => readElf(bytes, 'lib/sample.so'));
    expect(failure).toMatchObject({ code: 'invalid_input' });
    expect(failure?.message).toMatch(/^lib\/sample\.so: /);
    expect(failure?.message).toMatch(message);
  }
});

test('whatever is done to a library, it is read or refused as bad input', () => {
  const libraries = architectures.map((architecture) => fixture(`${architecture}-18`));
  const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 12 });
  let refused = 0;
  fc.assert(
    fc.property(fc.constantFrom(...libraries), damage, fc.nat(), (library, changes, cut) => {
      const bytes = Buffer.from(library);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      const left = changes.length % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes;
      for (const read of [readElf, readMagic]) {
        const failure = catchAppError(() => read(left, 'x'));
        if (failure !== undefined) refused += 1;
        expect(failure?.code ?? 'invalid_input').toBe('invalid_input');
      }
    }),
    { numRuns: 600 },
  );
  expect(refused).toBeGreaterThan(200);
});

test('code that does something else gives no magic, but says so', () => {
  const bytes = fixture('x86_64-17');
  // lea rax, [rip + …]; the destination becomes another register.
  const code = bytes.indexOf(Buffer.from('488d05', 'hex'));
  expect(code).toBeGreaterThan(0);
  bytes[code + 2] = 0x0d;
  expect(catchAppError(() => readMagic(bytes, 'lib/x.so'))).toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining('Pg_magic_func has no code that is understood') as string,
  });
});

test('what gcc makes of it with and without optimisation is read', ({ skip }) => {
  if (spawnSync('gcc', ['--version']).status !== 0) skip('gcc is not installed');
  const scratch = mkdtempSync(join(tmpdir(), 'centuria-elf-'));
  try {
    const variants = ['-O0', '-O3', '-O0 -fcf-protection=full -fno-omit-frame-pointer'];
    for (const variant of variants) {
      const file = join(scratch, 'sample.so');
      const words = ['-shared', '-fPIC', '-DMAJOR=18', ...variant.split(' '), '-o', file];
      const built = spawnSync('gcc', [...words, join(folder, 'library.c')], { encoding: 'utf8' });
      expect(built.stderr).toBe('');
      const bytes = readFileSync(file);
      expect(readMagic(bytes, file)).toMatchObject({ major: 18, name: 'sample', version: '1.2' });
      expect(readElf(bytes, file).undefined).toContain('errstart_cold');
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

test('a program of this machine is read, and is no library with magic', () => {
  const bytes = readFileSync('/bin/sh');
  const facts = readElf(bytes, '/bin/sh');
  expect(facts.needed).toContain('libc.so.6');
  expect(facts.undefined.size).toBeGreaterThan(20);
  expect(readMagic(bytes, '/bin/sh')).toBeUndefined();
});

/** As `sstrip` leaves it: e_shoff, e_shentsize and what follows are zero. */
function withoutSections(library: Buffer): Buffer {
  const bare = Buffer.from(library);
  bare.fill(0, 40, 48);
  bare.fill(0, 58, 64);
  return bare;
}

function catchAppError(action: () => unknown): AppError | undefined {
  try {
    action();
    return undefined;
  } catch (failure) {
    if (failure instanceof AppError) return failure;
    throw failure;
  }
}
