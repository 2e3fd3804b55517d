/** What is known of a peer's package before it is loaded. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const packages = join(import.meta.dirname, '../node_modules');

/** Why the peer can't run, or undefined. */
export function missingPeer(name: string): string | undefined {
  try {
    createRequire(import.meta.url).resolve(name);
    return undefined;
  } catch {
    return `${name} is not installed in bench/node_modules`;
  }
}

export function peerVersion(name: string): string {
  const path = join(packages, name, 'package.json');
  return existsSync(path)
    ? `${name} ${(JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version}`
    : name;
}
