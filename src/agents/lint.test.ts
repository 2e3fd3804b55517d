import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { lintAgents } from './lint.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'centuria-lint-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

async function write(name: string, own: object, prompt = 'Do it.'): Promise<string> {
  const file = join(folder, `${name}.md`);
  const text = `---\nname: ${name}\ndescription: x\ncenturia:\n  ${JSON.stringify(own)}\n---\n${prompt}\n`;
  await writeFile(file, text);
  return file;
}
async function lint(paths = [folder], known: string[] = []): Promise<string[]> {
  const options = { packageRoot: folder, environment: { PATH: '/usr/bin:/bin' }, known };
  const { problems } = await lintAgents(paths, options);
  return problems.map(
    ({ file, line, column, severity, message, suggestion }) =>
      `${basename(file)}:${line}:${column} ${severity} ${message}${suggestion === undefined ? '' : ` (${suggestion})`}`,
  );
}

test('definitions that are right have no problems', async () => {
  await write('a', { invokes: ['b'], runtime: { kind: 'command', program: 'sh' } });
  await write('b', {});
  await writeFile(join(folder, 'README.md'), '# no definition');
  await writeFile(join(folder, '.a.md.swp.md'), 'half');
  expect(await lint()).toEqual([]);
});

test('agents that nobody knows are named at their place, with who was meant', async () => {
  await write('planner', {});
  const file = await write('a', { invokes: ['planner', 'planer', 'elsewhere'] });
  expect(await lint()).toEqual([
    'a.md:5:25 error invokes planer, and there is no such agent (Did you mean planner?)',
    'a.md:5:34 error invokes elsewhere, and there is no such agent',
  ]);
  expect(await lint([file], ['planner', 'planer', 'elsewhere'])).toEqual([]);
});

test('two of one name are an error at the second', async () => {
  const first = await write('a', {});
  await writeFile(join(folder, 'z.md'), '---\ndescription: x\nname: a\n---\nDo it.\n');
  expect(await lint()).toEqual([`z.md:3:7 error already defined in ${first}`]);
});

test('circles are warned of once each', async () => {
  await write('a', { invokes: ['b'] });
  await write('b', { invokes: ['c', 'b'] });
  await write('c', { invokes: ['a'] });
  expect(await lint()).toEqual([
    'a.md:5:14 warning invokes itself in a circle: a → b → c → a',
    'b.md:5:14 warning invokes itself in a circle: b → b',
  ]);
});

test('what would not work here, a shell and an empty prompt are warned of', async () => {
  await write('a', { runtime: { kind: 'command', program: 'no-such-program' } }, '');
  await write('b', { runtime: { kind: 'command', shell: true, command: 'ls' } });
  await write('c', {
    requires: { binaries: ['none-such'] },
    runtime: { kind: 'command', program: 'sh' },
  });
  const found = await lint();
  expect(found).toHaveLength(4);
  expect(found[0]).toContain('a.md:2:1 warning the prompt is empty');
  expect(found[1]).toContain(
    'would be unavailable here: the program no-such-program was not found',
  );
  expect(found[2]).toContain('b.md:5:40 warning the command is run by a shell');
  expect(found[3]).toContain('the program none-such was not found');
});

test('what the parser finds is there, and what can not be read is named', async () => {
  await writeFile(join(folder, 'a.md'), '---\nname: A\ndescription: x\n---\nDo it.\n');
  const found = await lint([folder, join(folder, 'none.md')]);
  expect(found[0]).toContain('a.md:2:7 error name must be');
  expect(found[1]).toContain('none.md:1:1 error the file can not be read');
});
