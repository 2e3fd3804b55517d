import { expect, test } from 'vitest';
import { agentNames, foldCategory, foldColour, foldName } from './import-names.ts';

test.each([
  ['Architect', 'architect'],
  ['APIDesigner', 'api-designer'],
  ['QADirector', 'qa-director'],
  ['PyGUI', 'py-gui'],
  ['ANDROIDMOBILE', 'androidmobile'],
  ['C_MAKE-INTERNAL', 'c-make-internal'],
  ['  Über  Agent!', 'uber-agent'],
  ['5', '5'],
  ['🎯', undefined],
  ['x'.repeat(65), undefined],
])('%s is the agent %s', (given, name) => {
  expect(foldName(given)).toBe(name);
});

test('an agent is meant with and without hyphens, unless several could be', () => {
  const resolve = agentNames(['security-auditor', 'data-science', 'datascience', 'web']);
  expect(resolve('SECURITYAUDITOR')).toBe('security-auditor');
  expect(resolve('SecurityAuditor')).toBe('security-auditor');
  expect(resolve('DataScience')).toBe('data-science');
  expect(resolve('DATASCIENCE')).toBe('datascience');
  expect(resolve('data_sci-ence')).toBe('several');
  expect(resolve('ALL_AGENTS')).toBeUndefined();
});

test('a category is one of the ten in whatever case', () => {
  expect(foldCategory(' SECURITY ')).toBe('security');
  expect(foldCategory('STRATEGIC')).toBe('command');
  expect(foldCategory('constructor')).toBeUndefined();
});

test.each([
  ['#FFD700', 'yellow'],
  ['#00f', 'blue'],
  ['Purple', 'purple'],
  ['#12345', undefined],
  ['mauve', undefined],
  ['toString', undefined],
])('the color %s is %s', (given, colour) => {
  expect(foldColour(given)).toBe(colour);
});
