import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import type { AgentDefinition } from './agents.ts';
import { lintAgents } from './lint.ts';
import { parseAgent } from './parse.ts';
import { verifyOutput } from './verify.ts';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'agents');
const files = readdirSync(folder).filter((name) => name.endsWith('.md'));
const fleet = files.flatMap((name) => {
  const file = join(folder, name);
  return parseAgent(readFileSync(file), file).definition ?? [];
});
/** Those whose answer a model writes: nothing but their schemas stands between it and a run. */
const experts = fleet.filter(({ runtime }) => runtime?.kind !== 'command');
const own = (agent: AgentDefinition) =>
  agent.frontmatter['centuria'] as Readonly<Record<string, unknown>>;

test('every shipped definition is without problems and bears the name of its file', async () => {
  const { problems } = await lintAgents([folder], {
    packageRoot: root,
    environment: { PATH: process.env['PATH'] },
  });
  // What a machine lacks is no fault of a definition.
  const faults = problems.filter(({ message }) => !message.startsWith('would be unavailable'));
  expect(faults.map(({ file, line, message }) => `${basename(file)}:${line} ${message}`)).toEqual(
    [],
  );
  expect(fleet.map(({ name }) => `${name}.md`)).toEqual(files);
});

test('no shipped agent can come back to itself by those that it invokes', () => {
  const byName = new Map(fleet.map((agent) => [agent.name, agent]));
  const reaches = (from: string, seen = new Set<string>()): Set<string> => {
    for (const next of byName.get(from)?.invokes ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      reaches(next, seen);
    }
    return seen;
  };
  const inCircles = fleet.filter(({ name }) => reaches(name).has(name)).map(({ name }) => name);
  expect(inCircles).toEqual([]);
});

test('every shipped agent says its time limit, its effects and how its result is checked', () => {
  const required = ['category', 'capabilities', 'timeoutSeconds', 'sideEffects', 'verify'];
  const silent = fleet.flatMap((agent) =>
    required.filter((field) => own(agent)[field] === undefined).map((f) => `${agent.name} ${f}`),
  );
  expect(silent).toEqual([]);
  const unbounded = experts.filter(
    ({ input, budget }) =>
      input === undefined || budget?.tokens === undefined || budget.usd === undefined,
  );
  expect(unbounded.map(({ name }) => name)).toEqual([]);
});

test('a shipped agent that changes files by a model works in a worktree and may not run any command', () => {
  const loose = experts.filter(({ runtime, frontmatter, sideEffects }) => {
    const tools = String(frontmatter['tools']).split(/,\s*/);
    if (runtime?.kind === 'model') return tools.join() !== 'Read,Grep,Glob';
    const fenced = frontmatter['isolation'] === 'worktree' && sideEffects === 'workspace';
    return !fenced || tools.includes('Bash') || tools.includes('Bash(*)');
  });
  expect(loose.map(({ name }) => name)).toEqual([]);
});

test('the check of every shipped agent refuses a text, nothing and an answer with more than was asked', async () => {
  const accepted: string[] = [];
  for (const agent of fleet) {
    for (const output of ['All done.', {}]) {
      await verifyOutput(agent, output, {}).then(
        () => accepted.push(`${agent.name}: ${JSON.stringify(output)}`),
        (error: unknown) => expect(error).toMatchObject({ code: 'agent_output_invalid' }),
      );
    }
  }
  expect(accepted).toEqual([]);
  expect(experts.flatMap((agent) => openObjects(agent.verify?.['schema'], agent.name))).toEqual([]);
});

test('no two shipped prompts share a sentence', () => {
  const seen = new Map<string, string>();
  const shared: string[] = [];
  for (const { name, prompt } of fleet) {
    for (const line of new Set(prompt.split('\n').map((text) => text.trim()))) {
      if (line.length < 60) continue;
      const first = seen.get(line);
      if (first === undefined) seen.set(line, name);
      else shared.push(`${first} and ${name}: ${line}`);
    }
  }
  expect(shared).toEqual([]);
  expect(seen.size).toBeGreaterThan(fleet.length);
});

/** Places of objects in a JSON Schema that allow fields which it does not name. */
function openObjects(schema: unknown, place: string): string[] {
  if (schema === null || typeof schema !== 'object') return [];
  const { type, additionalProperties } = schema as Record<string, unknown>;
  const inner = Object.entries(schema).flatMap(([key, value]) =>
    openObjects(value, `${place}/${key}`),
  );
  return type === 'object' && additionalProperties !== false ? [place, ...inner] : inner;
}
