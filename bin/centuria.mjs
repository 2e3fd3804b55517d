#!/usr/bin/env node
// Plain JavaScript that old versions of Node parse too: whoever starts Centuria with one gets either
// the right Node, where it is installed beside us, or a sentence that says what to do.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import nodeModule from 'node:module';
import { constants, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

if (isNewEnough(process.versions.node)) {
  await start();
} else {
  startWithOwnNode();
}

/** 22.18 is the first version that runs TypeScript sources without a flag. */
function isNewEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 18);
}

async function start() {
  nodeModule.enableCompileCache(compileCache());
  // A package has no sources; a checkout has them, and may have an older build beside them.
  const source = join(root, 'src', 'cli', 'cli.ts');
  const built = join(root, 'dist', 'cli', 'cli.js');
  const { runProcess } = await import(pathToFileURL(existsSync(source) ? source : built).href);
  await runProcess();
}

/** Halves the processor time of a command. Not in /tmp, where other users could put code for us. */
function compileCache() {
  const { CENTURIA_CACHE: own, XDG_CACHE_HOME: shared } = process.env;
  return join(own || join(shared || join(homedir(), '.cache'), 'centuria'), 'compile');
}

function startWithOwnNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const node = join(root, 'node_modules', 'node', 'bin', name);
  if (!existsSync(node)) {
    fail(`Centuria needs Node 22.18 or later; this is ${process.version}`, remedy());
    return;
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  const forward = (signal) => child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'].filter(
    (signal) => signal in constants.signals,
  );
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => {
    fail(`${node} did not start: ${error.message}`, remedy());
  });
  child.on('exit', (code, signal) => {
    for (const forwarded of signals) process.removeListener(forwarded, forward);
    // Dying by the same signal tells a shell the truth, where an exit status would hide it.
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
  });
}

function remedy() {
  const pinned = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies;
  return existsSync(join(root, 'src')) && pinned
    ? `Run \`npm install\` in ${root}, which brings its own Node, or install Node 24 from https://nodejs.org.`
    : 'Install Node 24 from https://nodejs.org, or start with `npx --package node@24 --package centuria centuria`.';
}

function fail(message, hint) {
  process.stderr.write(`error: ${message}\nhint: ${hint}\n`);
  process.exitCode = 6;
}
