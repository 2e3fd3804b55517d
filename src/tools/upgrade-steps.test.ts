import { expect, test } from 'vitest';
import { planSteps, type Upgrade } from './upgrade-steps.ts';
import { lowestOf, parseVersion, satisfies } from './versions.ts';

function upgrade(name: string, from: string, latest: string, more: Partial<Upgrade> = {}): Upgrade {
  return { name, from, wanted: from, latest, isDev: false, peers: new Map(), ...more };
}

test('small steps go first and together; breaking ones go with what must move beside them, tools first', () => {
  const steps = planSteps(
    [
      upgrade('react', '18.0.0', '19.0.0'),
      upgrade('react-dom', '18.0.0', '19.0.0', { peers: new Map([['react', '^19.0.0']]) }),
      upgrade('router', '6.0.0', '7.0.0', { peers: new Map([['react', '>=18']]) }),
      upgrade('lint', '8.0.0', '9.0.0', { isDev: true }),
      upgrade('lint-rules', '1.0.0', '2.0.0', { isDev: true }),
      upgrade('left', '1.0.0', '1.2.0'),
      upgrade('zero', '0.3.1', '0.3.9'),
      upgrade('early', '0.3.1', '0.4.0'),
    ],
    [{ by: 'lint-rules', on: 'lint', range: '^8.0.0' }],
  );
  expect(steps.map(({ members }) => members.map(({ name }) => name).join(' '))).toEqual([
    'left zero',
    'lint lint-rules',
    'early',
    'react react-dom',
    'router',
  ]);
  expect(steps[1]?.why).toEqual(['lint-rules as installed takes lint ^8.0.0 only']);
  expect(steps[3]?.why).toContain('react-dom 19.0.0 expects react ^19.0.0');
});

test.each([
  ['1.2.3', '^1.2.0', true],
  ['2.0.0', '^1.2.0', false],
  ['0.2.9', '^0.2.3', true],
  ['0.3.0', '^0.2.3', false],
  ['1.2.9', '~1.2.3', true],
  ['1.3.0', '~1.2.3', false],
  ['1.9.9', '1.x', true],
  ['18.0.0', '>=16 <19', true],
  ['19.0.0', '>= 16 < 19', false],
  ['19.0.0', '^17 || ^19', true],
  ['1.5.0', '1.2 - 1.5', true],
  ['1.6.0', '1.2 - 1.5', false],
  ['7.0.0', '*', true],
  ['1.0.0-rc.1', '^1.0.0', false],
  ['1.0.0', 'latest', undefined],
])('%s in %s: %s', (version, range, expected) => {
  const parsed = parseVersion(version);
  expect(parsed && satisfies(parsed, range)).toBe(expected);
});

test('the lowest version that a promise names is the one to hold others against', () => {
  expect(lowestOf('>=22.18')).toMatchObject({ major: 22, minor: 18 });
  expect(lowestOf('^20 || ^18.2')).toMatchObject({ major: 18, minor: 2 });
  expect(lowestOf('*')).toBeUndefined();
});
