/**
 * Compiles `src` to `dist` for the published package: `npm run build`. What is no TypeScript (the
 * page, lock files) is copied to the same place. In a checkout the sources run as they are.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

// What a deleted source left behind would be published.
rmSync(dist, { recursive: true, force: true });
const compiler = spawnSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')],
  { stdio: 'inherit' },
);
if (compiler.status === 0) {
  cpSync(join(root, 'src'), dist, {
    recursive: true,
    filter: (path) => statSync(path).isDirectory() || !path.endsWith('.ts'),
  });
} else {
  rmSync(dist, { recursive: true, force: true });
  process.exitCode = 1;
}
