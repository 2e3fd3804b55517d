import { describe, expect, test } from 'vitest';
import type { Package, TsConfig } from './packages.ts';
import { Resolver } from './resolve.ts';

const item = (folder: string, json: Record<string, unknown>): Package => ({
  file: folder === '' ? 'package.json' : `${folder}/package.json`,
  folder,
  name: typeof json['name'] === 'string' ? json['name'] : undefined,
  json,
  text: '',
});

const config: TsConfig = {
  file: 'tsconfig.json',
  folder: '',
  json: {},
  options: {},
  baseUrl: undefined,
  paths: new Map([
    ['@app/*', ['src/*']],
    ['settings', ['src/settings/index.ts']],
  ]),
  bases: [],
  unknown: undefined,
};

const resolver = new Resolver(
  [
    'src/a.ts',
    'src/b.tsx',
    'src/settings/index.ts',
    'src/data.json',
    'src/x.vue',
    'old/lib.js',
    'packages/core/src/index.ts',
    'packages/core/src/deep/one.ts',
    'packages/ui/lib/main.js',
  ],
  [
    item('', { name: 'top', imports: { '#inner/*': './src/*.ts' } }),
    item('packages/core', {
      name: '@x/core',
      exports: { '.': { import: './dist/index.js' }, './deep/*': './dist/deep/*.js' },
    }),
    item('packages/ui', { name: 'ui', main: './lib/main.js' }),
  ],
  [config],
);

describe('an import leads to', () => {
  test.each([
    ['./a', 'src/a.ts'],
    ['./a.js', 'src/a.ts'],
    ['./b.js', 'src/b.tsx'],
    ['./settings', 'src/settings/index.ts'],
    ['../src/data.json', 'src/data.json'],
    ['./x.vue?raw', 'src/x.vue'],
    ['@app/a', 'src/a.ts'],
    ['settings', 'src/settings/index.ts'],
    ['@/a', 'src/a.ts'],
    ['#inner/a', 'src/a.ts'],
    ['@x/core', 'packages/core/src/index.ts'],
    ['@x/core/deep/one', 'packages/core/src/deep/one.ts'],
    ['ui', 'packages/ui/lib/main.js'],
  ])('a file: %s', (specifier, path) => {
    expect(resolver.resolve('src/main.ts', specifier)).toEqual({ kind: 'file', path });
  });

  test.each([
    ['./none', { kind: 'missing', path: 'src/none' }],
    ['../../etc/passwd', { kind: 'outside' }],
    ['node:fs/promises', { kind: 'builtin', name: 'fs/promises' }],
    ['left-pad/index.js', { kind: 'package', name: 'left-pad' }],
    ['@scope/name/sub', { kind: 'package', name: '@scope/name' }],
    ['virtual:pwa', { kind: 'other' }],
    ['https://example.org/x.js', { kind: 'other' }],
    ['@app/none', { kind: 'other' }],
    ['#none', { kind: 'other' }],
  ])('something else: %s', (specifier, target) => {
    expect(resolver.resolve('src/main.ts', specifier)).toEqual(target);
  });
});
