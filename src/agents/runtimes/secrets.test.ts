import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { AppError } from '../../base/base.ts';
import type { AgentDefinition } from '../agents.ts';
import { AgentFailure } from '../failure.ts';
import { parseAgent } from '../parse.ts';
import { missingVariable, readSecrets, secretsOf } from './secrets.ts';

/** A command's parser has no secrets: the runtime is put in afterwards, as other kinds have it. */
function agentOf(runtime: object, environment: readonly string[]): AgentDefinition {
  const own = JSON.stringify({ requires: { environment } });
  const text = `---\nname: fixture\ndescription: x\ncenturia: ${own}\n---\n`;
  const { definition } = parseAgent(text, 'fixture.md');
  if (definition === undefined) throw new Error('the fixture is wrong');
  return { ...definition, runtime: { kind: 'http', ...runtime } };
}

test('only what the runtime refers to is read', async () => {
  const agent = agentOf({ headers: { a: 'Bearer ${secret.KEY}' } }, ['KEY', 'REGION']);
  const secrets = await readSecrets(agent, { KEY: ' abcdefgh\n', REGION: 'eu-central' });
  expect(secrets.values).toEqual({ KEY: 'abcdefgh' });
});

test('a value comes from the file that NAME_FILE names', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'secrets-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'key');
  await writeFile(file, 'from-the-file\n');
  const agent = agentOf({ body: '${secret.KEY}' }, ['KEY']);
  expect((await readSecrets(agent, { KEY_FILE: file })).values).toEqual({ KEY: 'from-the-file' });
  expect(await missingVariable('KEY', { KEY: 'x', KEY_FILE: file })).toMatch(/both/);
  await writeFile(file, ' \n');
  expect(await missingVariable('KEY', { KEY_FILE: file })).toMatch(/empty/);
  expect(await missingVariable('KEY', { KEY_FILE: folder })).toMatch(/names no file/);
  expect(await missingVariable('KEY', { KEY_FILE: join(folder, 'no') })).toMatch(/ENOENT/);
});

test('a secret that is not there or not listed makes the agent unavailable', async () => {
  const agent = agentOf({ body: '${secret.KEY}' }, ['KEY']);
  const wanted = { code: 'agent_unavailable', message: expect.stringContaining('KEY is not set') };
  await expect(readSecrets(agent, {})).rejects.toMatchObject(wanted);
  await expect(readSecrets(agent, { KEY: '' })).rejects.toMatchObject(wanted);
  const unlisted = agentOf({ body: '${secret.HOME}' }, []);
  await expect(readSecrets(unlisted, { HOME: 'x' })).rejects.toThrow(/not listed/);
});

test('no value stays in a text, a value or an error, in no form that peers quote it in', () => {
  const value = fc.string({ minLength: 8, maxLength: 40 }).filter((text) => text.trim().length > 7);
  fc.assert(
    fc.property(value, fc.string(), (secret, around) => {
      const secrets = secretsOf({ KEY: secret });
      const forms = [
        secret,
        JSON.stringify(secret).slice(1, -1),
        encodeURIComponent(secret),
        Buffer.from(secret).toString('base64'),
      ];
      for (const form of forms) {
        expect(secrets.redact(`${around}<${form}>`)).not.toContain(form);
        const error = new AgentFailure(
          new AppError('agent_failed', `it said <${form}>`, {
            details: { said: [form] },
            remedy: `not ${form}`,
            cause: new Error(form),
          }),
          { partial: { [form]: form } },
        );
        const { message, details, remedy, partial, cause } = secrets.redactError(
          error,
        ) as AgentFailure;
        expect({ message, details, remedy, partial, cause }).toEqual({
          message: 'it said <[secret KEY]>',
          details: { said: ['[secret KEY]'] },
          remedy: 'not [secret KEY]',
          partial: { '[secret KEY]': '[secret KEY]' },
          cause: undefined,
        });
      }
    }),
  );
});

test('a short value is hidden where it stands by itself, and words that hold it stay', () => {
  const secrets = secretsOf({ PIN: '1234', WORD: 'none' });
  expect(secrets.redact('pin=1234, 12345, nonetheless "none"')).toBe(
    'pin=[secret PIN], 12345, nonetheless "[secret WORD]"',
  );
});

test('what holds no secret is the same object', () => {
  const value = { a: [1, 'two', { b: null }] };
  expect(secretsOf({ KEY: 'abcdefgh' }).redactValue(value)).toBe(value);
});
