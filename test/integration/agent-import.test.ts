import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  exportAgents,
  importAgents,
  lintAgents,
  parseAgent,
  type ImportedFile,
} from '../../src/agents/agents.ts';
import { root, testHome } from '../support/cli.ts';
import { contentsOf, fill } from '../support/folders.ts';

const fixtures = join(root, 'test/fixtures/predecessor-agents');
const known = ['git-history'];
let place: string;
let folders = 0;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'centuria-import-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

function newFolder(files: Readonly<Record<string, string>> = {}): string {
  folders += 1;
  const folder = join(place, String(folders));
  mkdirSync(folder);
  fill(folder, files);
  return folder;
}

/** The report line by line, without the folders of this run. */
function lines(files: readonly ImportedFile[], from: string, to: string): string[] {
  const short = (text: string): string => text.replaceAll(`${from}/`, '').replaceAll(to, 'TO');
  return files.flatMap(({ file, status, agent, complaints }) => [
    short(`${file}: ${status}${agent === undefined ? '' : ` as ${agent}`}`),
    ...complaints.map(({ line, column, severity, message, instead }) =>
      short(
        `  ${line}:${column} ${severity}: ${message}${instead === undefined ? '' : ` → ${instead}`}`,
      ),
    ),
  ]);
}

function keptAndRefused(files: readonly ImportedFile[]): string[] {
  return files.map(({ file, status }) => `${status === 'refused' ? 'refused' : 'kept'} ${file}`);
}

const agent = (name: string, rest = ''): string =>
  `---\nname: ${name}\ndescription: Does ${name}.\n${rest}---\n\nYou do.\n`;

describe('the fifty fixtures', () => {
  let to: string;
  let report: ImportedFile[];
  beforeAll(async () => {
    to = newFolder();
    report = await importAgents([fixtures], { to, known, shipped: ['planner'] });
  });

  test('are imported with the report that is checked in', async () => {
    expect(report.length).toBeGreaterThanOrEqual(50);
    const text = `${lines(report, fixtures, to).join('\n')}\n`;
    await expect(text).toMatchFileSnapshot(join(fixtures, 'expected-report.txt'));
  });

  test('become files that lint finds no error in, and nothing else is left behind', async () => {
    const written = report.flatMap(({ target }) => target ?? []);
    expect(
      readdirSync(to)
        .map((name) => join(to, name))
        .toSorted(),
    ).toEqual(written.toSorted());
    const environment = { PATH: '/usr/bin' };
    const { problems } = await lintAgents([to], { packageRoot: root, environment, known });
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  test('lose no word of what was kept', async () => {
    const architect = readFileSync(join(to, 'architect.md'), 'utf8');
    expect(architect).toMatch(/^---\n# Before the import: version 8\.0\.0, uuid .*, emoji 🏛️\n/);
    expect(parseAgent(architect, 'a.md').definition).toMatchObject({
      name: 'architect',
      category: 'development',
      invokes: ['planner', 'reviewer', 'deployer'],
      frontmatter: { tools: 'Agent, Read, Write, Edit, Bash, Grep', color: 'blue' },
      prompt: '# Architect\n\nYou are Architect.',
    });
    expect(readFileSync(join(to, 'docgen.md'), 'utf8')).toContain(
      '  example: |\n    ```sh\n    make docs\n    ```\n',
    );
    expect(readFileSync(join(to, 'docgen.md'), 'utf8')).toMatch(/\n````yaml\n[^]*\n````\n$/);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test('are unchanged when they are imported again', async () => {
    const before = contentsOf(to);
    const again = await importAgents([fixtures], { to, known });
    expect(keptAndRefused(again)).toEqual(keptAndRefused(report));
    expect(again.filter(({ status }) => status === 'imported' || status === 'losses')).toEqual([]);
    expect(contentsOf(to)).toEqual(before);
  });
});

describe('an import', () => {
  test('of a plan writes nothing and says the same', async () => {
    const from = newFolder({ 'a.md': agent('a'), 'b.md': 'no definition' });
    const to = join(newFolder(), 'not', 'there');
    const planned = await importAgents([from], { to, known, plan: true });
    expect(() => readdirSync(to)).toThrow('ENOENT');
    expect(planned.map(({ status }) => status)).toEqual(['imported', 'refused']);
    expect(await importAgents([from], { to, known })).toEqual(planned);
    expect(readdirSync(to)).toEqual(['a.md']);
  });

  test('writes over what says something else only when it is told to', async () => {
    const from = newFolder({ 'a.md': agent('a', 'color: red\n') });
    const to = newFolder({ 'a.md': agent('a') });
    const [refused] = await importAgents([from], { to, known });
    expect(refused).toMatchObject({ status: 'refused', agent: 'a' });
    expect(refused?.complaints[0]?.message).toMatch(/a\.md is there and says something else$/);
    expect(readFileSync(join(to, 'a.md'), 'utf8')).toBe(agent('a'));
    const [forced] = await importAgents([from], { to, known, force: true });
    expect(forced?.status).toBe('imported');
    expect(readFileSync(join(to, 'a.md'), 'utf8')).toBe(agent('a', 'color: red\n'));
  });

  test('makes no second file for an agent that another file of the folder defines', async () => {
    const from = newFolder({ 'a.md': agent('a') });
    const to = newFolder({ 'other.md': agent('a') });
    const [refused] = await importAgents([from], { to, known, force: true });
    expect(refused?.complaints[0]?.message).toMatch(/^the agent a is defined in .*other\.md$/);
    expect(readdirSync(to)).toEqual(['other.md']);
  });

  test('of two at once lets one of them write', async () => {
    const to = newFolder();
    const results = await Promise.all(
      ['red', 'blue', 'green', 'pink'].map(async (colour) => {
        const from = newFolder({ 'a.md': agent('a', `color: ${colour}\n`) });
        const [result] = await importAgents([from], { to, known });
        return { colour, status: result?.status };
      }),
    );
    const winners = results.filter(({ status }) => status === 'imported');
    expect(winners).toHaveLength(1);
    expect(readFileSync(join(to, 'a.md'), 'utf8')).toContain(`color: ${winners[0]?.colour}`);
    expect(readdirSync(to)).toEqual(['a.md']);
  });

  test('refuses each place that can not be read or written, and goes on', async () => {
    const outside = newFolder({ 'secret.md': agent('secret') });
    const from = newFolder({
      'good.md': agent('good'),
      'in/deep.md': agent('deep'),
      'big.md': agent('big') + 'x'.repeat(256 * 1024),
      'README.md': '# no agent',
      '.hidden/x.md': agent('hidden'),
    });
    mkdirSync(join(from, 'folder.md'));
    symlinkSync(join(outside, 'secret.md'), join(from, 'out.md'));
    symlinkSync('loop.md', join(from, 'loop.md'));
    symlinkSync('good.md', join(from, 'same.md'));
    symlinkSync('..', join(from, 'in', 'up'));
    execFileSync('mkfifo', [join(from, 'pipe.md')]);
    const to = newFolder();
    const files = await importAgents([from, join(from, 'gone.md')], { to, known });
    expect(lines(files, from, to)).toEqual([
      'big.md: refused',
      expect.stringMatching(/ error: the file has 26\d{4} bytes, more than 262144 → /),
      'good.md: imported as good',
      'in/deep.md: imported as deep',
      'loop.md: refused',
      expect.stringContaining('a symbolic link that leads out of the folder or nowhere'),
      'out.md: refused',
      expect.stringContaining('a symbolic link that leads out of the folder or nowhere'),
      'pipe.md: refused',
      expect.stringContaining('it is no regular file'),
      'gone.md: refused',
      expect.stringContaining('there is no such file'),
    ]);
    expect(readdirSync(to).toSorted()).toEqual(['deep.md', 'good.md']);
    writeFileSync(join(to, 'file'), '');
    const [unwritten] = await importAgents([join(from, 'good.md')], {
      to: join(to, 'file'),
      known,
    });
    expect(unwritten?.complaints[0]?.message).toMatch(
      /is in the way: it can not be read: ENOTDIR$/,
    );
  });

  test('of an empty folder has nothing to say', async () => {
    expect(await importAgents([newFolder()], { to: newFolder(), known })).toEqual([]);
  });

  test('tells how far it is', async () => {
    const from = newFolder({ 'a.md': agent('a'), 'b.md': 'no definition' });
    const told: string[] = [];
    const onProgress = (done: number, total: number): void => void told.push(`${done}/${total}`);
    await importAgents([from], { to: newFolder(), known, onProgress });
    expect(told).toEqual(['1/2', '2/2']);
  });
});

test('an export gives a file back byte for byte, and keeps what says something else', async () => {
  const odd = '\uFEFF---\r\nname:   a # odd\r\ndescription: b\r\nfuture: {x: [1]}\r\n---\r\nPrompt';
  const { definition } = parseAgent(odd, 'a.md');
  if (definition === undefined) throw new Error('no definition');
  const to = join(newFolder(), '.claude', 'agents');
  expect(await exportAgents([definition], { to, plan: true })).toMatchObject([
    { status: 'exported' },
  ]);
  expect(() => readdirSync(to)).toThrow('ENOENT');
  expect(await exportAgents([definition], { to })).toMatchObject([{ status: 'exported' }]);
  expect(readFileSync(join(to, 'a.md'))).toEqual(Buffer.from(odd));
  expect(await exportAgents([definition], { to })).toMatchObject([{ status: 'unchanged' }]);
  writeFileSync(join(to, 'a.md'), agent('a'));
  expect(await exportAgents([definition], { to })).toMatchObject([{ status: 'refused' }]);
  expect(readFileSync(join(to, 'a.md'), 'utf8')).toBe(agent('a'));
});

test('the command line imports and exports without a server, and exits 1 when a file was refused', async () => {
  const home = await testHome({
    'old/Writer.md':
      '---\nmetadata:\n  name: Writer\n  uuid: x\n  priority: LOW\n  description: a: b\n---\nYou write.\n',
    'old/broken.md': 'nothing',
  });
  try {
    const [imported, exported] = await Promise.all([
      home.cli(['agent', 'import', 'old']),
      home.cli(['agent', 'export', 'git-history', '-o', 'jsonl']),
    ]);
    expect(imported.status).toBe(1);
    expect(imported.stdout).toMatch(/^PLACE +RESULT +WHAT +INSTEAD\n/);
    expect(imported.stdout).toMatch(/^old\/Writer\.md +imported +writer +agents\/writer\.md$/m);
    expect(imported.stdout).toMatch(/^old\/Writer\.md:6:16 +note +description holds a colon/m);
    expect(imported.stdout).toMatch(/^old\/broken\.md:1:1 +error +the file does not begin/m);
    expect(imported.stderr).toBe(
      '2 files: 1 imported, 0 imported with losses, 0 unchanged, 1 refused.\n',
    );
    const { definition } = parseAgent(readFileSync(join(home.path, 'agents/writer.md')), 'w.md');
    expect(definition).toMatchObject({ description: 'a: b', prompt: 'You write.' });
    expect(exported).toMatchObject({
      status: 0,
      stderr: '1 agent: 1 exported, 0 unchanged, 0 refused.\n',
    });
    expect(JSON.parse(exported.stdout)).toMatchObject({ agent: 'git-history', status: 'exported' });
    expect(readFileSync(join(home.path, '.claude/agents/git-history.md'))).toEqual(
      readFileSync(join(root, 'agents/git-history.md')),
    );
  } finally {
    await home.remove();
  }
});
