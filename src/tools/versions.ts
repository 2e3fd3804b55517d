/** Versions by the rules of Semantic Versioning 2.0.0, as far as comparing them goes. */

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** Empty for a release. */
  readonly pre: readonly string[];
}

const pattern = /^v?(\d+)\.(\d+)\.(\d+)(?:-([\w.-]+))?(?:\+[\w.-]+)?$/;

export function parseVersion(text: string): Version | undefined {
  const found = pattern.exec(text.trim());
  if (found === null) return undefined;
  const [, major, minor, patch, pre] = found;
  return {
    major: Number(major),
    minor: Number(minor),
    patch: Number(patch),
    pre: pre === undefined ? [] : pre.split('.'),
  };
}

export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch || comparePre(a.pre, b.pre);
}

/** A release is above its candidates; numbers are below words (section 11). */
function comparePre(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  for (const [at, left] of a.entries()) {
    const right = b[at];
    if (right === undefined) return 1;
    const [isLeft, isRight] = [/^\d+$/.test(left), /^\d+$/.test(right)];
    if (isLeft && isRight && left !== right) return Number(left) - Number(right);
    if (isLeft !== isRight) return isLeft ? -1 : 1;
    if (left !== right) return left < right ? -1 : 1;
  }
  return a.length - b.length;
}

export type Step = 'major' | 'minor' | 'patch' | 'pre';

/** Which part a step raises. Of a 0.x the second number stands for what breaks (section 4). */
export function stepBetween(from: Version, to: Version): Step {
  if (to.major !== from.major) return 'major';
  if (to.minor !== from.minor) return from.major === 0 ? 'major' : 'minor';
  return to.patch === from.patch ? 'pre' : 'patch';
}

/**
 * Whether a version is in a range of npm: `^`, `~`, comparisons, `x`, hyphens and `||`. Undefined for a
 * range that is none (a tag, an address), since nothing is known then.
 */
export function satisfies(version: Version, range: string): boolean | undefined {
  const results = new Set(range.split('||').map((part) => satisfiesAll(version, part.trim())));
  if (results.has(true)) return true;
  return results.has(undefined) ? undefined : false;
}

function satisfiesAll(version: Version, range: string): boolean | undefined {
  const hyphen = /^(\S+)\s+-\s+(\S+)$/.exec(range);
  const parts =
    hyphen === null
      ? range.replaceAll(/([<>=~^]+)\s+/g, '$1').split(/\s+/)
      : [`>=${hyphen[1]}`, `<=${hyphen[2]}`];
  let all = true;
  for (const part of parts) {
    const bounds = boundsOf(part);
    if (bounds === undefined) return undefined;
    all &&= within(version, bounds);
  }
  return all;
}

interface Bounds {
  readonly from: Version;
  /** Exclusive. */
  readonly to: Version | undefined;
}

function within(version: Version, { from, to }: Bounds): boolean {
  return (
    compareVersions(version, from) >= 0 && (to === undefined || compareVersions(version, to) < 0)
  );
}

/** The lowest version that a range names; undefined where it names none. */
export function lowestOf(range: string): Version | undefined {
  return range
    .split('||')
    .flatMap((part) => part.trim().split(/\s+/))
    .map((part) => boundsOf(part)?.from)
    .filter((item) => item !== undefined)
    .toSorted(compareVersions)
    .find((item) => item.major > 0 || item.minor > 0 || item.patch > 0);
}

function boundsOf(part: string): Bounds | undefined {
  const found =
    /^([<>=~^]*)v?(\d+|x|\*|)(?:\.(\d+|x|\*))?(?:\.(\d+|x|\*))?(?:-([\w.-]+))?(?:\+\S+)?$/i.exec(
      part,
    );
  if (found === null) return undefined;
  const [, sign = '', ...texts] = found;
  const numbers = texts
    .slice(0, 3)
    .map((text) => (/^\d+$/.test(text ?? '') ? Number(text) : undefined));
  const [major, minor, patch] = numbers;
  const pre = texts[3] === undefined ? [] : texts[3].split('.');
  const from = { major: major ?? 0, minor: minor ?? 0, patch: patch ?? 0, pre };
  const zero = make(0, 0, 0);
  if (major === undefined) return { from: zero, to: undefined };
  /** Just above all that the given numbers name. */
  const above =
    minor === undefined
      ? make(major + 1, 0, 0)
      : patch === undefined
        ? make(major, minor + 1, 0)
        : make(major, minor, patch + 1);
  switch (sign) {
    case '':
    case '=':
      return { from, to: pre.length > 0 ? make(major, minor ?? 0, (patch ?? 0) + 1) : above };
    case '^': {
      if (major > 0 || minor === undefined) return { from, to: make(major + 1, 0, 0) };
      return {
        from,
        to: minor > 0 || patch === undefined ? make(0, minor + 1, 0) : make(0, 0, patch + 1),
      };
    }
    case '~':
    case '~>':
      return { from, to: minor === undefined ? make(major + 1, 0, 0) : make(major, minor + 1, 0) };
    case '>=':
      return { from, to: undefined };
    case '>':
      return { from: above, to: undefined };
    case '<':
      return { from: zero, to: from };
    case '<=':
      return { from: zero, to: above };
    default:
      return undefined;
  }
}

function make(major: number, minor: number, patch: number): Version {
  return { major, minor, patch, pre: [] };
}
