/** Three linters vote on seeded defects: how each does alone, and how the vote does. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { writeDefects, type Defect, type Found } from './jobs-defects.ts';
import { completed, type JobServer } from './jobs-server.ts';
import { missingPeer } from './peers.ts';
import type { Measured } from './report.ts';

const packages = { eslint: 'eslint', oxlint: 'oxlint', biome: '@biomejs/biome' };

interface Score {
  readonly named: number;
  readonly right: number;
  readonly precision: number;
  readonly recall: number;
}

export async function measureLint(
  server: JobServer,
  progress: (text: string) => void,
): Promise<Measured[]> {
  const missing = Object.values(packages)
    .map((pack) => missingPeer(`${pack}/package.json`))
    .find((reason) => reason !== undefined);
  if (missing !== undefined) return [unmeasured(missing)];
  const repo = join(server.folder, 'seeded');
  mkdirSync(repo);
  const { truth, cleanFiles } = writeDefects(repo);
  const { run } = completed(await server.run('defect-vote', { repo }));
  progress(`${truth.length} seeded defects and ${cleanFiles} clean files; events:`);
  progress(await server.cli('run', 'events', run.id));
  const { verdict } = run;
  if (verdict === undefined || !('votes' in verdict)) throw new Error('the vote left no verdict');
  const answers = new Map(
    Object.keys(packages).map((name) => {
      const voter = run.taskList.find(({ id }) => id === `defects-${name}`);
      return [name, voter?.output as Found[]] as const;
    }),
  );
  const figures = [...answers].flatMap(([name, found]) => {
    const score = scoreOf(found, truth);
    progress(`${name} ${versionOf(packages[name as keyof typeof packages])}: ${told(score)}`);
    return figuresOf(name, score);
  });
  const score = scoreOf(run.output as Found[], truth);
  progress(`the vote: ${told(score)}`);
  const elements = (verdict.elements ?? []).map(({ element, taken }) => ({
    found: element as Found,
    taken,
  }));
  for (const { found, taken } of elements) {
    const { file, line, rule } = found;
    const who = [...answers].flatMap(([name, list]) =>
      list.some((each) => each.file === file && each.line === line && each.rule === rule)
        ? [name]
        : [],
    );
    if (who.length === answers.size) continue;
    const seeded = truth.some((defect) => isAt(found, defect)) ? 'a defect' : 'none';
    const fate = taken ? 'taken' : 'left out';
    const where = `${file}:${line} ${rule}`;
    progress(`dissent: ${where}, named by ${who.join(', ')}: ${fate}; it is ${seeded}`);
  }
  for (const defect of truth) {
    if (elements.some(({ found }) => isAt(found, defect))) continue;
    progress(`seen by none: ${defect.file}:${defect.lines.join(' or ')} ${defect.rule}`);
  }
  return [
    ...figures,
    ...figuresOf('vote', score),
    { metric: 'lint_seeded_defects', unit: 'defects', values: [truth.length] },
    {
      metric: 'lint_dissent',
      unit: 'elements',
      values: [elements.filter(({ taken }) => !taken).length],
    },
  ];
}

/** A defect counts once, at whichever of its lines; all that is at none of them is a false alarm. */
function scoreOf(found: readonly Found[], truth: readonly Defect[]): Score {
  const seen = truth.filter((defect) => found.some((each) => isAt(each, defect))).length;
  const right = found.filter((each) => truth.some((defect) => isAt(each, defect))).length;
  return {
    named: found.length,
    right,
    precision: found.length === 0 ? 0 : right / found.length,
    recall: seen / truth.length,
  };
}

function isAt({ file, line, rule }: Found, defect: Defect): boolean {
  return defect.file === file && defect.rule === rule && defect.lines.includes(line);
}

function told({ named, right, precision, recall }: Score): string {
  return `${named} named, ${right} right, precision ${percent(precision)}, recall ${percent(recall)}`;
}

/** Some stand beside the benches, some beside the product: where a program of the benches finds them. */
function versionOf(pack: string): string {
  const path = createRequire(import.meta.url).resolve(`${pack}/package.json`);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

function figuresOf(name: string, { precision, recall }: Score): Measured[] {
  return [
    { metric: `lint_precision_${name}`, unit: '%', values: [precision * 100] },
    { metric: `lint_recall_${name}`, unit: '%', values: [recall * 100] },
  ];
}

function unmeasured(reason: string): Measured {
  const peer = { name: 'linters', unavailable: reason };
  return { metric: 'lint_recall_vote', unit: '%', values: [], peer };
}
