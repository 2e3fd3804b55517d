/** What files of packages and bundles look like inside; the types of types.ts come out of a check. */
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { AppError } from '../../base/base.ts';
import { architectures } from '../types.ts';

const closed = { additionalProperties: false } as const;
const text = Type.String({ maxLength: 100_000 });
/** Names of folders are made of these. */
const name = Type.String({ pattern: '^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$' });
const version = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.+~-]{0,99}$' });
const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const glibc = Type.String({ pattern: '^\\d+\\.\\d+(?:\\.\\d+)?$' });
const major = Type.Integer({ minimum: 8, maximum: 99 });
const architecture = Type.Union(architectures.map((each) => Type.Literal(each)));

export const fileEntrySchema = Type.Object(
  { path: text, sha256, sizeBytes: Type.Integer({ minimum: 0 }) },
  closed,
);

export const metadataSchema = Type.Object(
  {
    format: Type.Literal(1),
    name,
    version,
    builtAt: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?Z$' }),
    compiler: text,
    target: Type.Object(
      { major, version: text, architecture, glibc: Type.Optional(glibc) },
      closed,
    ),
    extensions: Type.Array(Type.Object({ name, version }, closed), {
      minItems: 1,
      maxItems: 1_000,
    }),
    files: Type.Array(fileEntrySchema, { minItems: 1, maxItems: 50_000 }),
    smoke: Type.Array(text, { maxItems: 1_000 }),
    wrapper: Type.Optional(text),
  },
  closed,
);

const magicSchema = Type.Object(
  {
    sizeBytes: Type.Integer(),
    major,
    funcMaxArgs: Type.Integer(),
    indexMaxKeys: Type.Integer(),
    nameDataLength: Type.Integer(),
    float8ByValue: Type.Boolean(),
    abiExtra: text,
    name: Type.Optional(text),
    version: Type.Optional(text),
  },
  closed,
);

export const factsSchema = Type.Object(
  {
    format: Type.Literal(1),
    versionNumber: Type.Integer(),
    version: text,
    major,
    architecture,
    glibc: Type.Optional(glibc),
    magic: magicSchema,
    paths: Type.Object(
      { binFolder: text, libraryFolder: text, extensionFolder: text, shareFolder: text },
      closed,
    ),
    serverSha256: sha256,
    exportedSymbols: Type.Array(text),
    libraries: Type.Array(text),
    libraryFiles: Type.Array(text),
    extensionFiles: Type.Array(text),
    config: Type.Record(Type.String(), Type.String()),
    origin: text,
  },
  closed,
);

export const manifestSchema = Type.Object(
  {
    format: Type.Literal(1),
    files: Type.Array(
      Type.Object(
        { path: text, sha256, sizeBytes: Type.Integer({ minimum: 0 }), executable: Type.Boolean() },
        closed,
      ),
      { maxItems: 50_000 },
    ),
  },
  closed,
);
/** `manifest.json` of a package: all of its files but itself and the provenance, sorted by path. */
export type Manifest = Static<typeof manifestSchema>;

/** A JSON file that has the shape; throws `invalid_input` naming the file and the first field that is wrong. */
export function parseAs<T>(
  schema: { readonly type: unknown },
  bytes: Uint8Array | undefined,
  file: string,
): T {
  if (bytes === undefined) throw new AppError('invalid_input', `${file} is not there`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new AppError('invalid_input', `${file} is no JSON`, { details: { file }, cause });
  }
  if (Value.Check(schema as never, value)) return value as T;
  const [first] = Value.Errors(schema as never, value);
  const field = first?.instancePath === '' ? 'it' : first?.instancePath;
  throw new AppError('invalid_input', `${file}: ${field} ${first?.message ?? 'is wrong'}`, {
    details: { file, field },
  });
}
