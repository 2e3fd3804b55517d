#!/usr/bin/env node
// Starts one tool of the shipped fleet. Plain JavaScript that an old Node can parse too: where the
// host's Node is older than the sources need, the one installed beside them takes over.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [major, minor] = process.versions.node.split('.').map(Number);

if (major > 22 || (major === 22 && minor >= 18)) {
  // As in centuria.mjs: a checkout runs its sources, a package has only the build.
  const source = join(root, 'src', 'tools', 'tools.ts');
  const entry = existsSync(source) ? source : join(root, 'dist', 'tools', 'tools.js');
  const { main } = await import(pathToFileURL(entry).href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  const newer = join(root, 'node_modules', 'node', 'bin', 'node');
  if (existsSync(newer)) {
    const child = spawn(newer, process.argv.slice(1), { stdio: 'inherit' });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => child.kill(signal));
    }
    child.on('exit', (code, signal) => {
      if (signal === null) process.exit(code === null ? 70 : code);
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
  } else {
    process.stderr.write(
      `centuria-tool needs Node 22.18 or later; this is ${process.version}. Install a newer Node, or run npm install in ${root}.\n`,
    );
    process.exitCode = 69;
  }
}
