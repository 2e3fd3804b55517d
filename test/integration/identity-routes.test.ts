/**
 * Every operation of the bridge by everybody who could ask. The table is written by hand from what
 * permissions mean, never from what routes say; an operation that is not in it fails.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openapiDocument } from '../../src/api/api.ts';
import { actions } from '../../src/identity/identity.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';

const everybody = [
  'nobody',
  'bare',
  'guest',
  'monitor',
  'agent',
  'system',
  'admin',
  'owner',
] as const;
/** `bare` is signed in and has no role; `owner` shows the token of the data folder; the others are the system roles. */
type Who = (typeof everybody)[number];

const withCredential: readonly Who[] = everybody.filter((who) => who !== 'nobody');
const readers: readonly Who[] = ['guest', 'monitor', 'agent', 'system', 'admin', 'owner'];
const workers: readonly Who[] = ['agent', 'system', 'admin', 'owner'];
const watchers: readonly Who[] = ['monitor', 'admin', 'owner'];
const administrators: readonly Who[] = ['admin', 'owner'];

interface Group {
  readonly may: readonly Who[];
  readonly operations: string;
  /** What the others hear: that they may not, or are nobody if they show nothing. */
  readonly otherwise?: string;
}

/** Where no permission is asked for. */
const byCredential: Readonly<Record<string, Group>> = {
  'the ways in, and what clients must know before': {
    may: everybody,
    operations: `getHealth getSignInState login loginSecondFactor getPasskeyOptions loginPasskey
      getOAuthAuthorizationServer getOAuthProtectedResource getOAuthProtectedResourceMcp getKeys
      authorize revokeToken getA2aCard`,
  },
  'where a client shows who it is, which a token for this server is no proof of': {
    may: ['nobody'],
    operations: 'getToken beginDeviceLogin',
    otherwise: 'is nobody',
  },
  'what is about the caller himself, or about nobody': {
    may: withCredential,
    operations: `getMe checkMyAccess changeMyPassword beginTotp confirmTotp removeMyTotp
      listMyPasskeys getPasskeyRegistration addMyPasskey removeMyPasskey
      listMySessions endMyOtherSessions endMySession listMyApiKeys createMyApiKey revokeMyApiKey
      introspectToken listPermissions getOpenapi callMcp callA2a callA2aAgent`,
  },
  'what a person decides at a browser': {
    may: withCredential.filter((who) => who !== 'owner'),
    operations: 'getAuthorization decideAuthorization getDevice decideDevice',
  },
  'what would let a session make sessions': { may: ['owner'], operations: 'createLoginLink' },
};

/** By the one permission that is asked for, and who of the system has it. */
const byPermission: Readonly<Record<string, Group>> = {
  'agents.read': {
    may: readers,
    operations: `getBridgeAgents listAgents listAgentProblems getAgent listAgentTools
      listA2aAgents getA2aAgentCard getA2aAgentCardBelow`,
  },
  'agents.write': { may: ['system', 'admin', 'owner'], operations: 'acceptAgentTool' },
  'agents.execute': {
    may: workers,
    operations: 'invokeAgent startAgentRun callAttempt cancelAttempt',
  },
  'workflows.read': { may: readers, operations: 'listWorkflows getWorkflow' },
  'workflows.execute': { may: workers, operations: 'startRun' },
  'runs.read': {
    may: readers,
    operations: `listRuns getRun listRunCalls listRunEvents waitForRun listQuestions getUndoPlan listFailures
      getFailure listFailureRuns`,
  },
  'runs.write': {
    may: workers,
    operations: `pauseRun resumeRun cancelRun retryRun forkRun signalRun retryFailures dismissFailure`,
  },
  'runs.approve': { may: administrators, operations: 'answerRun' },
  'runs.undo': { may: ['system', 'admin', 'owner'], operations: 'undoRun' },
  'limits.read': {
    may: readers,
    operations: 'listBreakers listBudgets getBudget listBudgetUse',
  },
  'limits.write': {
    may: ['system', 'admin', 'owner'],
    operations: 'resetBreaker setBudget deleteBudget',
  },
  'learning.read': {
    may: readers,
    operations: `getLearningStatus getLearningEvaluation listAgentPerformance getAgentPerformance listTaskTypes
      listCombinations listInsights listPolicies recommendAgent getLearningMode`,
  },
  'learning.write': { may: workers, operations: 'giveFeedback reportOutcome' },
  'learning.execute': {
    may: ['system', 'admin', 'owner'],
    operations: 'setLearningMode retrainLearning',
  },
  system: { may: ['system', 'admin', 'owner'], operations: 'pruneRuns' },
  'schedules.read': { may: readers, operations: 'listSchedules getSchedule listScheduleFires' },
  'schedules.write': {
    may: ['system', 'admin', 'owner'],
    operations: 'createSchedule pauseSchedule resumeSchedule deleteSchedule runSchedule',
  },
  'status.read': { may: readers, operations: 'getBridgeStatus getSystemStatus' },
  monitor: { may: watchers, operations: 'getSecurityMetrics' },
  'audit.read': { may: watchers, operations: 'listSecurityEvents' },
  'keys.read': { may: ['monitor', 'system', 'admin', 'owner'], operations: 'listSigningKeys' },
  'keys.write': { may: ['system', 'admin', 'owner'], operations: 'rotateSigningKeys' },
  'users.read': {
    may: administrators,
    operations: `listPrincipals getPrincipal listPasskeysOf listSessions listApiKeys listApiKeysOf
      getAccess checkAccess whoMay`,
  },
  'users.write': {
    may: administrators,
    operations: `createPrincipal updatePrincipal deletePrincipal setPassword unlockPrincipal
      removeTotpOf removePasskeyOf endSession endSessionsOf createApiKeyFor revokeApiKey`,
  },
  'roles.read': { may: administrators, operations: 'listRoles getRole' },
  'roles.write': {
    may: administrators,
    operations: 'createRole deleteRole allowPermission disallowPermission grantRole revokeRole',
  },
  'clients.read': { may: administrators, operations: 'listClients' },
  'clients.write': { may: administrators, operations: 'createClient deleteClient' },
};

/**
 * What is sent where an empty body would be refused before it is known who may, since the body names
 * what the right is asked on. Names that are taken or that nothing has: nothing comes of them.
 */
const missing = 'no-such-thing';
const sent: Readonly<Record<string, { body?: object; form?: string; query?: string }>> = {
  createPrincipal: { body: { username: 'guest' } },
  createRole: { body: { name: 'guest' } },
  startRun: { body: { workflow: missing } },
  createSchedule: { body: { name: missing, workflow: missing, cron: '@daily' } },
  checkAccess: { query: `principal=${missing}&action=read` },
  decideDevice: { body: { approve: false } },
  decideAuthorization: { body: { approve: false, client_id: missing } },
  getToken: { form: 'grant_type=refresh_token&refresh_token=made-up&client_id=centuria-cli' },
  beginDeviceLogin: { form: 'client_id=centuria-cli' },
  introspectToken: { form: 'token=made-up' },
  revokeToken: { form: 'token=made-up' },
};
/** Passkeys need an address with a name, and a bridge of a test has none: so far only who may comes. */
const unavailable = new Set(['getPasskeyOptions', 'getPasskeyRegistration']);

interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly takesBody: boolean;
}

const operations = await everyOperation();
const password = 'eleven boats below the bridge';
const tokens = new Map<string, string>();
let bridge: TestBridge;

beforeAll(async () => {
  bridge = await openTestBridge();
  tokens.set('owner', testToken);
  await signIn('bare', []);
  for (const role of ['guest', 'monitor', 'agent', 'system', 'admin']) await signIn(role, [role]);
  for (const permission of Object.keys(byPermission)) {
    await signInWith(`only ${permission}`, [permission]);
    const others = actions.filter((action) => action.includes('.') && action !== permission);
    await signInWith(`all but ${permission}`, others);
  }
});
afterAll(() => bridge.end());

test('the table names every operation once, and none that there is not', () => {
  const named = Object.values({ ...byCredential, ...byPermission }).flatMap(({ operations: ids }) =>
    idsIn(ids),
  );
  expect(named.toSorted()).toEqual(operations.map(({ id }) => id).toSorted());
});

test.each(operations)('$id is for those whom it is meant for', async (operation) => {
  const groups = Object.entries({ ...byCredential, ...byPermission });
  const [what, group] =
    groups.find(([, { operations: ids }]) => idsIn(ids).includes(operation.id)) ?? [];
  if (what === undefined || group === undefined) throw new Error('it is not in the table');
  const refusal = (who: Who) => group.otherwise ?? (who === 'nobody' ? 'is nobody' : 'may not');
  const expected = Object.fromEntries(
    everybody.map((who) => [who, group.may.includes(who) ? 'may' : refusal(who)]),
  );
  if (what in byPermission) {
    expected[`only ${what}`] = 'may';
    expected[`all but ${what}`] = 'may not';
  }
  const found: Record<string, string> = {};
  for (const who of Object.keys(expected)) found[who] = await ask(operation, who);
  expect(found).toEqual(expected);
});

/** Rights are looked at before anything else of a request: whatever else is wrong with it, the caller may. */
async function ask({ id, method, path, takesBody }: Operation, who: string): Promise<string> {
  const { body = {}, form, query = '' } = sent[id] ?? {};
  const token = tokens.get(who);
  const address = path.replaceAll(/\{\w+\}/g, missing);
  const type = form === undefined ? 'application/json' : 'application/x-www-form-urlencoded';
  const response = await fetch(`${bridge.url}${address}?${query}`, {
    method,
    redirect: 'manual',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(takesBody ? { 'content-type': type } : {}),
    },
    ...(takesBody ? { body: form ?? JSON.stringify(body) } : {}),
  });
  const answer = await response.text();
  const { status } = response;
  if (status === 401) return 'is nobody';
  if (status === 403) return 'may not';
  if (status === 503 && unavailable.has(id)) return 'may';
  // Neither says anything about rights.
  return status === 429 || status >= 500 ? `${status}: ${answer}` : 'may';
}

async function signInWith(name: string, permissions: readonly string[]): Promise<void> {
  const role = name.replaceAll(' ', '-');
  await bridge.identity.roles.create(
    { name: role, permissions: permissions.map((action) => ({ action })) },
    await bridge.identity.callers.owner(),
  );
  await signIn(name, [role]);
}

/** As a browser, since a person at one may most; the token out of its cookie does as a header too. */
async function signIn(who: string, roles: readonly string[]): Promise<void> {
  const username = who.replaceAll(' ', '-');
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.principals.create({ username, password, roles }, owner);
  const response = await fetch(`${bridge.url}/api/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password, as: 'browser' }),
  });
  expect([who, response.status]).toEqual([who, 200]);
  const [, token = ''] = /=([^;]+);/.exec(response.headers.get('set-cookie') ?? '') ?? [];
  tokens.set(who, token);
}

function idsIn(operationIds: string): string[] {
  return operationIds.split(/\s+/);
}

async function everyOperation(): Promise<Operation[]> {
  const { paths } = (await openapiDocument('0.0.0')) as {
    paths: Record<string, Record<string, { operationId: string; requestBody?: object }>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId: id, requestBody }]) => ({
      id,
      method: method.toUpperCase(),
      path,
      takesBody: requestBody !== undefined,
    })),
  );
}
