import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseAgent } from './parse.ts';

const front = (yaml: string, prompt = 'Do it.\n') => `---\n${yaml.trim()}\n---\n\n${prompt}`;
const minimal = 'name: history\ndescription: Reads the history.';
const command = (lines: string) =>
  front(`${minimal}\ncenturia:\n  runtime:\n    kind: command\n${lines}`);

/** Problems as `line:column severity message`. */
function complaints(source: string | Uint8Array): string[] {
  return parseAgent(source, 'a.md').problems.map(
    (problem) => `${problem.line}:${problem.column} ${problem.severity} ${problem.message}`,
  );
}
function only(source: string | Uint8Array): { at: string; message: string; suggestion?: string } {
  const { problems } = parseAgent(source, 'a.md');
  expect(problems.map((problem) => problem.message)).toHaveLength(1);
  const [problem] = problems;
  if (problem === undefined) throw new Error('no problem');
  return {
    at: `${problem.line}:${problem.column} ${problem.severity}`,
    message: problem.message,
    ...(problem.suggestion === undefined ? {} : { suggestion: problem.suggestion }),
  };
}

describe('a definition that is right', () => {
  const source = front(
    `
name: git-history
description: Reads history and churn.
tools: Read, Bash(git log, git show)
model: sonnet
newField: {kept: [1, 2]}
centuria:
  category: development
  capabilities: [history, churn]
  runtime:
    kind: command
    program: centuria-tool
    arguments: [git-history, --repo, "\${input.repo}", 5]
    limits: {memoryMb: 64}
  timeoutSeconds: 1.5
  retries: 1
  invokes: [planner]
  requires: {binaries: [git], environment: [LANG]}
  sideEffects: none
  verify: {format: findings}`,
    '\n  \nYou read history.\n\nWell.  \n\n',
  );

  test('gives every field, with time in milliseconds and the prompt without blank lines around', () => {
    const { definition } = parseAgent(source, 'a.md');
    expect(definition).toMatchObject({
      name: 'git-history',
      description: 'Reads history and churn.',
      category: 'development',
      capabilities: ['history', 'churn'],
      timeoutMs: 1_500,
      retries: 1,
      invokes: ['planner'],
      requires: { binaries: ['git'], environment: ['LANG'] },
      sideEffects: 'none',
      verify: { format: 'findings' },
      prompt: 'You read history.\n\nWell.',
      source,
      file: 'a.md',
    });
    expect(definition?.runtime).toMatchObject({ kind: 'command', program: 'centuria-tool' });
  });

  test('is hashed over its bytes', () => {
    const bytes = Buffer.from(source, 'utf8');
    const hash = createHash('sha256').update(bytes).digest('hex');
    expect(parseAgent(bytes, 'a.md').definition?.hash).toBe(hash);
    expect(parseAgent(source, 'a.md').definition?.hash).toBe(hash);
  });

  test('keeps what is unknown and warns of it', () => {
    expect(only(source)).toMatchObject({ at: '6:1 warning', message: 'unknown field newField' });
    expect(parseAgent(source, 'a.md').definition?.frontmatter['newField']).toEqual({
      kept: [1, 2],
    });
  });

  test('of Claude Code alone is taken with careful defaults', () => {
    const { definition, problems } = parseAgent(front(minimal), 'a.md');
    expect(problems).toEqual([]);
    expect(definition).toMatchObject({
      category: 'specialized',
      sideEffects: 'external',
      timeoutMs: 30_000,
      retries: 3,
      runtime: undefined,
    });
  });

  test('may have Windows line ends, with the same lines in complaints', () => {
    const windows = `${minimal}\nbackgruond: true`.replaceAll('\n', '\r\n');
    const text = `---\r\n${windows}\r\n---\r\nDo it.\r\n`;
    expect(parseAgent(text, 'a.md').definition?.prompt).toBe('Do it.');
    expect(only(text)).toEqual({
      at: '4:1 warning',
      message: 'unknown field backgruond',
      suggestion: 'Did you mean background?',
    });
  });

  test('may begin with a byte order mark, which is warned of', () => {
    const { definition } = parseAgent(`\uFEFF${front(minimal)}`, 'a.md');
    expect(definition?.name).toBe('history');
    expect(definition?.source.startsWith('\uFEFF')).toBe(true);
    expect(complaints(`\uFEFF${front(minimal)}`)).toEqual([
      '1:1 warning the file begins with a byte order mark',
    ]);
  });
});

describe('a file that is no definition', () => {
  test('without frontmatter', () => {
    expect(complaints('# Title\n')).toEqual(['1:1 error the file does not begin with frontmatter']);
    expect(complaints('')).toEqual(['1:1 error the file does not begin with frontmatter']);
  });

  test('with frontmatter that is never closed', () => {
    expect(complaints(`---\n${minimal}\n`)).toEqual(['1:1 error the frontmatter is not closed']);
  });

  test('that is not UTF-8 names the place of the first wrong byte', () => {
    const bytes = Buffer.concat([
      Buffer.from(`---\n${minimal}\nx: ä`),
      Buffer.from([0xff]),
      Buffer.from('\n---\n'),
    ]);
    expect(complaints(bytes)).toEqual(['4:5 error the file is not UTF-8']);
  });

  test('with a lone surrogate is refused as a text, too', () => {
    expect(complaints(front(`${minimal}\nx: \uD800`))[0]).toContain('is not UTF-8');
  });

  test('with NUL', () => {
    expect(complaints(front(minimal, 'a\nb\0'))).toEqual([
      '7:2 error the file holds a NUL character',
    ]);
  });

  test('above 256 KiB', () => {
    const atLimit = front(minimal, '');
    const fill = 'x'.repeat(256 * 1024 - atLimit.length);
    expect(complaints(atLimit + fill)).toEqual([]);
    expect(complaints(`${atLimit}${fill}x`)[0]).toContain('262145 bytes, more than 262144');
  });

  test.each([
    ['a list', '- a\n- b'],
    ['a text', 'only words'],
    ['nothing', ''],
  ])('whose frontmatter is %s', (_what, yaml) => {
    expect(complaints(front(yaml))).toEqual(['2:1 error the frontmatter must be a map of fields']);
  });
});

describe('YAML that is wrong or hostile', () => {
  test('is named by its line in the file', () => {
    expect(complaints(front(`${minimal}\ntools: a: b`))[0]).toMatch(/^4:8 error Nested mappings/);
    expect(complaints(front(`${minimal}\nname: again`))).toEqual([
      '4:1 error the field stands here a second time',
    ]);
  });

  test('may not carry tags', () => {
    expect(complaints(front(`${minimal}\nx: !!binary aGk=`))[0]).toMatch(/^4:4 error tags are/);
    expect(complaints(front(`${minimal}\nx: !call {f: 1}`))[0]).toMatch(/^4:4 error tags are/);
  });

  test('may use an alias but not multiply it', () => {
    expect(complaints(front(`${minimal}\nskills: &s [a]\ntools: *s`))).toEqual([]);
    const levels = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name, index, all) =>
      index === 0
        ? `a: &a [x, x, x, x, x, x, x, x]`
        : `${name}: &${name} [${Array.from({ length: 8 }, () => `*${all[index - 1]}`).join(', ')}]`,
    );
    expect(complaints(front(`${minimal}\n${levels.join('\n')}`))[0]).toContain('alias');
  });

  test.each([
    ['a value that holds itself', 'x: &x {y: *x}'],
    ['an unknown anchor', 'x: *nope'],
    ['33 levels', `x: ${'['.repeat(33)}${']'.repeat(33)}`],
    ['thirty thousand open brackets', `x: ${'['.repeat(30_000)}`],
    ['keys that are lists', '? [a]\n: b'],
  ])('with %s is an error and not the end of the process', (_what, yaml) => {
    const { definition, problems } = parseAgent(front(`${minimal}\n${yaml}`), 'a.md');
    expect(definition).toBeUndefined();
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThanOrEqual(10);
  });

  test('cannot reach a prototype', () => {
    const { definition } = parseAgent(front(`${minimal}\n__proto__: {polluted: true}`), 'a.md');
    expect(definition?.name).toBe('history');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(complaints(front('__proto__: {name: x, description: y}'))).toContain(
      '2:1 error name is missing',
    );
  });
});

describe('fields', () => {
  test.each(['-x', 'a:b', 'History', 'a--b', 'a_b', 'x-', 'a b', '""', '5', 'x'.repeat(65)])(
    'name %s is refused',
    (name) => {
      const found = only(front(`name: ${name}\ndescription: x`));
      expect(found.at).toBe('2:7 error');
      expect(found.message).toContain('name must be lower-case letters, digits and single hyphens');
    },
  );

  test('a wrong name comes with the nearest right one', () => {
    expect(only(front('name: My Agent\ndescription: x')).suggestion).toBe('my-agent');
  });

  test('missing ones are named, with the misspelled field that was meant', () => {
    const { problems } = parseAgent(front('name: a\ndescriptoin: x'), 'a.md');
    expect(problems).toContainEqual({
      file: 'a.md',
      line: 2,
      column: 1,
      severity: 'error',
      message: 'description is missing',
      suggestion: 'Rename descriptoin to description.',
    });
  });

  test.each([
    ['description: "  "', '3:14', 'description must be a text that says when to use it'],
    ['description: x\ntools: 5', '4:8', 'tools must be a list of names, or one text'],
    ['description: x\nmaxTurns: 0', '4:11', 'maxTurns must be a whole number from 1 to 100000'],
    ['description: x\nbackground: maybe', '4:13', 'background must be true or false'],
    ['description: x\nisolation: tree', '4:12', 'isolation must be worktree'],
    ['description: x\nhooks: [a]', '4:8', 'hooks must be a map'],
  ])('%j is complained of at %s', (yaml, at, message) => {
    const found = only(front(`name: a\n${yaml}`));
    expect(found.at).toBe(`${at} error`);
    expect(found.message).toContain(message);
  });

  test('a misspelled word of a list comes with the word that was meant', () => {
    expect(only(front(`${minimal}\npermissionMode: acceptEdit`)).suggestion).toBe(
      'Did you mean acceptEdits?',
    );
    expect(only(front(`${minimal}\nmodel: sonet`))).toMatchObject({
      at: '4:8 warning',
      suggestion: 'Did you mean sonnet?',
    });
    expect(complaints(front(`${minimal}\nmodel: claude-opus-4-5-20251101`))).toEqual([]);
  });

  test('bypassPermissions is reported', () => {
    expect(only(front(`${minimal}\npermissionMode: bypassPermissions`))).toMatchObject({
      at: '4:17 warning',
      message: 'permissionMode bypassPermissions is not granted by a definition',
    });
  });

  test('a field of ours at the top is shown its place', () => {
    expect(only(front(`${minimal}\ntimeoutSeconds: 5`)).suggestion).toBe(
      'Write it as centuria.timeoutSeconds.',
    );
  });
});

describe('the key centuria', () => {
  test.each([
    ['centuria: yes', '4:11', 'centuria must be a map, not "yes"'],
    ['centuria:', '4:10', 'centuria must be a map, not null'],
    ['centuria: {categori: data}', '4:12', 'unknown field categori in centuria'],
    ['centuria: {category: web}', '4:22', 'centuria.category must be one of command, data'],
    ['centuria: {timeoutSeconds: 0}', '4:28', 'centuria.timeoutSeconds must be a number of'],
    ['centuria: {timeoutSeconds: 86401}', '4:28', 'centuria.timeoutSeconds must be'],
    ['centuria: {timeoutSeconds: .nan}', '4:28', 'centuria.timeoutSeconds must be'],
    ['centuria: {retries: -1}', '4:21', 'centuria.retries must be a whole number from 0 to 10'],
    ['centuria: {retries: 1.5}', '4:21', 'centuria.retries must be'],
    ['centuria: {capabilities: [a, a]}', '4:26', 'centuria.capabilities must be a list of at'],
    ['centuria: {invokes: [a, "-b"]}', '4:25', 'centuria.invokes[2] must be lower-case'],
    ['centuria: {budget: {tokens: 0}}', '4:29', 'centuria.budget.tokens must be'],
    ['centuria: {budget: {token: 5}}', '4:21', 'unknown field token in centuria.budget'],
    ['centuria: {requires: {binaries: [./x]}}', '4:34', 'centuria.requires.binaries[1] must'],
    ['centuria: {requires: {environment: [CENTURIA_X]}}', '4:37', 'none of CENTURIA_*'],
    ['centuria: {input: [a]}', '4:19', 'centuria.input must be a map'],
    ['centuria: {input: {type: txet}}', '4:26', 'centuria.input.type is wrong in a JSON Schema'],
    ['centuria: {input: {required: repo}}', '4:30', 'centuria.input.required is wrong in a JSON'],
    ['centuria: {verify: {}}', '4:20', 'centuria.verify must be a map with one of format'],
    ['centuria: {verify: {pattern: "("}}', '4:30', 'centuria.verify.pattern is no regular'],
    ['centuria: {verify: {schema: {type: strin}}}', '4:36', 'schema.type is wrong in a JSON'],
    [
      'centuria: {verify: {schema: {properties: {a: {type: strin}}}}}',
      '4:53',
      'centuria.verify.schema.properties.a.type is wrong in a JSON Schema',
    ],
    ['centuria: {verify: {schema: {pattern: "("}}}', '4:29', 'schema is no JSON Schema'],
    ['centuria: {runtime: command}', '4:21', 'centuria.runtime must be a map with the field kind'],
    ['centuria: {runtime: {kind: comand}}', '4:28', 'centuria.runtime.kind must be one of'],
  ])('%s is complained of at %s', (yaml, at, message) => {
    const found = only(front(`${minimal}\n${yaml}`));
    expect(found.at).toBe(`${at} error`);
    expect(found.message).toContain(message);
  });

  test('an unknown field inside it is an error with a suggestion', () => {
    expect(only(front(`${minimal}\ncenturia: {categori: data}`)).suggestion).toBe(
      'Did you mean category?',
    );
  });

  test('a complaint about an alias points to what it stands for', () => {
    const yaml = `${minimal}\nskills: &s [Bad Name]\ncenturia:\n  invokes: *s`;
    expect(only(front(yaml)).at).toBe('4:13 error');
  });
});

describe('the command runtime', () => {
  test.each([
    ['    program: ""', '7:14', 'centuria.runtime.program must be the name of a program'],
    ['    program: bin/x', '7:14', 'centuria.runtime.program must be'],
    ['    program: -x', '7:14', 'centuria.runtime.program must be'],
    ['    arguments: []', '6:5', 'centuria.runtime.program is missing'],
    ['    program: x\n    argumnts: []', '8:5', 'unknown field argumnts in centuria.runtime'],
    ['    program: x\n    arguments: [a, [b]]', '8:20', 'centuria.runtime.arguments[2] must'],
    ['    program: x\n    stdin: file', '8:12', 'must be one of none, json, text'],
    ['    program: x\n    limits: {memoryMb: 0}', '8:24', 'centuria.runtime.limits.memoryMb must'],
    ['    program: x\n    environment: [centuria_token]', '8:19', 'none of CENTURIA_*'],
    ['    program: x\n    command: ls', '8:14', 'command needs shell: true'],
    ['    shell: true', '7:12', 'a shell runtime needs the field command'],
    ['    shell: true\n    command: ls\n    program: x', '9:14', 'a shell runtime has no program'],
    ['    shell: true\n    command: ls ${input.x}', '8:14', 'must not hold expressions'],
    ['    program: x\n    arguments: ["${inputs.repo}"]', '8:17', 'begin with input or attempt'],
    ['    program: x\n    arguments: ["${in put}"]', '8:17', 'is not an expression'],
    ['    program: x\n    directory: "${home}"', '8:16', 'begin with input or attempt'],
  ])('%j is complained of at %s', (lines, at, message) => {
    const found = only(command(lines));
    expect(found.at).toBe(`${at} error`);
    expect(found.message).toContain(message);
  });

  test('with a shell takes its values as arguments', () => {
    const source = command('    shell: true\n    command: ls "$1" ${HOME}\n    arguments: [a]');
    expect(parseAgent(source, 'a.md').definition?.name).toBe('history');
  });
});
