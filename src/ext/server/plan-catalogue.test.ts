import { expect, test } from 'vitest';
import { catalogueSteps } from './plan-catalogue.ts';

const fileNames = [
  'a.control',
  'a--1.0.sql',
  'a--1.0--1.1.sql',
  'a--1.1--1.2.sql',
  'a--1.2--1.0.sql',
];
const at = (database: string, name: string, version: string) => ({ database, name, version });
const state = {
  isStandby: false,
  databases: ['one', 'two', 'none'],
  installed: [at('one', 'a', '1.0'), at('two', 'a', '1.1'), at('two', 'b', '2.0')],
};
const extensions = [
  { name: 'a', version: '1.2' },
  { name: 'b', version: '2.0' },
];

test('every database with an extension of the bundle has a step, and the way back where there is one', () => {
  expect(catalogueSteps(state, { extensions, fileNames })).toEqual([
    {
      database: 'one',
      extension: 'a',
      action: 'update',
      from: '1.0',
      to: '1.2',
      back: ['1.2', '1.0'],
    },
    {
      database: 'two',
      extension: 'a',
      action: 'update',
      from: '1.1',
      to: '1.2',
      back: ['1.2', '1.0', '1.1'],
    },
    { database: 'two', extension: 'b', action: 'none', from: '2.0', to: '2.0' },
  ]);
  const oneWay = fileNames.filter((name) => name !== 'a--1.2--1.0.sql');
  const [first] = catalogueSteps(state, { extensions, fileNames: oneWay });
  expect(first).not.toHaveProperty('back');
});

test('what is to be created is created in the databases that are named, and only where it is not', () => {
  const asked = { extensions, fileNames, databases: ['none', 'two'], create: ['b'] };
  expect(catalogueSteps(state, asked)).toMatchObject([
    { database: 'none', extension: 'b', action: 'create', to: '2.0' },
    { database: 'two', extension: 'a', action: 'update' },
    { database: 'two', extension: 'b', action: 'none' },
  ]);
});

test('a version that no scripts lead to is refused, with the script that is missing', () => {
  const without = { extensions, fileNames: ['a--1.0.sql'] };
  expect(() => catalogueSteps(state, without)).toThrow(
    expect.objectContaining({ code: 'ext_refused' }),
  );
  expect(() => catalogueSteps(state, without)).toThrow(
    'lead a from 1.0, which database “one” has, to 1.2',
  );
});

test('options that can not be meant are refused, and a standby has nothing to be done', () => {
  const base = { extensions, fileNames };
  const code = (options: object): unknown => {
    try {
      return catalogueSteps(state, { ...base, ...options });
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  expect(code({ create: ['b'] })).toBe('usage');
  expect(code({ create: ['c'], databases: ['one'] })).toBe('usage');
  expect(code({ databases: ['gone'] })).toBe('not_found');
  expect(catalogueSteps({ ...state, isStandby: true }, base)).toEqual([]);
});
