/** What a licence asks of those who use the code, by its SPDX expression or its text. */
import { createRequire } from 'node:module';
import { asRecord } from './packages.ts';

/** From the freest. `unknown` is what no rule here knows: for a person to read. */
export const licenceKinds = [
  'permissive',
  'weak-copyleft',
  'copyleft',
  'restricted',
  'unknown',
] as const;
export type LicenceKind = (typeof licenceKinds)[number];

const restricted =
  /^(BUSL|Elastic|SSPL|CC-BY-NC|PolyForm|Confluent|JSON$|Commons-Clause|Hippocratic|Parity|Prosperity)/;
const copyleft =
  /^(A?GPL|OSL|CC-BY-SA|EUPL|RPL|RPSL|Sleepycat|QPL|CPAL|MS-RL|NPOSL|SISSL|Watcom|copyleft-next)/;
const weakCopyleft = /^(LGPL|MPL|EPL|CDDL|CPL|IPL|NPL|APSL|SPL|ErlPL|OCLC|LPPL|LGPLLR|OFL)/;
const permissive =
  /^(MIT|ISC|BSD|0BSD|Apache|Unlicense|CC0|CC-BY-\d|Zlib|BSL-1|Python|PSF|WTFPL|BlueOak|PostgreSQL|X11|Unicode|NCSA|Artistic|AFL|curl|HPND|ICU|OpenSSL|Ruby|W3C|libpng|FSFAP|Beerware|MulanPSL|UPL|NTP|TCL|Vim|blessing|bzip2|Info-ZIP|libtiff|MS-PL|PHP|SMLNJ|ODC-By|PDDL|OGL|AML|Xnet|EFL|Entessa|Zed|Xerox|VSL|Spencer|OLDAP|ECL|DOC|Naumen|FTL|IJG|MirOS|SGI-B|TU-Berlin)/;

const require = createRequire(import.meta.url);

export interface Licence {
  readonly kind: LicenceKind;
  /** Whether it is written as SPDX asks. */
  readonly isValid: boolean;
}

/**
 * The kind of an SPDX expression: of alternatives (OR) the freest, of what all apply (AND) the
 * strictest. What is no expression ("Apache 2.0", "see LICENSE") is judged by its words.
 */
export function kindOf(expression: string): Licence {
  let tree: unknown;
  try {
    const parse: unknown = require('spdx-expression-parse');
    tree = typeof parse === 'function' ? parse(expression) : undefined;
  } catch {
    return { kind: kindOfWords(expression), isValid: false };
  }
  return { kind: kindOfTree(tree), isValid: true };
}

function kindOfTree(tree: unknown): LicenceKind {
  const node = asRecord(tree) ?? {};
  if (typeof node['license'] === 'string') {
    const kind = kindOfId(node['license']);
    // Linking exceptions (Classpath, GCC runtime) are what makes a GPL usable from other code.
    return kind === 'copyleft' && node['exception'] !== undefined ? 'weak-copyleft' : kind;
  }
  const ranks = [node['left'], node['right']].map((side) => licenceKinds.indexOf(kindOfTree(side)));
  const rank = node['conjunction'] === 'or' ? Math.min(...ranks) : Math.max(...ranks);
  return licenceKinds[rank] ?? 'unknown';
}

function kindOfId(id: string): LicenceKind {
  if (restricted.test(id)) return 'restricted';
  if (weakCopyleft.test(id)) return 'weak-copyleft';
  if (copyleft.test(id)) return 'copyleft';
  return permissive.test(id) ? 'permissive' : 'unknown';
}

function kindOfWords(text: string): LicenceKind {
  if (/^unlicensed$|proprietary|commercial|all rights reserved/i.test(text.trim()))
    return 'restricted';
  if (/lesser|lgpl|mozilla|mpl|eclipse/i.test(text)) return 'weak-copyleft';
  if (/\bA?GPL|affero|gnu general|\bCC[ -]BY[ -](NC[ -])?SA/i.test(text)) return 'copyleft';
  return /^\W*(MIT|ISC|BSD|Apache|Unlicense|Public Domain|WTFPL|zlib|PSF|Python Software)/i.test(
    text,
  )
    ? 'permissive'
    : 'unknown';
}

/** Phrases that stand in the text of one licence and of no other, the more particular first. */
const phrases: readonly (readonly [RegExp, string])[] = [
  [/GNU AFFERO GENERAL PUBLIC LICENSE/, 'AGPL-3.0'],
  [/GNU LESSER GENERAL PUBLIC LICENSE\s+Version 2\.1/, 'LGPL-2.1'],
  [/GNU LESSER GENERAL PUBLIC LICENSE/, 'LGPL-3.0'],
  [/GNU GENERAL PUBLIC LICENSE\s+Version 2/, 'GPL-2.0'],
  [/GNU GENERAL PUBLIC LICENSE/, 'GPL-3.0'],
  [/Mozilla Public License,? (v\.? ?|version )2\.0/i, 'MPL-2.0'],
  [/Eclipse Public License - v ?2\.0/i, 'EPL-2.0'],
  [/Business Source License 1\.1/i, 'BUSL-1.1'],
  [/Server Side Public License/i, 'SSPL-1.0'],
  [/Elastic License 2\.0/i, 'Elastic-2.0'],
  [/Apache License\s+Version 2\.0/i, 'Apache-2.0'],
  [/Boost Software License/i, 'BSL-1.0'],
  [/This is free and unencumbered software released into the public domain/, 'Unlicense'],
  [/CC0 1\.0 Universal/i, 'CC0-1.0'],
  [/DO WHAT THE FUCK YOU WANT TO PUBLIC LICENSE/i, 'WTFPL'],
  [/Blue Oak Model License/i, 'BlueOak-1.0.0'],
  [/altered source versions must be plainly marked/i, 'Zlib'],
  [/Permission is hereby granted, free of charge, to any person obtaining a copy/i, 'MIT'],
  [
    /Permission to use, copy, modify, and(\/or)? distribute this software[\s\S]{0,120}hereby granted, provided/i,
    'ISC',
  ],
  [/Permission to use, copy, modify, and(\/or)? distribute this software/i, '0BSD'],
  [/Neither the name[\s\S]{0,200}endorse or promote/i, 'BSD-3-Clause'],
  [/Redistribution and use in source and binary forms/i, 'BSD-2-Clause'],
];

/** The SPDX id of a licence's text; undefined where it is none of the usual ones. */
export function identify(text: string): string | undefined {
  const flat = text.replaceAll(/[\s*#>/-]+/g, ' ').replaceAll('- v', '- v');
  return phrases.find(([phrase]) => phrase.test(text) || phrase.test(flat))?.[1];
}

/** `GPL-3.0` and `GPL-3.0-or-later` are one text; MIT and ISC are not. */
export function isSameLicence(a: string, b: string): boolean {
  return baseOf(a) === baseOf(b);
}

function baseOf(id: string): string {
  return id.replace(/-(only|or-later)$|\+$/, '').toLowerCase();
}
