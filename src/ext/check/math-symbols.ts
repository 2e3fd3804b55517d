import type { ServerFacts } from '../types.ts';

/** Of ISO C's math.h (C11, 7.12); each is there for float and long double as well. */
const functions = (
  'acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs ' +
  'fdim floor fma fmax fmin fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 ' +
  'logb lrint lround modf nan nearbyint nextafter nexttoward pow remainder remquo rint round ' +
  'scalbln scalbn sin sinh sqrt tan tanh tgamma trunc'
).split(' ');

const mathSymbols: ReadonlySet<string> = new Set(
  functions.flatMap((name) => [name, `${name}f`, `${name}l`]),
);

/**
 * Whether a library that was not linked with the math library finds a name there nevertheless: the server
 * is linked with it, and what a program loads first serves all that it loads later. Extensions rely on
 * that, as PGXS names no libraries: pgvector takes acos, log and sqrt without a version.
 */
export function isServersMath(name: string, { libraries }: Pick<ServerFacts, 'libraries'>): boolean {
  return mathSymbols.has(name) && libraries.some((library) => /^libm\.so\.\d+$/.test(library));
}
