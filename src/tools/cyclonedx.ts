/** A software bill of materials as CycloneDX 1.6 JSON (ECMA-424). */
import { createHash } from 'node:crypto';
import { kindOf } from './licence-kinds.ts';
import type { Ecosystem, LockedPackage } from './locked-package.ts';

export interface Subject {
  readonly name: string;
  readonly version: string;
}

/** The document for what lock files pin. The same packages give the same serial number. */
export function cycloneDx(
  subject: Subject,
  packages: readonly LockedPackage[],
  nowMs: number,
): Readonly<Record<string, unknown>> {
  const components = new Map<string, Readonly<Record<string, unknown>>>();
  for (const item of packages) {
    const reference = packageUrl(item);
    const known = components.get(reference);
    // Needed in one place and for development in another: needed.
    if (known === undefined || (known['scope'] === 'excluded' && item.isDev !== true))
      components.set(reference, component(item, reference));
  }
  const list = [...components.keys()].toSorted().map((key) => components.get(key));
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([subject, list]))}`,
    version: 1,
    metadata: {
      timestamp: new Date(nowMs).toISOString(),
      tools: { components: [{ type: 'application', name: 'centuria-tool sbom' }] },
      component: {
        type: 'application',
        'bom-ref': `${subject.name}@${subject.version}`,
        name: subject.name,
        version: subject.version,
      },
    },
    components: list,
  };
}

function component(item: LockedPackage, reference: string): Record<string, unknown> {
  const slash = item.ecosystem === 'golang' ? -1 : item.name.indexOf('/');
  const hashes = item.hashes.flatMap((hash) => hashOf(item.ecosystem, hash) ?? []);
  return {
    type: 'library',
    'bom-ref': reference,
    ...(slash < 0 ? {} : { group: item.name.slice(0, slash) }),
    name: item.name.slice(slash + 1),
    ...(item.version === undefined ? {} : { version: item.version }),
    purl: reference,
    // CycloneDX calls what a build needs and the product does not `excluded`.
    ...(item.isDev === undefined ? {} : { scope: item.isDev ? 'excluded' : 'required' }),
    ...(hashes.length === 0 ? {} : { hashes }),
    ...(item.licence === undefined ? {} : { licenses: [licence(item.licence)] }),
    ...(item.address === undefined
      ? {}
      : {
          externalReferences: [
            { type: item.source === 'git' ? 'vcs' : 'distribution', url: item.address },
          ],
        }),
  };
}

function licence(text: string): Record<string, unknown> {
  if (!kindOf(text).isValid) return { license: { name: text } };
  return /[\s(]/.test(text) ? { expression: text } : { license: { id: text } };
}

/** Package URL, by the purl specification: names are percent-encoded part by part. */
export function packageUrl(item: Pick<LockedPackage, 'ecosystem' | 'name' | 'version'>): string {
  const name = item.name.split('/').map(encodeURIComponent).join('/');
  const version = item.version === undefined ? '' : `@${encodeURIComponent(item.version)}`;
  return `pkg:${item.ecosystem}/${name}${version}`;
}

/** Only hashes of the one file that is the package: Python lists those of all its files, Go hashes a list. */
function hashOf(ecosystem: Ecosystem, hash: string): { alg: string; content: string } | undefined {
  if (ecosystem === 'pypi' || ecosystem === 'golang') return undefined;
  const match = /^sha(1|256|384|512)[-:](.+)$/.exec(hash);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const content = hash.includes('-') ? Buffer.from(match[2], 'base64').toString('hex') : match[2];
  return { alg: `SHA-${match[1]}`, content };
}

/** A UUID of version 8 (RFC 9562): its bits are a hash. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
