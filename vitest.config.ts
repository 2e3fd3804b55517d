import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Integration tests wait for processes and disks more than they compute: two at a time on two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
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
    ],
  },
});
