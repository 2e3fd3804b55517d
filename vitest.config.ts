import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * What takes longest begins first. A fresh clone remembers no times, and by size, which is asked
 * instead, the two minutes of conformance came last and left a processor without work.
 */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- Not an array's: the sequencer's own, which is asked first.
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

function isLong({ moduleId }: TestSpecification): boolean {
  return /\/test\/(?:chaos|e2e)\//.test(moduleId);
}

export default defineConfig({
  test: {
    // Integration tests wait for processes and disks more than they compute: two at a time on two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { name: 'layout', include: ['test/layout/**/*.test.ts'], testTimeout: 30_000 } },
      {
        test: {
          name: 'unit',
          // No module of ours holds state (a layout test), and loading the same ones a hundred times took
          // four tenths of the time.
          isolate: false,
          setupFiles: ['test/support/seed.ts'],
          include: ['src/**/*.test.ts', 'test/property/**/*.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'integration',
          // As above; what a test sets of its process (an environment variable) it puts back. Eight files
          // took 33 instead of 49 seconds of a processor.
          isolate: false,
          // Shared hosts have been seen to take half of the processor away for minutes. What passes only the
          // second time is named in the report.
          retry: 1,
          include: [
            'test/integration/**/*.test.ts',
            'test/e2e/**/*.test.ts',
            'test/chaos/**/*.test.ts',
          ],
          globalSetup: ['test/support/global-setup.ts'],
          setupFiles: ['test/support/seed.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          // Proofs that take minutes: `npm run proofs`. Their short forms are among the integration tests.
          name: 'proofs',
          include: ['test/proofs/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          setupFiles: ['test/support/seed.ts'],
          testTimeout: 180_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
