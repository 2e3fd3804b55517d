import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { AppError, errorRecord, flagName, loadConfig, settings, type SettingName } from './base.ts';

const folder = mkdtempSync(join(tmpdir(), 'centuria-config-'));
const home = join(folder, 'home');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home);
});

const names = Object.keys(settings) as SettingName[];
const withFile = (text: string): void => writeFileSync(join(home, 'config.yaml'), text);

function load(given: { flags?: Record<string, unknown>; env?: Record<string, string> } = {}) {
  return loadConfig({ flags: { home, ...given.flags }, env: given.env ?? {}, cwd: folder });
}

function failure(given: Parameters<typeof load>[0] = {}): AppError {
  try {
    load(given);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

test('without anything every setting has its default, which its own schema accepts', () => {
  const { values, origins } = load();
  for (const name of names) {
    expect(values[name]).toEqual(settings[name].default);
    expect(origins[name].origin).toBe('default');
  }
});

test('flag goes over environment, environment over file, file over default', () => {
  fc.assert(
    fc.property(fc.subarray(['flag', 'environment', 'file'] as const), (given) => {
      const port = { flag: 1111, environment: 2222, file: 3333, default: 8081 };
      withFile(given.includes('file') ? `bridgePort: ${port.file}` : '');
      const config = load({
        flags: given.includes('flag') ? { bridgePort: String(port.flag) } : {},
        env: given.includes('environment')
          ? { CENTURIA_BRIDGE_PORT: String(port.environment) }
          : {},
      });
      const origin = given[0] ?? 'default';
      expect(config.values.bridgePort).toBe(port[origin]);
      expect(config.origins.bridgePort.origin).toBe(origin);
    }),
  );
});

test('where a value comes from is told exactly', () => {
  withFile('logLevel: debug');
  const { origins } = load({ flags: { bridgePort: 1 }, env: { CENTURIA_BRIDGE_HOST: '::1' } });
  expect(origins.bridgePort.where).toBe('--bridge-port');
  expect(origins.bridgeHost.where).toBe('CENTURIA_BRIDGE_HOST');
  expect(origins.logLevel.where).toBe(join(home, 'config.yaml'));
});

test('a flag is the name in kebab case', () => {
  expect(flagName('bridgePort')).toBe('--bridge-port');
  expect(flagName('workerLeaseMs')).toBe('--worker-lease-ms');
});

test('an empty variable counts as not set', () => {
  const { values } = load({ env: { CENTURIA_BRIDGE_PORT: '', CENTURIA_DATABASE_URL: '' } });
  expect(values.bridgePort).toBe(8081);
});

test('a list is split at colons in the environment and given as a list in the file', () => {
  const { values } = load({ env: { CENTURIA_AGENT_FOLDERS: 'a:b/c::' } });
  expect(values.agentFolders).toEqual(['a', 'b/c']);
  withFile('agentFolders: [a, "b:c"]');
  expect(load().values.agentFolders).toEqual(['a', 'b:c']);
});

test('an unknown variable names the nearest known one', () => {
  const error = failure({ env: { CENTURIA_BRIDGE_PROT: '1' } });
  expect(error.code).toBe('config_invalid');
  expect(error.message).toBe('the environment: unknown setting CENTURIA_BRIDGE_PROT');
  expect(error.remedy).toBe('Did you mean CENTURIA_BRIDGE_PORT?');
});

test('an unknown key of the file names the nearest known one', () => {
  withFile('brigePort: 1');
  const error = failure();
  expect(error.message).toBe(`${join(home, 'config.yaml')}: unknown setting brigePort`);
  expect(error.remedy).toBe('Did you mean bridgePort?');
});

test('variables of others, of the data folder and of an attempt are no settings', () => {
  const env = { PATH: '/bin', CENTURIA_CACHE: '/c', CENTURIA_ATTEMPT_ID: 'x', CENTURIA: 'y' };
  expect(load({ env }).values.bridgePort).toBe(8081);
});

test('only a secret may come from a file', () => {
  const error = failure({ env: { CENTURIA_BRIDGE_PORT_FILE: '/x' } });
  expect(error.message).toContain('unknown setting CENTURIA_BRIDGE_PORT_FILE');
});

test('a secret comes from the file that is named, without the white space around it', () => {
  writeFileSync(join(folder, 'url'), '\n postgres://u:p@h/d \n');
  for (const path of [join(folder, 'url'), 'url']) {
    const config = load({ env: { CENTURIA_DATABASE_URL_FILE: path, CENTURIA_DATABASE_URL: '' } });
    expect(config.values.databaseUrl).toBe('postgres://u:p@h/d');
    expect(config.origins.databaseUrl.where).toBe(`CENTURIA_DATABASE_URL_FILE (${path})`);
  }
});

test('a secret given both ways, by an absent file or by an empty one is refused', () => {
  writeFileSync(join(folder, 'empty'), ' \n');
  const both = { CENTURIA_DATABASE_URL: 'postgres://h/d', CENTURIA_DATABASE_URL_FILE: 'url' };
  expect(failure({ env: both }).message).toBe(
    'both CENTURIA_DATABASE_URL and CENTURIA_DATABASE_URL_FILE are set',
  );
  expect(failure({ env: { CENTURIA_DATABASE_URL_FILE: 'absent' } }).message).toContain(
    'CENTURIA_DATABASE_URL_FILE (absent): can not be read',
  );
  expect(failure({ env: { CENTURIA_DATABASE_URL_FILE: 'empty' } }).message).toContain(
    'the file is empty',
  );
});

test.each([
  ['bridgePort: 70000', 'bridgePort', '70000'],
  ['bridgePort: "80"', 'bridgePort', '"80"'],
  ['bridgePort: 80.5', 'bridgePort', '80.5'],
  ['logLevel: loud', 'logLevel', '"loud"'],
  ['agentFolders: x', 'agentFolders', '"x"'],
  ['workerLeaseMs: null', 'workerLeaseMs', 'null'],
])('%s is refused with the name, the value and what would be right', (text, name, shown) => {
  withFile(text);
  const error = failure();
  expect(error.message).toContain(`config.yaml: ${name} `);
  expect(error.message).toContain(`got ${shown}`);
  expect(error.remedy).toBe(settings[name as SettingName].description);
});

test.each(['80x', '-1', '8e3', ' 80', '99999999999999999999'])(
  'the port %s from the environment is refused',
  (text) => {
    expect(failure({ env: { CENTURIA_BRIDGE_PORT: text } }).message).toContain(
      'CENTURIA_BRIDGE_PORT: bridgePort ',
    );
  },
);

test('YAML that does not parse is refused with its line', () => {
  withFile('logLevel: info\nbridgePort: [1,\n\n');
  expect(failure().message).toMatch(/config\.yaml:\d+: not valid YAML: /);
  withFile('bridgePort: 1\nbridgePort: 2');
  expect(failure().message).toContain('config.yaml:2: not valid YAML: duplicate key');
});

test('a file of something else than settings is refused, and an empty one is none', () => {
  withFile('- bridgePort');
  expect(failure().message).toContain('settings must be a map of names to values');
  withFile('# nothing yet\n');
  expect(load().values.bridgePort).toBe(8081);
  rmSync(join(home, 'config.yaml'));
  mkdirSync(join(home, 'config.yaml'));
  expect(failure().message).toContain('can not be read');
});

test('a secret is in no message, whatever it looks like', () => {
  const secret = fc
    .tuple(fc.constantFrom('', '*', '&', '!', '%', '@', '[', '{', '"', 'a: ', '? '), fc.uuid())
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(secret, fc.constantFrom('', '\nbridgePort: x', '\n  - x', ': y'), (text, more) => {
      const plain = text.slice(-36);
      withFile(`databaseUrl: ${text}${more}`);
      const outcome = (() => {
        try {
          return load().origins;
        } catch (error) {
          return errorRecord(error);
        }
      })();
      expect(JSON.stringify(outcome)).not.toContain(plain);
    }),
  );
  const wrongType = failure({ flags: { databaseUrl: ['p4ssw0rd'] } });
  expect(JSON.stringify(errorRecord(wrongType))).not.toContain('p4ssw0rd');
});

test('the data folder is the flag, the variable, the nearest own .centuria, or the one at home', () => {
  const deep = join(folder, 'project', 'src', 'deep');
  mkdirSync(deep, { recursive: true });
  const project = join(folder, 'project', '.centuria');
  mkdirSync(project);
  const find = (flags: Record<string, unknown>, env: Record<string, string>, cwd = deep) => {
    const { home: found, homeOrigin } = loadConfig({ flags, env, cwd });
    return [found, homeOrigin];
  };
  expect(find({ home: 'x' }, { CENTURIA_HOME: 'y' })).toEqual([join(deep, 'x'), 'flag']);
  expect(find({}, { CENTURIA_HOME: 'y' })).toEqual([join(deep, 'y'), 'environment']);
  expect(find({}, { CENTURIA_HOME: '' })).toEqual([project, 'found']);
  rmSync(project, { recursive: true });
  writeFileSync(project, 'a file, not a folder');
  const [found, origin] = find({}, {});
  // Whoever runs this may have a .centuria above the temporary folder or at home.
  expect(found).not.toBe(project);
  expect(origin === 'found' || found === join(homedir(), '.centuria')).toBe(true);
  rmSync(project);
});

test('an empty --home is refused instead of making the working directory the data folder', () => {
  expect(failure({ flags: { home: '' } }).message).toBe('--home is empty');
});

test.runIf(process.getuid?.() !== 0)('a closed folder on the way up is passed over', () => {
  const closed = join(folder, 'closed');
  mkdirSync(join(closed, '.centuria'), { recursive: true });
  chmodSync(closed, 0o600);
  try {
    const { home: found } = loadConfig({ flags: {}, env: {}, cwd: closed });
    expect(found).not.toBe(join(closed, '.centuria'));
  } finally {
    chmodSync(closed, 0o700);
  }
});

test.runIf(process.getuid?.() === 0)('a .centuria of somebody else is passed over', () => {
  const foreign = join(folder, '.centuria');
  mkdirSync(foreign);
  expect(loadConfig({ flags: {}, env: {}, cwd: folder }).home).toBe(foreign);
  chownSync(foreign, 65_534, 65_534);
  expect(loadConfig({ flags: {}, env: {}, cwd: folder }).home).not.toBe(foreign);
  rmSync(foreign, { recursive: true });
});
