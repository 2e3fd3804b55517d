/** Every setting of Centuria: its schema, its names outside, its default. `config.ts` reads them. */
import { Type, type Static, type TSchema } from 'typebox';

/** One setting: its schema, how it is named outside, and whether its value may be shown. */
export interface Setting<Schema extends TSchema> {
  readonly schema: Schema;
  readonly env: string;
  readonly description: string;
  readonly default: Static<Schema>;
  /** Shown as `[set]` wherever settings are printed. */
  readonly secret?: true;
  /** Of a list in the environment; a colon unless given. */
  readonly separator?: string;
}

const setting = <Schema extends TSchema>(row: Setting<Schema>): Setting<Schema> => row;
const port = Type.Integer({ minimum: 0, maximum: 65_535 });
const folders = Type.Array(Type.String({ minLength: 1 }));

/**
 * Every setting of Centuria. The key is its name in `config.yaml`; the flag is the same in kebab
 * case. `docs/reference/configuration.md` is generated from it.
 */
export const settings = {
  databaseUrl: setting({
    schema: Type.String(),
    env: 'CENTURIA_DATABASE_URL',
    description:
      'PostgreSQL 16 or later as a URL. Empty: the embedded database in the data folder.',
    default: '',
    secret: true,
  }),
  databasePoolSize: setting({
    schema: Type.Integer({ minimum: 2, maximum: 200 }),
    env: 'CENTURIA_DATABASE_POOL_SIZE',
    description: 'Connections to a PostgreSQL server, at most.',
    default: 10,
  }),
  redisUrl: setting({
    schema: Type.String(),
    env: 'CENTURIA_REDIS_URL',
    description:
      'Redis or Valkey as a URL: limits, cache and revocations are shared through it. Empty: without.',
    default: '',
    secret: true,
  }),
  bridgeHost: setting({
    schema: Type.String({ minLength: 1 }),
    env: 'CENTURIA_BRIDGE_HOST',
    description: 'Address that the bridge (HTTP) binds to.',
    default: '127.0.0.1',
  }),
  bridgePort: setting({
    schema: port,
    env: 'CENTURIA_BRIDGE_PORT',
    description: 'Port of the bridge; 0 takes a free one.',
    default: 8081,
  }),
  learningPort: setting({
    schema: port,
    env: 'CENTURIA_LEARNING_PORT',
    description:
      'Port of the learning API. 0: a free one. Where it is not set and the port is taken, Centuria starts without this API.',
    default: 8080,
  }),
  agentFolders: setting({
    schema: folders,
    env: 'CENTURIA_AGENT_FOLDERS',
    description:
      'Folders of agent definitions beside the shipped ones, colon-separated in the environment.',
    default: [],
  }),
  workflowFolders: setting({
    schema: folders,
    env: 'CENTURIA_WORKFLOW_FOLDERS',
    description:
      'Folders of workflows beside the shipped ones, colon-separated in the environment.',
    default: [],
  }),
  outboundAllow: setting({
    schema: folders,
    env: 'CENTURIA_OUTBOUND_ALLOW',
    description:
      'What agents may reach although its address is private: hosts, host:port, addresses, networks; comma-separated in the environment.',
    default: [],
    separator: ',',
  }),
  modelProvider: setting({
    schema: Type.Union([Type.Literal('anthropic'), Type.Literal('openai-compatible')]),
    env: 'CENTURIA_MODEL_PROVIDER',
    description:
      'Where agents with the runtime model are answered unless they say: anthropic or openai-compatible.',
    default: 'anthropic',
  }),
  model: setting({
    schema: Type.String(),
    env: 'CENTURIA_MODEL',
    description:
      'The id of the model that answers for the aliases of definitions. Empty: the provider’s own for each alias.',
    default: '',
  }),
  modelBaseUrl: setting({
    schema: Type.String({ pattern: '^$|^https?://[^/?#@]+' }),
    env: 'CENTURIA_MODEL_BASE_URL',
    description:
      'Address of the provider’s API, such as http://localhost:11434/v1 for a local one. Empty: the provider’s own.',
    default: '',
  }),
  publicUrl: setting({
    schema: Type.String({ pattern: '^$|^https?://[^/?#@]+/*$' }),
    env: 'CENTURIA_PUBLIC_URL',
    description:
      'Where people and agents reach the bridge, when that is not where it binds: behind a proxy, for instance. Passkeys and tokens for one resource depend on it.',
    default: '',
  }),
  masterKey: setting({
    schema: Type.String(),
    env: 'CENTURIA_MASTER_KEY',
    description:
      'What signing keys and one-time secrets in the database are sealed with: 32 bytes in base64. Empty: master.key in the data folder, made at the first start.',
    default: '',
    secret: true,
  }),
  signingAlgorithm: setting({
    schema: Type.Union([Type.Literal('ES256'), Type.Literal('EdDSA'), Type.Literal('HS256')]),
    env: 'CENTURIA_SIGNING_ALGORITHM',
    description: 'How tokens are signed from the next key on: ES256, EdDSA or HS256.',
    default: 'ES256',
  }),
  accessTokenSeconds: setting({
    schema: Type.Integer({ minimum: 30, maximum: 86_400 }),
    env: 'CENTURIA_ACCESS_TOKEN_SECONDS',
    description: 'How long an access token of a client counts; it is refreshed after that.',
    default: 900,
  }),
  sessionHours: setting({
    schema: Type.Integer({ minimum: 1, maximum: 24 }),
    env: 'CENTURIA_SESSION_HOURS',
    description: 'How long a browser stays signed in, hours.',
    default: 12,
  }),
  loginDays: setting({
    schema: Type.Integer({ minimum: 1, maximum: 365 }),
    env: 'CENTURIA_LOGIN_DAYS',
    description: 'How long a client with a refresh token stays signed in, days.',
    default: 30,
  }),
  keyRotationHours: setting({
    schema: Type.Integer({ minimum: 1, maximum: 8_760 }),
    env: 'CENTURIA_KEY_ROTATION_HOURS',
    description: 'How long a signing key signs, hours; then the next one does.',
    default: 168,
  }),
  keyOverlapHours: setting({
    schema: Type.Integer({ minimum: 1, maximum: 168 }),
    env: 'CENTURIA_KEY_OVERLAP_HOURS',
    description: 'How long a key goes on verifying after it has signed its last, hours.',
    default: 24,
  }),
  passwordHashMs: setting({
    schema: Type.Integer({ minimum: 1, maximum: 1_000 }),
    env: 'CENTURIA_PASSWORD_HASH_MS',
    description:
      'What one password hash shall cost, milliseconds of a processor, measured at the first start; never less than 19 MiB and two passes.',
    default: 20,
  }),
  passwordQueue: setting({
    schema: Type.Integer({ minimum: 1, maximum: 10_000 }),
    env: 'CENTURIA_PASSWORD_QUEUE',
    description: 'Logins that may wait for their hash; one more is answered with 429.',
    default: 64,
  }),
  loginAttempts: setting({
    schema: Type.Integer({ minimum: 1, maximum: 100 }),
    env: 'CENTURIA_LOGIN_ATTEMPTS',
    description: 'Wrong passwords for one name until it is locked, for a minute at first.',
    default: 10,
  }),
  loginsPerMinute: setting({
    schema: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    env: 'CENTURIA_LOGINS_PER_MINUTE',
    description: 'Logins that one address may try in a minute.',
    default: 120,
  }),
  requestsPerMinute: setting({
    schema: Type.Integer({ minimum: 60, maximum: 100_000_000 }),
    env: 'CENTURIA_REQUESTS_PER_MINUTE',
    description: 'Requests that one address may make in a minute.',
    default: 12_000,
  }),
  usualRequests: setting({
    schema: Type.Integer({ minimum: 10, maximum: 100_000_000 }),
    env: 'CENTURIA_USUAL_REQUESTS',
    description:
      'Requests of one address in ten seconds that are usual; at five times as many it is blocked for five minutes.',
    default: 10_000,
  }),
  breachedPasswords: setting({
    schema: Type.String(),
    env: 'CENTURIA_BREACHED_PASSWORDS',
    description:
      'A sorted file, or a folder of range files, with the SHA-1 hashes of leaked passwords, as the downloader of haveibeenpwned makes them. Empty: new passwords are not compared with leaked ones.',
    default: '',
  }),
  learningEmbedder: setting({
    schema: Type.Union([
      Type.Literal('offline'),
      Type.Literal('openai-compatible'),
      Type.Literal('model2vec'),
      Type.Literal('onnx'),
    ]),
    env: 'CENTURIA_LEARNING_EMBEDDER',
    description:
      'What makes vectors of the words of tasks: offline, openai-compatible, model2vec or onnx. After a change all texts are embedded again in the background.',
    default: 'offline',
  }),
  embeddingModel: setting({
    schema: Type.String(),
    env: 'CENTURIA_EMBEDDING_MODEL',
    description:
      'The id of the embedding model at a server, or the folder of a local one. Needless for offline.',
    default: '',
  }),
  embeddingBaseUrl: setting({
    schema: Type.String({ pattern: '^$|^https?://[^/?#@]+' }),
    env: 'CENTURIA_EMBEDDING_BASE_URL',
    description:
      'Address of the API that gives embeddings, such as http://localhost:11434/v1. Empty: OpenAI’s own. OPENAI_API_KEY is sent to it where it is set.',
    default: '',
  }),
  embeddingLongVectors: setting({
    schema: Type.Union([Type.Literal('refuse'), Type.Literal('truncate')]),
    env: 'CENTURIA_EMBEDDING_LONG_VECTORS',
    description:
      'What to do with vectors of more than 256 numbers: refuse them, or truncate them, which only models that were trained for it bear (Matryoshka).',
    default: 'refuse',
  }),
  runKeepDays: setting({
    schema: Type.Integer({ minimum: 0, maximum: 36_500 }),
    env: 'CENTURIA_RUN_KEEP_DAYS',
    description:
      'Runs that ended and began longer ago than that, days, are forgotten by whole months. 0: kept for ever.',
    default: 0,
  }),
  learningKeepDays: setting({
    schema: Type.Integer({ minimum: 0, maximum: 36_500 }),
    env: 'CENTURIA_LEARNING_KEEP_DAYS',
    description:
      'Outcomes that are older, days, are forgotten, and the words of tasks that only they had. 0: kept for ever.',
    default: 365,
  }),
  extStagingFolder: setting({
    schema: Type.String({ pattern: '^/' }),
    env: 'CENTURIA_EXT_STAGING_FOLDER',
    description: 'Where releases of extensions lie on a target: centuria ext.',
    default: '/opt/libraries/postgresql',
  }),
  extPassword: setting({
    schema: Type.String(),
    env: 'CENTURIA_EXT_PASSWORD',
    description:
      'The password of the server that extensions are deployed to. Empty: PGPASSWORD, then the password file of libpq.',
    default: '',
    secret: true,
  }),
  workerConcurrency: setting({
    schema: Type.Integer({ minimum: 0, maximum: 10_000 }),
    env: 'CENTURIA_WORKER_CONCURRENCY',
    description:
      'Attempts that one worker runs at the same time. 0: twice the processors, at least 4.',
    default: 0,
  }),
  workerLeaseMs: setting({
    schema: Type.Integer({ minimum: 500, maximum: 600_000 }),
    env: 'CENTURIA_WORKER_LEASE_MS',
    description: 'A worker that is silent for so long loses its runs to another, milliseconds.',
    default: 3_000,
  }),
  shutdownGraceMs: setting({
    schema: Type.Integer({ minimum: 0, maximum: 3_600_000 }),
    env: 'CENTURIA_SHUTDOWN_GRACE_MS',
    description:
      'How long attempts under way may finish after SIGTERM, milliseconds; then they are stopped and go on after the next start.',
    default: 10_000,
  }),
  logLevel: setting({
    schema: Type.Union([
      Type.Literal('debug'),
      Type.Literal('info'),
      Type.Literal('warn'),
      Type.Literal('error'),
      Type.Literal('silent'),
    ]),
    env: 'CENTURIA_LOG_LEVEL',
    description: 'Least level that is logged: debug, info, warn, error or silent.',
    default: 'info',
  }),
} as const;

export type SettingName = keyof typeof settings;
export type Settings = {
  readonly [Name in SettingName]: Static<(typeof settings)[Name]['schema']>;
};
