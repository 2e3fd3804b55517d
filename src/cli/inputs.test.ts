import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { AppError } from '../base/base.ts';
import type { InputSpec } from '../coordination/coordination.ts';
import { parseInputs, readInputs } from './inputs.ts';

const spec = (type: InputSpec['type'], value?: string): InputSpec => ({
  type,
  description: '',
  required: false,
  ...(value === undefined ? {} : { default: value }),
});
const specs = {
  repo: spec('git-repository', '.'),
  title: spec('string'),
  depth: spec('integer'),
  share: spec('number'),
  deep: spec('boolean'),
};

test('a value gets the type of its input', () => {
  const pairs = ['depth=12', 'share=0.5', 'deep=true', 'title=12', 'repo=../x'];
  expect(parseInputs(pairs, specs, '/data/ada/code')).toEqual({
    depth: 12,
    share: 0.5,
    deep: true,
    title: '12',
    repo: '/data/ada/x',
  });
});

test('a value may hold the sign and line breaks', () => {
  expect(parseInputs(['title=a=b\nc'], specs, '/')).toEqual({ title: 'a=b\nc' });
});

test('without known inputs a value is text, and := takes JSON', () => {
  expect(parseInputs(['a=1', 'b:=1', 'c:={"d":[true]}'], undefined, '/')).toEqual({
    a: '1',
    b: 1,
    c: { d: [true] },
  });
});

test.each([
  ['depth=1.5', 'invalid_input', 'depth'],
  ['depth=', 'invalid_input', 'depth'],
  ['share=much', 'invalid_input', 'share'],
  ['deep=yes', 'invalid_input', 'true or false'],
  ['titel=x', 'invalid_input', 'titel'],
  ['title', 'usage', 'name=value'],
  ['title:={', 'invalid_input', 'title'],
])('--input %s is refused as %s naming %s', (pair, code, named) => {
  const refuse = (): unknown => parseInputs([pair], specs, '/');
  expect(refuse).toThrow(AppError);
  expect(refuse).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(named) }),
  );
});

test('a misspelled input gets the right name as the remedy', () => {
  expect(() => parseInputs(['titel=x'], specs, '/')).toThrow(
    expect.objectContaining({ remedy: 'Did you mean title?' }),
  );
});

test('an input given twice is refused', () => {
  expect(() => parseInputs(['title=a', 'title=b'], specs, '/')).toThrow(/twice/);
});

function face(content = ''): { cwd: string; stdin: PassThrough } {
  const stdin = new PassThrough();
  stdin.end(content);
  return { cwd: '/data/ada/code', stdin };
}

test('JSON comes from standard input, single values win over it, and the default path is here', async () => {
  const options = { inputJson: '-', input: ['depth=3'] };
  expect(await readInputs(options, specs, face('{"depth":1,"title":"t"}'))).toEqual({
    depth: 3,
    title: 't',
    repo: '/data/ada/code',
  });
});

test.each(['[1]', 'null', '"x"', '{'])('JSON that is no object is refused: %s', async (content) => {
  await expect(readInputs({ inputJson: '-' }, specs, face(content))).rejects.toThrow(
    expect.objectContaining({ code: 'invalid_input' }),
  );
});

test('a file that is not there is named', async () => {
  await expect(readInputs({ inputJson: 'nowhere.json' }, specs, face())).rejects.toThrow(
    /nowhere\.json/,
  );
});
