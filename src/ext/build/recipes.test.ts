import { expect, test } from 'vitest';
import { assertSettings, cmakeRecipe, pgxsRecipe, type RecipeOptions } from './recipes.ts';

const options: RecipeOptions = {
  workFolder: '/w',
  installFolder: '/w/install',
  pgConfig: '/p/bin/pg_config',
  architecture: 'aarch64',
  isCross: true,
  toolchain: {
    cc: '/w/tools/cc',
    cxx: '/w/tools/c++',
    ar: 'aarch64-linux-gnu-ar',
    ranlib: 'aarch64-linux-gnu-ranlib',
    strip: 'aarch64-linux-gnu-strip',
    version: 'gcc 12',
    dropped: [],
  },
  settings: { OPTFLAGS: '' },
  jobs: 2,
};

test('make gets the package, the compilers and the settings, and installs below a folder', () => {
  const [clean, all, install] = pgxsRecipe(options).steps;
  expect(clean?.must).toBe(false);
  expect(all?.words.slice(0, 5)).toEqual(['make', '-C', '/w/source', '-j2', 'all']);
  for (const word of [
    'PG_CONFIG=/p/bin/pg_config',
    'with_llvm=no',
    'CC=/w/tools/cc',
    'OPTFLAGS=',
  ]) {
    expect(all?.words).toContain(word);
    expect(install?.words).toContain(word);
  }
  expect(install?.words).toContain('DESTDIR=/w/install');
});

test('CMake gets a toolchain file, which names the other system only when crossing', () => {
  const { files, steps } = cmakeRecipe(options);
  const text = files['toolchain.cmake'] ?? '';
  expect(text).toContain('set(CMAKE_SYSTEM_PROCESSOR aarch64)');
  expect(text).toContain('set(CMAKE_C_COMPILER [==[/w/tools/cc]==])');
  expect(steps[0]?.words).toContain('-DCMAKE_TOOLCHAIN_FILE=/w/toolchain.cmake');
  expect(steps[0]?.words).toContain('-DOPTFLAGS=');
  const native = cmakeRecipe({ ...options, architecture: 'x86_64', isCross: false });
  expect(native.files['toolchain.cmake']).not.toContain('CMAKE_SYSTEM_NAME');
});

test('a setting is a name with a value of one line, and none that the build decides', () => {
  expect(() => assertSettings({ OPTFLAGS: '-O3 -g', 'CFLAGS.x': '' })).not.toThrow();
  expect(() => assertSettings({ PG_CONFIG: '/usr/bin/pg_config' })).toThrow('decided by the build');
  expect(() => assertSettings({ '-f': 'x' })).toThrow('no name');
  expect(() => assertSettings({ A: 'x\ninstall:' })).toThrow('no name');
});
