/** Places in a JSON value by RFC 6901. */
export const pointerPattern = '^(/([^~]|~[01])*)?$';

/** The value at a pointer; undefined where there is none. Own properties only. */
export function atPointer(value: unknown, pointer: string): unknown {
  let at = value;
  for (const escaped of pointer.split('/').slice(1)) {
    const token = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    if (at === null || typeof at !== 'object') return undefined;
    if (Array.isArray(at) && !/^(0|[1-9]\d*)$/.test(token)) return undefined;
    if (!Object.hasOwn(at, token)) return undefined;
    at = (at as Record<string, unknown>)[token];
  }
  return at;
}
