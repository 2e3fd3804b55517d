/** Copied code, found by jscpd (Rabin-Karp over tokens) on copies of the files that people wrote. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import type { ToolReport } from '../base/base.ts';
import { ToolError } from './errors.ts';
import { extensionOf, isCode, isGenerated, isTest, isVendored } from './paths.ts';
import { runProgram } from './process.ts';
import { count, ReportBuilder } from './report.ts';
import { decode, openRepository, type Repository, type TrackedFile } from './repository.ts';
import { ownFile, plainEnvironment, withFolder, withSnapshot } from './snapshot.ts';
import type { ToolContext } from './tools.ts';

/** 70 tokens in 8 lines is about where a copy is worth a name of its own; jscpd's 50 in 5 finds idioms. */
const minTokens = 70;
const minLines = 8;
const maxBytes = 512 * 1024;
const options =
  `--reporters json --silent --no-gitignore --no-tips --no-colors --max-size ${maxBytes} --min-tokens ${minTokens} --min-lines ${minLines}`.split(
    ' ',
  );

const sideSchema = Type.Object({
  name: Type.String(),
  start: Type.Integer(),
  end: Type.Integer(),
  startLoc: Type.Object({ column: Type.Integer() }),
});
const outputSchema = Type.Object({
  duplicates: Type.Array(
    Type.Object({
      format: Type.String(),
      lines: Type.Integer(),
      tokens: Type.Integer(),
      firstFile: sideSchema,
      secondFile: sideSchema,
    }),
  ),
  statistics: Type.Object({
    total: Type.Object({
      lines: Type.Integer(),
      sources: Type.Integer(),
      duplicatedLines: Type.Integer(),
      percentage: Type.Number(),
    }),
  }),
});
type Output = Static<typeof outputSchema>;
type Clone = Output['duplicates'][number];

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('duplicate-code', context.limit);
  const output = await detect(repository);
  report.notes(repository.notes());
  const total = output?.statistics.total;
  report.metric('files', total?.sources ?? 0);
  if (output === undefined || total === undefined)
    return report.build('Nothing to examine: no source code of its own.');
  report.metric('lines', total.lines);
  report.metric('duplicatedLines', total.duplicatedLines);
  report.metric('duplicatedPercent', Math.round(total.percentage * 100) / 100);
  for (const clone of output.duplicates) addClone(clone, report);
  return report.build(
    `${count(output.duplicates.length, 'copy', 'copies')} in ${count(total.sources, 'file')}: ${total.percentage.toFixed(1)} % of ${total.lines} lines.`,
  );
}

async function detect(repository: Repository): Promise<Output | undefined> {
  const program = findProgram();
  const isWanted = (file: TrackedFile) => mayHoldCopies(file, repository);
  return withFolder((home) =>
    withSnapshot(repository, isWanted, maxBytes, async ({ folder, paths }) => {
      if (paths.length === 0) return undefined;
      const config = join(home, 'settings.json');
      writeFileSync(config, '{}');
      const result = await runProgram(
        program,
        [...options, '--config', config, '--output', join(home, 'report'), '.'],
        { cwd: folder, env: plainEnvironment(home) },
      );
      if (result.exitCode !== 0)
        throw new ToolError(
          'internal',
          `jscpd ended with ${result.exitCode}: ${result.stderr.slice(-300)}`,
        );
      const value: unknown = JSON.parse(
        readFileSync(join(home, 'report/jscpd-report.json'), 'utf8'),
      );
      if (!Value.Check(outputSchema, value))
        throw new ToolError('internal', 'jscpd printed a report of another shape than version 5.3');
      return value;
    }),
  );
}

/** Its own choice of a binary for this machine, without the script that would start it in another process. */
function findProgram(): string {
  const map: unknown = createRequire(import.meta.url)(ownFile('jscpd/platform-map.js', 'jscpd'));
  const key: unknown = Reflect.apply(Reflect.get(Object(map), 'getPlatformKey'), undefined, []);
  if (typeof key !== 'string')
    throw new ToolError(
      'unavailable',
      `jscpd has no binary for ${process.platform} ${process.arch}`,
    );
  const name = process.platform === 'win32' ? 'jscpd.exe' : 'jscpd';
  return ownFile(`jscpd-${key}/bin/${name}`, 'jscpd');
}

function mayHoldCopies(file: TrackedFile, repository: Repository): boolean {
  const { path } = file;
  if (!isCode(path) || extensionOf(path) === '' || isVendored(path) || isGenerated(path))
    return false;
  if (/\.d\.[mc]?ts$/.test(path) || file.sizeBytes > maxBytes) return false;
  const bytes = repository.read(file, maxBytes);
  const text = bytes === undefined ? undefined : decode(bytes.subarray(0, 1_000));
  return text !== undefined && !isGenerated(path, text);
}

function addClone(clone: Clone, report: ReportBuilder): void {
  const [first, second] = [clone.firstFile, clone.secondFile].toSorted((a, b) =>
    a.name === b.name ? a.start - b.start : a.name < b.name ? -1 : 1,
  );
  if (first === undefined || second === undefined) return;
  const inTest = isTest(first.name) && isTest(second.name);
  report.add({
    severity: !inTest && clone.lines >= 40 ? 'medium' : 'low',
    rule: 'duplicate',
    message: `${clone.lines} lines also stand in ${second.name} from line ${second.start} to ${second.end}.`,
    file: first.name,
    line: Math.max(1, first.start),
    column: Math.max(1, first.startLoc.column),
    evidence: `${clone.tokens} equal tokens, lines ${first.start} to ${first.end}`,
    fix: 'If both must always change together, keep one and call it from both places.',
  });
}
