import { expect, test } from 'vitest';
import type { LockedPackage } from './locked-package.ts';
import { readBunLock, readNpmLock, readPnpmLock, readYarnLock } from './locks-npm.ts';
import { readCargoLock, readComposerLock, readGemfileLock, readGoMod } from './locks-other.ts';
import { readPipfileLock, readPythonLock, readRequirements } from './locks-python.ts';

const none = () => undefined;
const brief = (list: readonly LockedPackage[]) =>
  list.map(
    (item) => `${item.line} ${item.name}@${item.version} ${item.source} ${item.hashes.length}`,
  );

test('npm: workspaces and links are left out; what is nested keeps its name', () => {
  const text = JSON.stringify(
    {
      lockfileVersion: 3,
      packages: {
        '': { name: 'top' },
        'packages/a': { version: '1.0.0' },
        'node_modules/a': { link: true, resolved: 'packages/a' },
        'node_modules/@s/b': {
          version: '1.2.3',
          resolved: 'https://r.example.org/@s/b/-/b-1.2.3.tgz',
          integrity: 'sha512-AA==',
          license: 'MIT',
          dev: true,
        },
        'node_modules/@s/b/node_modules/c': {
          version: '2.0.0',
          resolved: 'git+ssh://git@example.org/c.git#0123',
          bin: { see: 'x' },
          peerDependencies: { d: '*' },
        },
      },
    },
    undefined,
    2,
  );
  const found = readNpmLock(text, 'package-lock.json', none);
  expect(brief(found)).toEqual(['14 @s/b@1.2.3 registry 1', '21 c@2.0.0 git 0']);
  expect(found[0]).toMatchObject({ isDev: true, licence: 'MIT' });
  expect(found[1]).toMatchObject({
    programs: ['see'],
    peers: ['d'],
    address: 'git+ssh://example.org/c.git#0123',
  });
});

test('npm before 7: the tree is walked', () => {
  const text =
    '{\n "dependencies": {\n  "a": {\n   "version": "1.0.0",\n   "dependencies": {\n    "b": {\n "version": "2.0.0"}}}}}';
  expect(brief(readNpmLock(text, '', none))).toEqual([
    '3 a@1.0.0 registry 0',
    '6 b@2.0.0 registry 0',
  ]);
});

test.each([
  ['9.0', "'@s/a@1.0.0':", 'b@2.0.0(c@1):'],
  ['6.0', '/@s/a@1.0.0:', '/b@2.0.0(c@1):'],
  ['5.4', '/@s/a/1.0.0:', '/b/2.0.0_c@1:'],
])('pnpm %s', (version, a, b) => {
  const text = `lockfileVersion: '${version}'\npackages:\n  ${a}\n    resolution: {integrity: sha512-AA==}\n  ${b}\n    resolution: {tarball: https://example.org/b.tgz}\n`;
  expect(brief(readPnpmLock(text, '', none))).toEqual([
    '3 @s/a@1.0.0 registry 1',
    '5 b@2.0.0 url 0',
  ]);
});

test('Yarn 1 and Yarn 4', () => {
  const classic =
    '# yarn lockfile v1\n\n"@s/a@^1.0.0", "@s/a@^1.1.0":\n  version "1.1.0"\n  resolved "https://r.example.org/@s/a/-/a-1.1.0.tgz#0123456789012345678901234567890123456789"\n  integrity sha512-AA==\n\nb@^2:\n  version "2.0.0"\n  dependencies:\n    version "9"\n';
  expect(brief(readYarnLock(classic, '', none))).toEqual([
    '3 @s/a@1.1.0 registry 1',
    '8 b@2.0.0 registry 0',
  ]);
  const berry =
    '__metadata:\n  version: 8\n\n"@s/a@npm:^1.0.0":\n  version: 1.1.0\n  resolution: "@s/a@npm:1.1.0"\n  checksum: 10/ab\n\n"top@workspace:.":\n  version: 0.0.0\n  resolution: "top@workspace:."\n';
  expect(brief(readYarnLock(berry, '', none))).toEqual(['4 @s/a@1.1.0 registry 1']);
});

test('Bun', () => {
  const text =
    '{\n  "packages": {\n    "a": ["a@1.0.0", "", { "bin": { "x": "y" } }, "sha512-AA=="],\n    "w": ["w@workspace:w"],\n  },\n}\n';
  expect(brief(readBunLock(text, '', none))).toEqual(['3 a@1.0.0 registry 1']);
});

test('requirements: pins, open ranges, hashes over lines, addresses', () => {
  const text =
    '# c\nDjango==4.2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nrequests>=2 # any\n-r other.txt\n./local\nx @ git+https://u:t@example.org/x.git@main\nfoo[bar]==1.0; python_version < "3.9"\n';
  const found = readRequirements(text, 'requirements.txt', none);
  expect(brief(found)).toEqual([
    '2 django@4.2 registry 2',
    '5 requests@undefined registry 0',
    '8 x@undefined git 0',
    '9 foo@1.0 registry 0',
  ]);
  expect(found[2]?.address).toBe('git+https://example.org/x.git@main');
});

test('Poetry, uv and Pipenv', () => {
  const toml =
    '[[package]]\nname = "Foo_Bar"\nversion = "1.0"\nfiles = [{file = "a", hash = "sha256:aa"}]\n\n[[package]]\nname = "me"\nversion = "0"\nsource = { virtual = "." }\n\n[[package]]\nname = "g"\nversion = "1"\nsource = { git = "https://example.org/g?rev=1#abc" }\n';
  expect(brief(readPythonLock(toml, '', none))).toEqual([
    '2 foo-bar@1.0 registry 1',
    '12 g@1 git 0',
  ]);
  const pipfile = JSON.stringify(
    {
      default: { a: { version: '==1.0', hashes: ['sha256:a'] } },
      develop: { b: { version: '==2' } },
    },
    undefined,
    4,
  );
  expect(
    readPipfileLock(pipfile, '', none).map(({ name, version, isDev }) => [name, version, isDev]),
  ).toEqual([
    ['a', '1.0', false],
    ['b', '2', true],
  ]);
});

test('Go takes its hashes from go.sum', () => {
  const mod =
    'module m\n\ngo 1.22\n\nrequire (\n\texample.org/a v1.0.0\n\texample.org/b v0.1.0 // indirect\n)\nrequire example.org/c v2.0.0\n';
  const sum = 'example.org/a v1.0.0 h1:AA=\nexample.org/a v1.0.0/go.mod h1:BB=\n';
  expect(brief(readGoMod(mod, 'go.mod', (name) => (name === 'go.sum' ? sum : undefined)))).toEqual([
    '6 example.org/a@v1.0.0 registry 1',
    '7 example.org/b@v0.1.0 registry 0',
    '9 example.org/c@v2.0.0 registry 0',
  ]);
});

test('Cargo, Bundler and Composer', () => {
  const cargo =
    '[[package]]\nname = "me"\nversion = "0.1.0"\n\n[[package]]\nname = "serde"\nversion = "1.0.1"\nsource = "registry+https://example.org/index"\nchecksum = "aa"\n';
  expect(brief(readCargoLock(cargo, '', none))).toEqual(['6 serde@1.0.1 registry 1']);
  const gem =
    'GIT\n  remote: https://example.org/x.git\n  revision: abc\n  specs:\n    x (1.0)\n      rake\n\nGEM\n  remote: https://example.org/\n  specs:\n    rake (13.0.6)\n';
  expect(brief(readGemfileLock(gem, '', none))).toEqual([
    '5 x@1.0 git 0',
    '11 rake@13.0.6 registry 0',
  ]);
  expect(readGemfileLock(gem, '', none)[0]?.address).toBe('git+https://example.org/x.git#abc');
  const composer = JSON.stringify(
    {
      packages: [
        { name: 'v/p', version: '1.0', license: ['MIT', 'GPL-2.0-only'], dist: { shasum: 'ab' } },
      ],
      'packages-dev': [],
    },
    undefined,
    2,
  );
  expect(readComposerLock(composer, '', none)).toMatchObject([
    { name: 'v/p', line: 4, licence: 'MIT OR GPL-2.0-only', isDev: false, hashes: ['sha1:ab'] },
  ]);
});
