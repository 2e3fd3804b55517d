import { expect, test } from 'vitest';
import type { Problem } from '../agents/agents.ts';
import { inProcessAgents } from '../../test/support/in-process-agents.ts';
import { agentNamed } from './agent-named.ts';

const wrong: Problem = {
  file: '/fleet/ghost.md',
  line: 7,
  column: 1,
  severity: 'error',
  message: 'centuria.invokes[2] must be lower-case letters',
  suggestion: 'leaf',
};
const agents = { ...inProcessAgents({ leaf: () => 1 }), problems: () => [wrong] };

test('an agent whose file has an error is missing because of that error', () => {
  expect(agentNamed(agents, 'leaf').name).toBe('leaf');
  expect(() => agentNamed(agents, 'ghost')).toThrow(
    expect.objectContaining({
      code: 'agent_not_found',
      message: 'agent ghost is not loaded: centuria.invokes[2] must be lower-case letters',
      remedy: 'Correct /fleet/ghost.md:7: leaf',
    }),
  );
  expect(() => agentNamed(agents, 'lea')).toThrow(
    expect.objectContaining({ remedy: 'Did you mean leaf?' }),
  );
});
