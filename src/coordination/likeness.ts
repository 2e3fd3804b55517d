import { canonicalJson } from '../base/base.ts';

/**
 * How alike two JSON values are, from 0 to 1. Texts by their common pairs of words (the
 * Sørensen–Dice coefficient over word bigrams, case and white space aside), numbers by their ratio,
 * lists as bags of elements, objects by the mean over the fields of either. Values of different
 * kinds are not alike at all.
 */
export function likeness(a: unknown, b: unknown): number {
  if (typeof a === 'string' && typeof b === 'string') return textLikeness(a, b);
  if (typeof a === 'number' && typeof b === 'number') return numberLikeness(a, b);
  if (Array.isArray(a) && Array.isArray(b))
    return bagLikeness(a.map(canonicalJson), b.map(canonicalJson));
  if (isObject(a) && isObject(b)) {
    const fields = new Set([...Object.keys(a), ...Object.keys(b)]);
    if (fields.size === 0) return 1;
    let sum = 0;
    for (const field of fields) {
      if (Object.hasOwn(a, field) && Object.hasOwn(b, field)) sum += likeness(a[field], b[field]);
    }
    return sum / fields.size;
  }
  return a === b ? 1 : 0;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function numberLikeness(a: number, b: number): number {
  if (a === b) return 1;
  return Math.max(0, 1 - Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b)));
}

function textLikeness(a: string, b: string): number {
  return a === b ? 1 : bagLikeness(pairs(words(a)), pairs(words(b)));
}

function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** A lone word is its own pair. */
function pairs(list: readonly string[]): string[] {
  return list.length < 2
    ? [...list]
    : list.slice(1).map((word, index) => `${list[index] ?? ''} ${word}`);
}

function bagLikeness(a: readonly string[], b: readonly string[]): number {
  if (a.length + b.length === 0) return 1;
  const left = new Map<string, number>();
  for (const item of a) left.set(item, (left.get(item) ?? 0) + 1);
  let common = 0;
  for (const item of b) {
    const count = left.get(item) ?? 0;
    if (count === 0) continue;
    common += 1;
    left.set(item, count - 1);
  }
  return (2 * common) / (a.length + b.length);
}
