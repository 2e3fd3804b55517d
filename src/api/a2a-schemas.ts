/** What A2A 1.0 sends and gets over JSON-RPC, as far as the bridge looks at it. Unknown fields are passed over (section 5.7). */
import { Type, type Static, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { answerRunSchema } from './run-schemas.ts';
import { validationError } from './validate.ts';

export const taskStates = [
  'TASK_STATE_SUBMITTED',
  'TASK_STATE_WORKING',
  'TASK_STATE_INPUT_REQUIRED',
  'TASK_STATE_COMPLETED',
  'TASK_STATE_FAILED',
  'TASK_STATE_CANCELED',
  'TASK_STATE_REJECTED',
] as const;
export type TaskState = (typeof taskStates)[number];

export interface WirePart {
  readonly text?: string;
  readonly data?: unknown;
  readonly mediaType?: string;
}

export interface WireMessage {
  readonly messageId: string;
  readonly contextId: string;
  readonly taskId: string;
  readonly role: 'ROLE_USER' | 'ROLE_AGENT';
  readonly parts: readonly WirePart[];
}

export interface WireStatus {
  readonly state: TaskState;
  readonly message?: WireMessage;
  readonly timestamp: string;
}

export interface WireArtifact {
  readonly artifactId: string;
  readonly name: string;
  readonly parts: readonly WirePart[];
}

export interface WireTask {
  readonly id: string;
  readonly contextId: string;
  readonly status: WireStatus;
  readonly artifacts?: readonly WireArtifact[];
  readonly history?: readonly unknown[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

const plain = '^[^\\u0000-\\u001f\\u007f]*$';
/** Protocol Buffers write a field that is not set as an empty text too. */
const name = Type.String({ maxLength: 200, pattern: plain });
const given = Type.String({ minLength: 1, maxLength: 200, pattern: plain });
const metadata = Type.Record(Type.String(), Type.Unknown());
const historyLength = Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483_647 }));

const part = Type.Object({
  text: Type.Optional(Type.String()),
  raw: Type.Optional(Type.String()),
  url: Type.Optional(Type.String()),
  data: Type.Optional(Type.Unknown()),
  mediaType: Type.Optional(name),
  filename: Type.Optional(name),
});

export const messageSchema = Type.Object({
  messageId: given,
  role: Type.Literal('ROLE_USER'),
  parts: Type.Array(part, { minItems: 1, maxItems: 100 }),
  contextId: Type.Optional(name),
  taskId: Type.Optional(name),
  metadata: Type.Optional(metadata),
});
export type SentMessage = Static<typeof messageSchema>;
export type SentPart = Static<typeof part>;

const sendSchema = Type.Object({
  message: messageSchema,
  configuration: Type.Optional(
    Type.Object({
      acceptedOutputModes: Type.Optional(Type.Array(name, { maxItems: 100 })),
      historyLength,
      returnImmediately: Type.Optional(Type.Boolean()),
      taskPushNotificationConfig: Type.Optional(Type.Unknown()),
    }),
  ),
  metadata: Type.Optional(metadata),
});
export type SendParams = Static<typeof sendSchema>;

const listSchema = Type.Object({
  contextId: Type.Optional(name),
  status: Type.Optional(
    Type.Unsafe<TaskState | 'TASK_STATE_UNSPECIFIED' | 'TASK_STATE_AUTH_REQUIRED'>({
      type: 'string',
      enum: ['TASK_STATE_UNSPECIFIED', ...taskStates, 'TASK_STATE_AUTH_REQUIRED'],
    }),
  ),
  pageSize: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
  pageToken: Type.Optional(Type.String({ maxLength: 512 })),
  historyLength,
  statusTimestampAfter: Type.Optional(Type.String({ format: 'date-time' })),
  includeArtifacts: Type.Optional(Type.Boolean()),
});

export const readSend = reader(sendSchema);
export const readGet = reader(Type.Object({ id: given, historyLength }));
export const readTaskId = reader(Type.Object({ id: given }));
export const readList = reader(listSchema);
export const readAnswer = reader(answerRunSchema);

/** Holds a value against a schema; throws `invalid_input`, which names each wrong field. */
function reader<Schema extends TSchema>(schema: Schema): (value: unknown) => Static<Schema> {
  const validator = Compile(schema);
  return (sent) => {
    const value = withoutNulls(sent);
    if (validator.Check(value)) return value;
    throw validationError('body', schema, validator.Errors(value));
  };
}

/** `null` is how Protocol Buffers may write that a field is not set; inside of `data` it is a value. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => {
      if (key === 'data' || key === 'metadata') return [[key, inner]];
      return inner === null ? [] : [[key, withoutNulls(inner)]];
    }),
  );
}
