import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { prompt, value, words } from '../../test/support/random-fields.ts';
import { formatAgent } from './format.ts';
import { interpretFile } from './import-interpret.ts';
import { agentNames } from './import-names.ts';
import { parseAgent } from './parse.ts';

const options = {
  file: 'x.md',
  resolveAgent: agentNames(['git-history']),
  sameUuid: () => undefined,
};
const interpret = (text: string) => interpretFile(Buffer.from(text), options);

/** Fields of version 8, each right, odd or absent. */
const metadata = fc.record(
  {
    name: fc.constantFrom('Architect', 'QADirector', 'x y', 'Ärzte'),
    description: words.filter((text) => text.trim() !== ''),
    uuid: words,
    category: fc.oneof(fc.constantFrom('SECURITY', 'Data', 'strategic'), value),
    priority: value,
    status: value,
    color: value,
    model: value,
    command: value,
    tools: value,
    proactive_triggers: value,
    invokes_agents: value,
    patterns: value,
    required: value,
    role: value,
    free: value,
  },
  { requiredKeys: ['name', 'description', 'uuid', 'priority'], noNullPrototype: true },
);

test('a file of version 8 becomes a definition, and that one stays as it is', () => {
  fc.assert(
    fc.property(metadata, prompt, value, (fields, body, section) => {
      const given = formatAgent({ frontmatter: { metadata: fields, section }, prompt: body });
      const { result } = interpret(given);
      const text = result?.text ?? '';
      const { definition } = parseAgent(text, 'x.md');
      expect(definition?.name).toBe(result?.name);
      expect(
        definition?.prompt.startsWith(
          parseAgent(`---\nname: a\ndescription: b\n---\n${body}`, '').definition?.prompt ?? '',
        ),
      ).toBe(true);
      const again = interpret(text);
      expect(again.result).toEqual({ name: result?.name, text });
      const grave = again.complaints.filter(({ severity }) => severity !== 'note');
      expect(grave).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test('whatever a file holds, it becomes a definition or there is an error that says why not', () => {
  const pieces = fc.constantFrom(
    '---\n',
    'metadata:\n',
    '  ',
    'name: X\n',
    'description: a: b\n',
    'tools:\n',
    '- Read\n',
    'uuid: 1\n',
    '\t',
    '*',
    '"',
    '&a ',
    '<<: *a\n',
    '\u0000',
    '\r\n',
    'priority: [\n',
    'é',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 25 }), (parts) => {
      const { result, complaints } = interpret(parts.join(''));
      const isRefused = complaints.some(({ severity }) => severity === 'error');
      expect(result === undefined).toBe(isRefused);
      expect(parseAgent(result?.text ?? '', 'x.md').definition?.name).toBe(result?.name);
    }),
    { numRuns: 300 },
  );
});
