/** What went into a build, so that another one can be held against it. */
import type { Metadata } from '../types.ts';

export const provenanceType = 'https://slsa.dev/provenance/v1';

/** URIs of no host: they name what this pipeline does, and its version. */
const buildTypes = {
  pgxs: 'urn:centuria:build:pgxs@1',
  cmake: 'urn:centuria:build:cmake@1',
} as const;

export interface BuildInputs {
  readonly kind: 'pgxs' | 'cmake';
  readonly sourceDigest: string;
  readonly packageDigest: string;
  readonly packageOrigin: string;
  readonly settings: Readonly<Record<string, string>>;
  /** Warnings of the server's own build that the compiler did not know. */
  readonly dropped: readonly string[];
}

/**
 * The predicate of SLSA provenance v1. It has no time of its own: both times are that of the sources, so
 * that a second build gives the same bytes and can be compared.
 */
export function provenanceOf(metadata: Metadata, inputs: BuildInputs): Record<string, unknown> {
  return {
    buildDefinition: {
      buildType: buildTypes[inputs.kind],
      externalParameters: { settings: inputs.settings, target: metadata.target },
      internalParameters: { droppedOptions: inputs.dropped },
      resolvedDependencies: [
        { name: 'source', digest: { sha256: inputs.sourceDigest } },
        {
          name: 'package',
          digest: { sha256: inputs.packageDigest },
          annotations: { origin: inputs.packageOrigin },
        },
        // A compiler is known by what it says of itself: it is no one file whose hash would tell.
        { name: 'compiler', annotations: { version: metadata.compiler } },
      ],
    },
    runDetails: {
      builder: { id: 'urn:centuria:builder@1' },
      metadata: { startedOn: metadata.builtAt, finishedOn: metadata.builtAt },
    },
  };
}
