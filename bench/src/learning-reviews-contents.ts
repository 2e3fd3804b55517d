/** What repositories of each kind consist of, and the defect that one agent of `review/defect` finds in it. */
import type { Random } from '../../src/learning/evaluation/statistics.ts';

export const kinds = ['web', 'scripts', 'database', 'handbook', 'service'] as const;
export type Kind = (typeof kinds)[number];

interface File {
  readonly path: string;
  readonly text: string;
}

interface Contents {
  readonly about: string;
  /** A sound file. */
  readonly file: (id: string, random: Random) => File;
  readonly defect: File;
  /** Who finds that defect and no other one. */
  readonly finder: string;
}

const words =
  'order ship load crane berth patient ward visit shelf loan reader brew tank yeast class pupil'.split(
    ' ',
  );
const word = (random: Random): string => words[Math.floor(random() * words.length)] ?? 'order';
const some = (most: number, random: Random, of: (index: number) => string): string =>
  Array.from({ length: 1 + Math.floor(random() * most) }, (_, index) => of(index)).join('');

export const contents: Readonly<Record<Kind, Contents>> = {
  web: {
    about: 'a web application in TypeScript',
    finder: 'find-lint',
    file: (id, random) => ({
      path: `src/part${id.length}/view-${id}.ts`,
      text: some(12, random, (index) => {
        const name = word(random);
        return `/** Says how many of ${name} there are. */\nexport function ${name}${index}(list: readonly string[]): number {\n  return list.filter((each) => each !== '${name}').length + ${index};\n}\n\n`;
      }),
    }),
    defect: {
      path: 'src/old-prices.ts',
      text: 'export const prices = { small: 1, large: 3, small: 2 };\n\nexport function isFree(price: number): boolean {\n  return price === price && prices.large === 0;\n}\n',
    },
  },
  scripts: {
    about: 'a set of shell scripts for the servers',
    finder: 'find-shell',
    file: (id, random) => ({
      path: `bin/${word(random)}-${id}.sh`,
      text: `#!/bin/sh\nset -eu\n${some(10, random, (index) => `echo "step ${index}: ${word(random)}"\n`)}`,
    }),
    defect: {
      path: 'bin/clean-old.sh',
      text: '#!/bin/sh\nTARGET=$1\nrm -rf $TARGET/*\necho "cleaned"\n',
    },
  },
  database: {
    about: 'a database schema with its queries in SQL',
    finder: 'find-sql',
    file: (id, random) => ({
      path: `db/queries/${word(random)}_${id}.sql`,
      text: some(8, random, (index) => {
        const name = word(random);
        return `select ${name}_id, ${name}_name from ${name}_list where ${name}_id > ${index} order by ${name}_id;\n`;
      }),
    }),
    defect: {
      path: 'db/queries/totals.sql',
      text: 'select sum(price) fro orders where group by;\n',
    },
  },
  handbook: {
    about: 'a handbook for people in Markdown',
    finder: 'find-links',
    file: (id, random) => ({
      path: `docs/${word(random)}-${id}.md`,
      text: `# About the ${word(random)}\n\n${some(15, random, () => `The ${word(random)} goes before the ${word(random)}, and the ${word(random)} comes last.\n\n`)}`
        .trimEnd()
        .concat('\n'),
    }),
    defect: {
      path: 'docs/moved.md',
      text: '# What was moved\n\nRead [the old plan](plans/old-plan.md) first.\n',
    },
  },
  service: {
    about: 'a service with its settings in JSON',
    finder: 'find-syntax',
    file: (id, random) => ({
      path: `settings/${word(random)}-${id}.json`,
      text: `${JSON.stringify({ name: word(random), limit: Math.floor(random() * 100), parts: [word(random), word(random)] }, null, 2)}\n`,
    }),
    defect: {
      path: 'settings/legacy.json',
      text: '{ "name": "legacy", "limit": 3,, "on": true }\n',
    },
  },
};
