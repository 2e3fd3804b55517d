/**
 * `npm run bench -- AREA [-o table|jsonl] [--repeats N] [--vectors N] [--profile]`: runs `bench/src/AREA.ts` and prints what it
 * measured. Figures go to standard output, everything else to standard error. Exit status 1 when a
 * target is not met, 2 for a wrong call. Packages of peers are installed when they are first needed.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const folder = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
/** What areas share, and no area. */
const shared = new Set(['peers.ts', 'report.ts']);
/** Areas by themselves, whatever the name begins with. */
const ownAreas = new Set(['learning-similarity']);

function fail(text, status) {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(status);
}

function areas() {
  return (
    readdirSync(join(folder, 'src'))
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !shared.has(name))
      .map((name) => name.slice(0, -3))
      // `identity-x.ts` is a part of the area `identity`.
      .filter(
        (name, _index, names) =>
          ownAreas.has(name) || !names.some((area) => name.startsWith(`${area}-`)),
      )
  );
}

function readCall() {
  const usage = `npm run bench -- AREA [-o table|jsonl] [--repeats N] [--vectors N] [--profile]. Areas: ${areas().join(', ')}`;
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o', default: 'table' },
        repeats: { type: 'string' },
        vectors: { type: 'string' },
        profile: { type: 'boolean', default: false },
      },
    });
    const [area, ...others] = positionals;
    if (area === undefined || others.length > 0) fail(usage, 2);
    if (!areas().includes(area)) fail(`there is no area ${area}. ${usage}`, 2);
    if (!['table', 'jsonl'].includes(values.output)) fail(usage, 2);
    if (values.repeats !== undefined && !/^[1-9]\d{0,3}$/.test(values.repeats)) fail(usage, 2);
    if (values.vectors !== undefined && !/^[1-9]\d{2,6}$/.test(values.vectors)) fail(usage, 2);
    const vectors = values.vectors === undefined ? undefined : Number(values.vectors);
    const repeats = values.repeats === undefined ? undefined : Number(values.repeats);
    return { area, output: values.output, repeats, vectors, profile: values.profile };
  } catch (error) {
    return fail(`${error.message}. ${usage}`, 2);
  }
}

/** Installs the packages of bench/package.json when there are any and they are not there. */
function installPeers() {
  const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const names = Object.keys(dependencies);
  if (names.length === 0) return;
  const lock = readFileSync(join(folder, 'package-lock.json'));
  const wanted = createHash('sha256').update(lock).digest('hex');
  const stamp = join(folder, 'node_modules', '.centuria-installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  process.stderr.write(`bench: installing peers into bench/node_modules: ${names.join(', ')}\n`);
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 2, 2],
  });
  // An area still runs and says for each peer why it could not.
  if (status === 0) writeFileSync(stamp, wanted);
  else process.stderr.write(`bench: npm ci ended with status ${status}; going on without peers\n`);
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  fail(`needs Node 22.18 or later, this is ${process.version}: run node bin/prepare.mjs first`, 2);
}
const { area, output, repeats, vectors, profile } = readCall();
installPeers();
const { measure } = await import(`./src/${area}.ts`);
const { describeMachine, print, toFigure } = await import('./src/report.ts');
const machine = describeMachine();
const measured = await measure({
  repeats,
  vectors,
  profile,
  progress: (text) => process.stderr.write(`bench: ${text}\n`),
});
const figures = measured.map((one) => toFigure(area, one, machine()));
process.stdout.write(print(measured, figures, output));
if (figures.some((figure) => figure.met === false)) process.exitCode = 1;
