import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { newestGlibc } from './binaries.ts';
import { makeValues } from './debian.ts';
import { libraryNames, parseVersion } from './facts.ts';
import { majorOf, parsePgConfig, pgConfigShim } from './pg-config.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'centuria-shim-')));
afterAll(() => rmSync(folder, { recursive: true }));

const config = {
  BINDIR: '/usr/lib/postgresql/17/bin',
  PKGLIBDIR: '/usr/lib/postgresql/17/lib',
  SHAREDIR: '/usr/share/postgresql/17',
  PKGINCLUDEDIR: '/usr/include/postgresql',
  'INCLUDEDIR-SERVER': '/usr/include/postgresql/17/server',
  PGXS: '/usr/lib/postgresql/17/lib/pgxs/src/makefiles/pgxs.mk',
  CONFIGURE: `'--prefix=/usr' '--with-extra-version= (it''s)' "$HOME" \`id\` \\n %s`,
  CFLAGS_SL: '-fPIC',
  VERSION: 'PostgreSQL 17.6 (Debian 17.6-1)',
};

function layOut(place: string): string {
  mkdirSync(join(place, 'bin'), { recursive: true });
  const shim = join(place, 'bin/pg_config');
  writeFileSync(shim, pgConfigShim(config, { serverHeaders: 'include/17/server' }), {
    mode: 0o755,
  });
  return shim;
}

const place = join(folder, 'a folder');
const shim = layOut(place);
const ask = (...options: string[]): string => execFileSync(shim, options, { encoding: 'utf8' });

test('headers and makefiles are where the package lies, and what is installed goes to the server', () => {
  expect(ask('--includedir-server', '--pgxs', '--pkglibdir', '--sharedir').split('\n')).toEqual([
    join(place, 'include/17/server'),
    join(place, 'pgxs/src/makefiles/pgxs.mk'),
    '/usr/lib/postgresql/17/lib',
    '/usr/share/postgresql/17',
    '',
  ]);
});

test('it finds itself through a link, and wherever it is moved to', () => {
  const other = join(folder, 'other');
  const moved = layOut(other);
  symlinkSync(moved, join(folder, 'link'));
  expect(execFileSync(join(folder, 'link'), ['--includedir'], { encoding: 'utf8' })).toBe(
    `${other}/include\n`,
  );
});

test('without options it lists everything in the form of the real one, character for character', () => {
  const listed = parsePgConfig(ask());
  expect(Object.keys(listed)).toHaveLength(23);
  expect(listed).toMatchObject({
    CONFIGURE: config.CONFIGURE,
    CFLAGS_SL: '-fPIC',
    VERSION: config.VERSION,
    'INCLUDEDIR-SERVER': join(place, 'include/17/server'),
    CC: '',
  });
});

test('an unknown option is refused on stderr, as by the real one', () => {
  const { status, stdout, stderr } = spawnSync(shim, ['--bogus'], { encoding: 'utf8' });
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toContain('invalid argument: --bogus');
  expect(ask('--help')).toContain('--pkglibdir');
});

test('versions are read as servers of all majors print them', () => {
  const at = { binFolder: '/b' };
  expect(parseVersion('postgres (PostgreSQL) 17.12 (Debian 17.12-1)', at)).toEqual({
    version: '17.12',
    versionNumber: 170_012,
    major: 17,
  });
  expect(parseVersion('postgres (PostgreSQL) 19beta2', at).versionNumber).toBe(190_000);
  expect(() => parseVersion('sh: not a server', at)).toThrow('/b/postgres is no server');
  expect(majorOf('PostgreSQL 18devel')).toBe(18);
  expect(majorOf('PostgreSQL 13.16 (Debian 13.16-0+deb11u1)')).toBe(13);
});

test('libraries are those of the architecture of the server, or names of files', () => {
  const lines = [
    "2 libs found in cache `/etc/ld.so.cache'",
    '\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1',
    '\tlibm.so.6 (libc6,x86-64, OS ABI: Linux 3.2.0) => /lib/x86_64-linux-gnu/libm.so.6',
    '\tliba.so.1 (libc6) => /lib/i386-linux-gnu/liba.so.1',
    '\tlibb.so.1 (libc6,AArch64) => /lib/aarch64-linux-gnu/libb.so.1',
    'libc.musl-x86_64.so.1',
    'README',
  ];
  expect(libraryNames(lines, 'x86_64')).toEqual([
    'libz.so.1',
    'libm.so.6',
    'libc.musl-x86_64.so.1',
  ]);
  expect(libraryNames(lines, 'aarch64')).toEqual(['libb.so.1', 'libc.musl-x86_64.so.1']);
});

test('the version of a C library is that of its banner, else of its newest names', () => {
  const banner = 'GNU C Library (Debian GLIBC 2.31-13) stable release version 2.31.\n';
  expect(newestGlibc(Buffer.from(`\0GLIBC_2.30\0${banner}\0`))).toBe('2.31');
  expect(newestGlibc(Buffer.from('\0GLIBC_2.4\0GLIBC_2.30\0GLIBC_2.9\0'))).toBe('2.30');
  expect(newestGlibc(Buffer.from('musl libc'))).toBeUndefined();
});

test('flags come from the makefile without what make adds', () => {
  const makefile = [
    'CPPFLAGS = -D_GNU_SOURCE  -I/usr/include/libxml2',
    'override CPPFLAGS := -I$(includedir_server) $(CPPFLAGS)',
    'CC = gcc',
    'LDFLAGS = $(LDFLAGS_INTERNAL) -Wl,-z,relro  -Wl,--as-needed',
    'LDFLAGS_SL += ',
    'LIBS = -lz -lm ',
    'LIBS := -lpgcommon -lpgport $(LIBS)',
  ].join('\n');
  expect(makeValues(makefile)).toEqual({
    CC: 'gcc',
    CPPFLAGS: '-D_GNU_SOURCE -I/usr/include/libxml2',
    CFLAGS: '',
    CFLAGS_SL: '',
    LDFLAGS: '-Wl,-z,relro -Wl,--as-needed',
    LDFLAGS_EX: '',
    LDFLAGS_SL: '',
    LIBS: '-lpgcommon -lpgport -lz -lm',
  });
});
