/** What the loader of the target will say of each library of a bundle, known before it is there. */
import { toAppError } from '../../base/base.ts';
import { compareDotted, readElf } from '../elf/elf.ts';
import { readMagic } from '../elf/magic.ts';
import type { Bundle, ElfFacts, ExtFinding, Magic, ServerFacts } from '../types.ts';

export interface LibraryCheck {
  /** Sound libraries by their path. */
  readonly libraries: ReadonlyMap<string, ElfFacts>;
  /** Those that PostgreSQL would take for its own kind. */
  readonly withMagic: ReadonlySet<string>;
  readonly findings: readonly ExtFinding[];
}

/** Names of a list in a message; a count stands for the rest. */
const mostNamed = 5;
/** Of glibc and gcc: all that they offer has a version, so that a name without one is not theirs. */
const alwaysVersioned = /^(?:lib(?:c|m|pthread|dl|rt|util|gcc_s|stdc\+\+)\.so\.\d+|ld-linux.*)$/;
/** What the linker writes for packed relocations, which came with 2.36. */
const packedRelocations = { version: 'GLIBC_ABI_DT_RELR', since: '2.36' };

/**
 * Functions of <math.h>, each also for float (f) and long double (l). Every postgres has libm loaded, so that
 * libraries work that forget -lm; pgvector does, and its acos, log and sqrt then have no version.
 */
const mathFunctions: ReadonlySet<string> = new Set(
  (
    'acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp10 exp2 expm1 fabs ' +
    'fdim floor fma fmax fmin fmod frexp hypot ilogb j0 j1 jn ldexp lgamma llrint llround log log10 log1p ' +
    'log2 logb lrint lround modf nan nearbyint nextafter nexttoward pow remainder remquo rint round ' +
    'roundeven scalb scalbln scalbn sin sincos sinh sqrt tan tanh tgamma trunc y0 y1 yn'
  )
    .split(' ')
    .flatMap((name) => [name, `${name}f`, `${name}l`]),
);

function isLibrary(path: string): boolean {
  return /^lib\/.*\.so(?:\.\d+)*$/.test(path);
}

export function checkLibraries(bundle: Bundle, facts: ServerFacts): LibraryCheck {
  const libraries = new Map<string, ElfFacts>();
  const withMagic = new Set<string>();
  const findings: ExtFinding[] = [];
  for (const [path, bytes] of bundle.files) {
    if (!isLibrary(path)) continue;
    const elf = attempt('corrupt-library', path, findings, () => readElf(bytes, path));
    if (elf === undefined) continue;
    libraries.set(path, elf);
    if (elf.architecture !== facts.architecture) {
      findings.push(wrongArchitecture(path, elf.architecture, facts));
      continue;
    }
    const before = findings.length;
    const magic = attempt('magic-unknown', path, findings, () => readMagic(bytes, path));
    if (magic !== undefined) findings.push(...compareMagic(path, magic, facts.magic));
    if (magic !== undefined || findings.length > before) withMagic.add(path);
  }
  const exported = new Set(facts.exportedSymbols);
  for (const [path, elf] of libraries) {
    if (elf.architecture !== facts.architecture) continue;
    findings.push(
      ...checkGlibc(path, elf, facts),
      ...checkNeeded(path, elf, libraries, facts),
      ...checkSymbols(path, elf, libraries, facts, exported),
      ...checkSearchPaths(path, elf, facts),
    );
  }
  return { libraries, withMagic, findings };
}

/** A file that can not be read becomes a finding. */
function attempt<T>(
  rule: string,
  file: string,
  findings: ExtFinding[],
  read: () => T,
): T | undefined {
  try {
    return read();
  } catch (thrown) {
    const { code, message, remedy } = toAppError(thrown);
    if (code !== 'invalid_input') throw thrown;
    findings.push({
      level: 'refuse',
      rule,
      message,
      file,
      ...(remedy === undefined ? {} : { remedy }),
    });
    return undefined;
  }
}

function wrongArchitecture(file: string, is: string, facts: ServerFacts): ExtFinding {
  return {
    level: 'refuse',
    rule: 'wrong-architecture',
    message: `${file} is for ${is}, the server for ${facts.architecture}.`,
    remedy: `Build it against the package of this server, which says ${facts.architecture}.`,
    file,
  };
}

function compareMagic(file: string, is: Magic, server: Magic): readonly ExtFinding[] {
  if (is.major !== server.major) {
    return [
      {
        level: 'refuse',
        rule: 'wrong-major',
        message: `${file} is for PostgreSQL ${is.major}, the server is ${server.major}.`,
        remedy: `Build it against a package of PostgreSQL ${server.major}.`,
        file,
      },
    ];
  }
  const fields = {
    'magic-abi-extra': [is.abiExtra, server.abiExtra, 'the ABI of'],
    'magic-func-max-args': [is.funcMaxArgs, server.funcMaxArgs, 'FUNC_MAX_ARGS'],
    'magic-index-max-keys': [is.indexMaxKeys, server.indexMaxKeys, 'INDEX_MAX_KEYS'],
    'magic-name-data-length': [is.nameDataLength, server.nameDataLength, 'NAMEDATALEN'],
    'magic-float8-by-value': [is.float8ByValue, server.float8ByValue, 'FLOAT8PASSBYVAL'],
    'magic-size': [is.sizeBytes, server.sizeBytes, 'a magic block of so many bytes:'],
  };
  return Object.entries(fields)
    .filter(([, [mine, theirs]]) => mine !== theirs)
    .map(([rule, [mine, theirs, what]]) => ({
      level: 'refuse',
      rule,
      message: `${file} was built with ${what} ${mine}, the server with ${theirs}.`,
      remedy: 'Build it against the package of this very server: it was configured in its own way.',
      file,
    }));
}

function checkGlibc(file: string, elf: ElfFacts, facts: ServerFacts): readonly ExtFinding[] {
  const findings: ExtFinding[] = [];
  for (const [library, versions] of elf.versions) {
    if (library.startsWith('libstdc++.so') && facts.libraries.includes(library)) {
      const message = `${file} uses the server's ${library} and demands ${versions.join(', ')} of it.`;
      const remedy = 'Link it with -static-libstdc++, or see the rehearsal on the target prove it.';
      findings.push({ level: 'note', rule: 'libstdcxx', message, remedy, file });
    }
    for (const version of versions) {
      const demanded =
        version === packedRelocations.version
          ? packedRelocations.since
          : /^GLIBC_(\d[\d.]*)$/.exec(version)?.[1];
      if (demanded === undefined) continue;
      if (facts.glibc !== undefined && compareDotted(demanded, facts.glibc) <= 0) continue;
      const has = facts.glibc === undefined ? 'no glibc (musl, perhaps)' : `glibc ${facts.glibc}`;
      findings.push({
        level: 'refuse',
        rule: 'glibc-too-new',
        message: `${file} demands ${version} of ${library}, and the server's machine has ${has}.`,
        remedy: 'Build it on a system as old as the server’s, or older, with the same C library.',
        file,
      });
    }
  }
  return findings;
}

/** Where the loader of the target finds a library that another one needs. */
function checkNeeded(
  file: string,
  elf: ElfFacts,
  libraries: ReadonlyMap<string, ElfFacts>,
  facts: ServerFacts,
): readonly ExtFinding[] {
  const refuse = (message: string, remedy: string): ExtFinding => ({
    level: 'refuse',
    rule: 'missing-library',
    message,
    remedy,
    file,
  });
  const beside = elf.searchPaths.some(
    (path) => /^\$(?:ORIGIN|\{ORIGIN\})\/?$/.test(path) || path === facts.paths.libraryFolder,
  );
  return elf.needed.flatMap((name) => {
    if (facts.libraries.includes(name)) return [];
    if (facts.glibc !== undefined && name.startsWith('ld-linux')) return [];
    const inBundle = libraries.has(`lib/${name}`);
    if (!inBundle && !(beside && facts.libraryFiles.includes(name))) {
      return [
        refuse(
          `${file} needs ${name}, which neither the bundle nor the server's machine has.`,
          `Install what has ${name} on the server's machine, or link it statically.`,
        ),
      ];
    }
    if (beside) return [];
    return [
      refuse(
        `${file} needs ${name} of this bundle, but tells the loader no folder to find it in.`,
        "Link it with -Wl,-rpath,'$ORIGIN': both come to lie in the same folder.",
      ),
    ];
  });
}

function checkSymbols(
  file: string,
  elf: ElfFacts,
  libraries: ReadonlyMap<string, ElfFacts>,
  facts: ServerFacts,
  exported: ReadonlySet<string>,
): readonly ExtFinding[] {
  if (exported.size === 0) {
    const message = `What the server offers to ${file} is unknown: its facts list no symbols.`;
    return [{ level: 'warn', rule: 'symbols-unknown', message, file }];
  }
  const others = [...libraries.values()];
  const missing = [...elf.undefined].filter(
    (name) =>
      !exported.has(name) &&
      !mathFunctions.has(name) &&
      !elf.versioned.has(name) &&
      !others.some((other) => other.defined.has(name)),
  );
  if (missing.length === 0) return [];
  const from = elf.needed.find(
    (name) =>
      !alwaysVersioned.test(name) && !elf.versions.has(name) && !libraries.has(`lib/${name}`),
  );
  const names = listed(missing);
  if (from !== undefined) {
    const message = `${file} uses ${names}, which the server does not offer; perhaps ${from} does.`;
    const remedy = 'The rehearsal on the target loads it and shows it.';
    return [{ level: 'warn', rule: 'symbol-unproven', message, remedy, file }];
  }
  return [
    {
      level: 'refuse',
      rule: 'missing-symbol',
      message: `${file} uses ${names}, which neither PostgreSQL ${facts.version} nor the bundle has.`,
      remedy:
        `Build it against a package of this server, or take a release of it for ${facts.major}; ` +
        'link it with what has them if they are from another library.',
      file,
    },
  ];
}

function listed(names: readonly string[]): string {
  const sorted = names.toSorted();
  const more = sorted.length - mostNamed;
  const said = sorted.slice(0, mostNamed).join(', ');
  return more > 0 ? `${said} and ${more} more` : said;
}

function checkSearchPaths(file: string, elf: ElfFacts, facts: ServerFacts): readonly ExtFinding[] {
  const own = new Set([facts.paths.libraryFolder, '/lib', '/usr/lib', '/lib64', '/usr/lib64']);
  return elf.searchPaths
    .filter((path) => !path.startsWith('$') && !own.has(path))
    .map((path) => ({
      level: 'warn',
      rule: 'search-path',
      message: `${file} makes the loader look in ${path} first, a folder of where it was built.`,
      remedy: 'Link it without -rpath: whoever can write there puts code into the server.',
      file,
    }));
}
