import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TSchema } from 'typebox';
import Schema from 'typebox/schema';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseAgent } from '../agents/agents.ts';
import { parseWorkflow, workflowFileSchema, type KnownAgents } from './workflow.ts';

const root = join(import.meta.dirname, '../..');
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8');

const fleet: KnownAgents = new Map(
  readdirSync(join(root, 'agents')).flatMap((file) => {
    const { definition } = parseAgent(read('agents', file), file);
    return definition === undefined ? [] : [[definition.name, definition] as const];
  }),
);
const shipped = readdirSync(join(root, 'workflows')).map((file) => read('workflows', file));
const guide = [...read('docs/guides/workflows.md').matchAll(/```yaml\n(name: [^]*?)```/g)].map(
  (match) => match[1] ?? '',
);
const fits = (file: unknown): boolean => Schema.Check(workflowFileSchema() as TSchema, file);

test('what is shipped and what the guide shows loads with the shipped fleet', () => {
  expect(guide.length).toBeGreaterThanOrEqual(2);
  for (const text of [...shipped, ...guide]) {
    expect(parseWorkflow(text, 'flow.yaml', fleet).problems).toEqual([]);
  }
});

test('the schema for editors accepts what loads, and says of each field what it is', () => {
  for (const text of [...shipped, ...guide]) expect(fits(parse(text))).toBe(true);
  const untold: string[] = [];
  const visit = (schema: unknown, path: string): void => {
    if (schema === null || typeof schema !== 'object') return;
    for (const [key, inner] of Object.entries(schema)) {
      if (key === 'properties') {
        for (const [name, field] of Object.entries(inner as object)) {
          if (typeof (field as { description?: string }).description !== 'string') {
            untold.push(`${path}.${name}`);
          }
        }
      }
      visit(inner, `${path}/${key}`);
    }
  };
  visit(workflowFileSchema(), '');
  expect(untold).toEqual([]);
});

test.each([
  ['a misspelled field', 'tasks: { a: { agent: l, retrys: 1 } }'],
  ['a task that is nothing', 'tasks: { a: { needs: [] } }'],
  ['a group of no mode', 'tasks: { a: { tasks: { b: { agent: l } } } }'],
  [
    'a field of another mode',
    'tasks: { a: { mode: parallel, quorum: 1, tasks: { b: { agent: l } } } }',
  ],
  ['an id with a slash', 'tasks: { a/b: { agent: l } }'],
])('the schema for editors refuses %s', (_name, body) => {
  const head = 'name: x\nmode: parallel\n';
  expect(fits(parse(`${head}tasks: { a: { agent: l } }`))).toBe(true);
  expect(fits(parse(`${head}${body}`))).toBe(false);
});
